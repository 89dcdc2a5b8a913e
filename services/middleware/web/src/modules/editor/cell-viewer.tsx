import { useQuery } from '@tanstack/react-query'
import { EyeOff, X } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { CopyButton } from '@/components/ui/Page'
import { RuleLink } from '@/components/ui/RuleLink'
import { Skeleton } from '@/components/ui/States'
import { formatNumber } from '@/lib/format'
import type { ResultSnapshot, ResultView } from '@/lib/editor-messages.gen'
import type { CellPlace } from './grid'
import { layOutJson } from './json-layout'
import type { EditorStore } from './store'

/** One cell, whole. */
export function CellViewer({
  store,
  result,
  view,
  place,
  onClose,
}: {
  store: EditorStore
  result: ResultSnapshot
  view: ResultView
  place: CellPlace | null
  onClose: () => void
}) {
  const { t, i18n } = useTranslation()
  const column = place ? result.columns[place.column] : undefined
  const cell = useQuery({
    queryKey: ['cell', result.result_id, view, place],
    queryFn: async () => {
      const answer = await store.send(
        { type: 'fetch_cell', result_id: result.result_id, row: place?.row ?? 0, column: place?.column ?? 0, view },
        'cell_value',
      )
      return { value: answer.value }
    },
    enabled: place !== null,
    gcTime: 0,
  })
  const value = cell.data?.value
  const isJson = column?.kind === 'json' || (typeof value === 'string' && /^\s*[{[]/.test(value))
  return (
    <aside className="qk-cell" aria-label={t('cell.title')}>
      <header>
        <b>{column?.name ?? t('cell.title')}</b>
        <span className="qk-muted">{column?.type_name}</span>
        <span className="qk-spacer" />
        {typeof value === 'string' ? <CopyButton text={value} /> : null}
        <button type="button" className="qk-icon-button" aria-label={t('common.close')} onClick={onClose}>
          <X size={15} aria-hidden />
        </button>
      </header>
      {column && column.masked_by.length > 0 ? (
        <p className="qk-row qk-mask-note">
          <EyeOff size={13} aria-hidden /> {t('editor.maskedBy')}
          {column.masked_by.map((rule) => (
            <RuleLink key={rule.id} rule={rule} />
          ))}
        </p>
      ) : null}
      {place === null ? (
        <p className="qk-muted">{t('cell.choose')}</p>
      ) : cell.isPending ? (
        <Skeleton rows={3} />
      ) : cell.isError ? (
        <p className="qk-field-error">{cell.error.message}</p>
      ) : value === null || value === undefined ? (
        <p className="qk-muted">{'NULL'}</p>
      ) : (
        <>
          <pre>{isJson ? layOutJson(value) : value}</pre>
          <footer className="qk-muted qk-num">{t('cell.length', { count: value.length, shown: formatNumber(value.length, i18n.language) })}</footer>
        </>
      )}
    </aside>
  )
}
