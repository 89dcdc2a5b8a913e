import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import type { Masker, MaskerInfo } from '@/api/types'

async function maskers(): Promise<MaskerInfo[]> {
  const answer = await request<{ results: MaskerInfo[] }>('GET', 'masking-rules/maskers')
  return answer.results
}

/** The kinds of maskers that there are; they change with a release only. */
export function useMaskers() {
  return useQuery({ queryKey: ['maskers'], queryFn: maskers, staleTime: Infinity })
}

/** What a kind of masker is called; its code until the names have been read. */
export function useMaskerName(): (kind: string) => string {
  const { i18n } = useTranslation()
  const list = useMaskers()
  return (kind) => {
    const found = list.data?.find((item) => item.kind === kind)
    return found ? (i18n.language === 'ko' ? found.label_ko : found.label_en) : kind
  }
}

/** A masker with its parameters, in words. */
export function MaskerText({ masker, short = false }: { masker: Masker | undefined; short?: boolean }) {
  const { t } = useTranslation()
  const name = useMaskerName()
  if (!masker) return null
  const params = Object.entries(masker.params)
  return (
    <>
      {name(masker.kind)}
      {short
        ? null
        : params.map(([key, value]) => (
            <span key={key} className="qk-masker-param">
              {t(`maskerParam.${key}`, { defaultValue: key })} <code>{String(value)}</code>
            </span>
          ))}
    </>
  )
}
