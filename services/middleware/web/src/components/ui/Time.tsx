import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { formatDateTime, formatDateTimeLong, formatRelative } from '@/lib/format'
import { Tooltip } from './Tooltip'

/** Milliseconds since 1970, moving every `everyMs`. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), everyMs)
    return () => window.clearInterval(timer)
  }, [everyMs])
  return now
}

/** A time: relative when recent (or `exact`: the local time), zone and UTC on hover. */
export function Time({ at, exact = false }: { at: string | null | undefined; exact?: boolean }) {
  const { i18n, t } = useTranslation()
  const now = useNow(30_000)
  if (!at) return <span className="qk-muted">{t('common.never')}</span>
  const relative = exact ? null : formatRelative(at, now, i18n.language)
  return (
    <Tooltip title={<span className="qk-pre">{formatDateTimeLong(at, i18n.language)}</span>}>
      <time dateTime={at} className="qk-num">
        {relative ?? formatDateTime(at)}
      </time>
    </Tooltip>
  )
}
