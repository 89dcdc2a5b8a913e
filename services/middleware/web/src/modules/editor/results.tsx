import { Download, EyeOff, Filter, PanelRightOpen, Search, X } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { Input } from '@/components/ui/Input'
import { Menu } from '@/components/ui/Menu'
import { RuleLink } from '@/components/ui/RuleLink'
import { Select } from '@/components/ui/Select'
import { Skeleton } from '@/components/ui/States'
import { toast } from '@/components/ui/Toast'
import { useDebounced } from '@/lib/use-debounced'
import { formatBytes, formatDuration, formatNumber } from '@/lib/format'
import type {
  ColumnFilter,
  ExportFormat,
  FilterOperator,
  ResultSnapshot,
  ResultView,
  RunSnapshot,
  SessionInfo,
  StatementSnapshot,
} from '@/lib/editor-messages.gen'
import { CellViewer } from './cell-viewer'
import type { CellPlace } from './grid'
import { MessagesView, maskingRules } from './messages-view'
import { resultsOf } from './runs'
import type { EditorStore } from './store'

const ResultGrid = lazy(() => import('./grid').then((module) => ({ default: module.ResultGrid })))

/** Result sets and messages of the last run of a tab. */
export function Results({
  store,
  run,
  shown,
  session,
  onShow,
  onGoTo,
}: {
  store: EditorStore
  run: RunSnapshot
  shown: string
  session: SessionInfo | undefined
  onShow: (view: string) => void
  onGoTo: (offsetInRun: number) => void
}) {
  const { t, i18n } = useTranslation()
  const results = resultsOf(run)
  const current = results.find((item) => item.result.result_id === shown)
  const failures = run.statements.filter((item) => item.failure).length + (run.failure ? 1 : 0)
  return (
    <section className="qk-results" aria-label={t('editor.results')}>
      <div className="qk-result-tabs" role="tablist">
        {results.map(({ result, statement }, index) => (
          <button
            key={result.result_id}
            type="button"
            role="tab"
            aria-selected={result.result_id === shown}
            onClick={() => onShow(result.result_id)}
          >
            {statement.verdict === 'masked' ? <EyeOff size={13} aria-label={t('verdict.masked')} className="qk-mask-text" /> : null}
            {t('editor.resultTab', { number: index + 1 })}
            <small className="qk-num">{formatNumber(result.rows, i18n.language)}</small>
          </button>
        ))}
        <button type="button" role="tab" aria-selected={!current} onClick={() => onShow('messages')}>
          {t('editor.messages')}
          {failures > 0 ? <small className="qk-count-deny">{failures}</small> : null}
        </button>
      </div>
      {current ? (
        <ResultPane key={current.result.result_id} store={store} result={current.result} statement={current.statement} canExport={session?.functions.includes('export') ?? false} />
      ) : (
        <MessagesView run={run} onGoTo={onGoTo} onShow={onShow} />
      )}
    </section>
  )
}

const OPERATORS: FilterOperator[] = ['contains', 'equals', 'not_equals', 'starts_with', 'less', 'greater', 'is_null', 'not_null']

function ResultPane({
  store,
  result,
  statement,
  canExport,
}: {
  store: EditorStore
  result: ResultSnapshot
  statement: StatementSnapshot
  canExport: boolean
}) {
  const { t, i18n } = useTranslation()
  const [sortAndFilters, setView] = useState<ResultView>({ sort: [], filters: [], search: '' })
  const [text, setText] = useState('')
  const search = useDebounced(text.trim(), 250)
  const [filtering, setFiltering] = useState(false)
  const [place, setPlace] = useState<CellPlace | null>(null)
  const [viewing, setViewing] = useState(false)
  const [kept, setKept] = useState<number | null>(null)
  const view = useStableView(sortAndFilters, search)
  const rules = maskingRules(statement)

  const exportAs = async (format: ExportFormat, forSpreadsheet: boolean) => {
    try {
      const answer = await store.send(
        { type: 'export_result', result_id: result.result_id, format, for_spreadsheet: forSpreadsheet, view },
        'export_ready',
      )
      const link = document.createElement('a')
      link.href = answer.url
      link.download = answer.file_name
      link.click()
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), 'error')
    }
  }

  return (
    <div className="qk-result">
      <div className="qk-result-bar">
        <Input
          size="small"
          className="qk-result-search"
          prefix={<Search size={13} aria-hidden />}
          placeholder={t('grid.search')}
          aria-label={t('grid.search')}
          allowClear
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <Button size="small" icon={<Filter size={13} />} onClick={() => setFiltering(!filtering)} aria-expanded={filtering}>
          {t('grid.filter')}
        </Button>
        {view.filters.map((filter, index) => (
          <button
            key={index}
            type="button"
            className="qk-chip"
            aria-label={t('list.removeFilter', { name: result.columns[filter.column]?.name ?? '' })}
            onClick={() => setView((old) => ({ ...old, filters: old.filters.filter((_, at) => at !== index) }))}
          >
            <span>
              {result.columns[filter.column]?.name} {t(`operator.${filter.operator}`)}
            </span>
            <b>{filter.value}</b>
            <X size={12} aria-hidden />
          </button>
        ))}
        {rules.length > 0 ? (
          <span className="qk-row qk-mask-note">
            <EyeOff size={13} aria-hidden />
            {t('editor.maskedBy')}
            {rules.map((rule) => (
              <RuleLink key={rule.id} rule={rule} />
            ))}
          </span>
        ) : null}
        {statement.state === 'cancelled' ? <Badge tone="wait">{t('statementState.cancelled')}</Badge> : null}
        <span className="qk-result-figures">
        <span className="qk-muted qk-num">
          {result.complete ? '' : `${t('grid.growing')} `}
          {kept === null || kept === result.rows ? '' : `${t('grid.kept', { shown: formatNumber(kept, i18n.language) })} `}
          {t('editor.rows', { count: result.rows, shown: formatNumber(result.rows, i18n.language) })} · {formatBytes(result.bytes)}
          {statement.duration_ms !== null ? ` · ${formatDuration(statement.duration_ms)}` : ''}
        </span>
        <button type="button" className="qk-icon-button" title={t('cell.title')} aria-label={t('cell.title')} aria-pressed={viewing} onClick={() => setViewing(!viewing)}>
          <PanelRightOpen size={15} aria-hidden />
        </button>
        {canExport ? (
          <Menu
            label={t('export.title')}
            button={<Download size={15} aria-hidden />}
            items={[
              { key: 'csv', label: t('export.csv'), onSelect: () => void exportAs('csv', false) },
              { key: 'excel', label: t('export.csvExcel'), onSelect: () => void exportAs('csv', true) },
              { key: 'jsonl', label: t('export.jsonl'), onSelect: () => void exportAs('jsonl', false) },
            ]}
          />
        ) : null}
        </span>
      </div>
      {filtering ? (
        <FilterForm
          result={result}
          onAdd={(filter) => {
            setView((old) => ({ ...old, filters: [...old.filters, filter] }))
            setFiltering(false)
          }}
        />
      ) : null}
      {result.expired ? (
        <p className="qk-tree-note">{t('grid.expired')}</p>
      ) : (
        <div className="qk-result-body">
          <Suspense fallback={<Skeleton rows={6} />}>
            <ResultGrid
              store={store}
              result={result}
              view={view}
              onView={setView}
              onCell={setPlace}
              onTotal={setKept}
              onOpenCell={(next) => {
                setPlace(next)
                setViewing(true)
              }}
            />
          </Suspense>
          {viewing ? <CellViewer store={store} result={result} view={view} place={place} onClose={() => setViewing(false)} /> : null}
        </div>
      )}
    </div>
  )
}

/** The same object as long as nothing in it changed, so that pages are not thrown away. */
function useStableView(base: ResultView, search: string): ResultView {
  const [kept, setKept] = useState<ResultView>({ ...base, search })
  if (kept.sort !== base.sort || kept.filters !== base.filters || kept.search !== search) {
    const next = { ...base, search }
    setKept(next)
    return next
  }
  return kept
}

function FilterForm({ result, onAdd }: { result: ResultSnapshot; onAdd: (filter: ColumnFilter) => void }) {
  const { t } = useTranslation()
  const [column, setColumn] = useState(0)
  const [operator, setOperator] = useState<FilterOperator>('contains')
  const [value, setValue] = useState('')
  const plain = operator === 'is_null' || operator === 'not_null'
  return (
    <form
      className="qk-filter-form"
      onSubmit={(event) => {
        event.preventDefault()
        onAdd({ column, operator, value: plain ? '' : value })
      }}
    >
      <Select
        size="small"
        aria-label={t('grid.column')}
        value={column}
        onChange={setColumn}
        options={result.columns.map((item, index) => ({ value: index, label: item.name }))}
        popupMatchSelectWidth={false}
      />
      <Select
        size="small"
        aria-label={t('grid.operator')}
        value={operator}
        onChange={setOperator}
        options={OPERATORS.map((item) => ({ value: item, label: t(`operator.${item}`) }))}
        popupMatchSelectWidth={false}
      />
      {plain ? null : <Input size="small" aria-label={t('grid.value')} value={value} onChange={(event) => setValue(event.target.value)} autoFocus />}
      <Button size="small" type="primary" htmlType="submit">
        {t('grid.addFilter')}
      </Button>
    </form>
  )
}
