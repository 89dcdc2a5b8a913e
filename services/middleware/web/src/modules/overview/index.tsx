import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { request } from '@/api/client'
import type { AuditStatement, Page, Verdict } from '@/api/types'
import { useCan } from '@/app/pages'
import { PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { ErrorPanel, Skeleton } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { formatNumber, toLocalInput } from '@/lib/format'

const VerdictChart = lazy(() => import('./verdict-chart').then((module) => ({ default: module.VerdictChart })))

interface Figure {
  count: number
  /** The API list behind the figure, with its filter. */
  list: string
}

export interface Summary {
  since: string
  until: string
  total: number
  by_verdict: Record<Verdict, number>
  hours: ({ at: string } & Record<Verdict, number>)[]
}

/** Where the UI shows an API list. */
const PAGES: Record<string, string> = {
  'access-rules': '/rules/access',
  'masking-rules': '/rules/masking',
  'statement-rules': '/rules/statement',
}

const TONES: Record<string, string> = {
  failing_connections: 'deny',
  denied_today: 'deny',
  dormant_grants: 'wait',
}

function pathOf(figure: Figure): string {
  const [resource = '', query] = figure.list.replace(/^\/api\/v1\//, '').split('?')
  const path = PAGES[resource] ?? `/${resource}`
  return query ? `${path}?${query}` : path
}

/** What needs attention; each figure leads to the list behind it. */
export function Overview() {
  const { t, i18n } = useTranslation()
  usePageTitle(t('nav.overview'))
  const can = useCan()
  const figures = useQuery({
    queryKey: ['overview'],
    queryFn: () => request<Record<string, Figure>>('GET', 'overview'),
    refetchInterval: 30_000,
  })
  const summary = useQuery({
    queryKey: ['audit-summary'],
    queryFn: () => request<Summary>('GET', 'audit/summary'),
    enabled: can('audit.view'),
    refetchInterval: 30_000,
  })
  return (
    <div className="qk-page">
      <PageHeader title={t('nav.overview')} text={t('overview.text')} />
      {figures.isError ? (
        <ErrorPanel error={figures.error} onRetry={() => void figures.refetch()} />
      ) : figures.isPending ? (
        <Skeleton rows={4} />
      ) : (
        <div className="qk-tiles">
          {Object.entries(figures.data).map(([name, figure]) => (
            <Link key={name} to={pathOf(figure)} className={`qk-tile${figure.count > 0 && TONES[name] ? ` qk-tile-${TONES[name]}` : ''}`}>
              <b>{formatNumber(figure.count, i18n.language)}</b>
              <span>{t(`overview.${name}`, { defaultValue: name.replaceAll('_', ' ') })}</span>
            </Link>
          ))}
          {summary.data ? (
            <Link to={refusedList(summary.data)} className={`qk-tile${summary.data.by_verdict.denied > 0 ? ' qk-tile-deny' : ''}`}>
              <b>{formatNumber(summary.data.by_verdict.denied, i18n.language)}</b>
              <span>{t('overview.denied_today')}</span>
            </Link>
          ) : null}
        </div>
      )}
      {summary.data ? (
        <div className="qk-overview">
          {summary.data.total === 0 ? (
            <Section title={t('overview.chart')}>
              <div className="qk-chart-empty">
                <p>{t('overview.chartNone')}</p>
                <Link to="/editor">{t('overview.chartOpenEditor')}</Link>
              </div>
            </Section>
          ) : (
            <Section title={t('overview.chart')} text={t('overview.chartText', { count: summary.data.total, shown: formatNumber(summary.data.total, i18n.language) })}>
              <Suspense fallback={<Skeleton rows={4} />}>
                <VerdictChart summary={summary.data} />
              </Suspense>
            </Section>
          )}
          <Refused summary={summary.data} />
        </div>
      ) : null}
    </div>
  )
}

/** The list behind the figure, over the same span. */
function refusedList(summary: Summary): string {
  return `/audit/statements?verdict=denied&since=${encodeURIComponent(toLocalInput(summary.since))}`
}

const SHOWN = 8

/** What was refused lately: who, where, what; each leads to its record. */
function Refused({ summary }: { summary: Summary }) {
  const { t } = useTranslation()
  const count = summary.by_verdict.denied
  const list = useQuery({
    queryKey: ['overview', 'refused', count],
    queryFn: () => request<Page<AuditStatement>>('GET', `audit/statements?verdict=denied&limit=${SHOWN}&since=${encodeURIComponent(summary.since)}`),
    enabled: count > 0,
    placeholderData: keepPreviousData,
  })
  return (
    <Section title={t('overview.refused')} actions={count > 0 ? <Link to={refusedList(summary)}>{t('overview.allRefused')}</Link> : null}>
      {count === 0 ? (
        <p className="qk-muted">{t('overview.refusedNone')}</p>
      ) : list.isPending ? (
        <Skeleton rows={4} />
      ) : list.isError ? (
        <ErrorPanel error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <ul className="qk-plain qk-refused">
          {list.data.results.slice(0, SHOWN).map((entry) => (
            <li key={entry.id}>
              <Link to={`/audit/statements/${encodeURIComponent(entry.id)}`} className="qk-cell-sql">
                {entry.statement.slice(0, 200)}
              </Link>
              <span className="qk-muted">
                {entry.user.name} · {entry.connection.name} · <Time at={entry.started_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}
