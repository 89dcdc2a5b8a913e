import { Download, ScrollText } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { withQuery } from '@/api/client'
import type { AuditStatement, Verdict } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge, VerdictBadge } from '@/components/ui/Badge'
import { EntryPage, WithEntry } from '@/components/ui/Entry'
import { Menu } from '@/components/ui/Menu'
import { CopyButton, Facts, Section, Tags } from '@/components/ui/Page'
import { ResourceList, useListQuery, type FilterDefinition } from '@/components/ui/ResourceList'
import { RuleLink } from '@/components/ui/RuleLink'
import { Empty } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { formatBytes, formatDuration, formatNumber } from '@/lib/format'
import { useRefusalText } from '@/lib/refusal-text'

const VERDICTS: Verdict[] = ['allowed', 'masked', 'denied', 'needs_approval', 'needs_reason']
const ROUTES = ['editor', 'agent', 'agentless', 'request']
const OUTCOMES = ['ok', 'error', 'cancelled', 'killed', 'unknown']

function useFilters(): FilterDefinition[] {
  const { t } = useTranslation()
  return [
    { param: 'verdict', label: t('statements.verdict'), kind: 'choice', options: VERDICTS.map((value) => ({ value, label: t(`verdict.${value}`) })) },
    { param: 'route', label: t('statements.route'), kind: 'choice', options: ROUTES.map((value) => ({ value, label: t(`route.${value}`) })) },
    { param: 'outcome', label: t('statements.outcome'), kind: 'choice', options: OUTCOMES.map((value) => ({ value, label: t(`outcome.${value}`) })) },
    { param: 'user', label: t('statements.user'), kind: 'text' },
    { param: 'connection', label: t('statements.connection'), kind: 'text' },
    { param: 'since', label: t('statements.since'), kind: 'time' },
    { param: 'until', label: t('statements.until'), kind: 'time' },
  ]
}

export function OutcomeBadge({ outcome }: { outcome: string | null }) {
  const { t } = useTranslation()
  if (!outcome) return <span className="qk-muted qk-nowrap">{t('outcome.none')}</span>
  const tone = outcome === 'ok' ? 'ok' : outcome === 'error' ? 'deny' : outcome === 'unknown' ? 'info' : 'wait'
  return <Badge tone={tone}>{t(`outcome.${outcome}`)}</Badge>
}

export function StatementList() {
  const { t, i18n } = useTranslation()
  const filters = useFilters()
  return (
    <Need permission="audit.view">
      <ResourceList<AuditStatement>
        resource="audit/statements"
        title={t('statements.title')}
        text={t('statements.text')}
        rowKey={(entry) => entry.id}
        filters={filters}
        actions={<ExportMenu filters={filters} />}
        columns={[
          { key: 'at', title: t('statements.at'), sort: 'started_at', width: '150px', render: (entry) => <Time at={entry.started_at} exact /> },
          { key: 'verdict', title: t('statements.verdict'), width: '96px', render: (entry) => <VerdictBadge verdict={entry.verdict} /> },
          {
            key: 'user',
            title: t('statements.user'),
            render: (entry) => (
              <>
                <span className="qk-cell-main">{entry.user.name}</span>
                <span className="qk-cell-sub qk-cell-client">{[t(`route.${entry.route}`), entry.client.program].filter(Boolean).join(' · ')}</span>
              </>
            ),
          },
          { key: 'connection', title: t('statements.connection'), render: (entry) => <span className="qk-nowrap">{entry.connection.name}</span> },
          {
            key: 'statement',
            title: t('statements.statement'),
            grow: true,
            render: (entry) => <span className="qk-cell-sql">{entry.statement.slice(0, 400)}</span>,
          },
          { key: 'outcome', title: t('statements.outcome'), render: (entry) => <OutcomeBadge outcome={entry.outcome} /> },
          {
            key: 'rows',
            title: t('statements.rows'),
            align: 'right',
            sort: 'rows',
            render: (entry) => (entry.rows === null ? '' : formatNumber(Number(entry.rows), i18n.language)),
          },
          {
            key: 'duration',
            title: t('statements.duration'),
            align: 'right',
            sort: 'duration_ms',
            render: (entry) => (entry.duration_ms === null ? '' : formatDuration(entry.duration_ms)),
          },
        ]}
        empty={<Empty icon={ScrollText} title={t('statements.emptyTitle')} text={t('statements.emptyText')} />}
        detailTitle={t('statements.one')}
        pageOf={(id) => `/audit/statements/${id}`}
        detail={(id) => (
          <WithEntry<AuditStatement> resource="audit/statements" id={id}>
            {(entry) => <StatementDetail entry={entry} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function ExportMenu({ filters }: { filters: FilterDefinition[] }) {
  const { t } = useTranslation()
  const can = useCan()
  const { query } = useListQuery(filters)
  if (!can('audit.export')) return null
  const download = (extra: Record<string, string>) =>
    window.location.assign(`/api/v1/${withQuery('audit/statements/export', { ...query, ...extra })}`)
  return (
    <Menu
      label={t('statements.export')}
      className="qk-menu-outlined"
      button={
        <>
          <Download size={14} aria-hidden />
          {t('statements.export')}
        </>
      }
      items={[
        { key: 'csv', label: t('export.csv'), onSelect: () => download({ format: 'csv' }) },
        { key: 'excel', label: t('export.csvExcel'), onSelect: () => download({ format: 'csv', bom: '1' }) },
        { key: 'jsonl', label: t('export.jsonl'), onSelect: () => download({ format: 'jsonl' }) },
      ]}
    />
  )
}

export function StatementPage() {
  const { t } = useTranslation()
  return (
    <Need permission="audit.view">
      <EntryPage<AuditStatement>
        resource="audit/statements"
        back={{ to: '/audit/statements', label: t('statements.title') }}
        nameOf={(entry) => t('statements.pageTitle', { kind: entry.kind.toUpperCase(), user: entry.user.name })}
      >
        {(entry) => <StatementDetail entry={entry} />}
      </EntryPage>
    </Need>
  )
}

function StatementDetail({ entry }: { entry: AuditStatement }) {
  const { t, i18n } = useTranslation()
  const can = useCan()
  const error = useRefusalText(entry.reason, entry.error)
  const client = [entry.client.program, entry.client.version].filter(Boolean).join(' ')
  return (
    <>
      <Section title={t('statements.statement')} actions={<CopyButton text={entry.statement} />}>
        <pre className="qk-code">{entry.statement}</pre>
      </Section>
      <Section title={t('statements.decision')}>
        <Facts
          items={[
            [t('statements.verdict'), <VerdictBadge key="v" verdict={entry.verdict} />],
            [
              t('statements.rules'),
              entry.rules.length > 0 ? (
                <span key="r" className="qk-tags">
                  {entry.rules.map((rule) => (
                    <RuleLink key={`${rule.id}-${rule.effect}`} rule={rule} />
                  ))}
                </span>
              ) : (
                ''
              ),
            ],
            [t('statements.kind'), entry.kind.toUpperCase()],
            [t('statements.objects'), <Tags key="o" items={entry.objects} />],
            [t('statements.policyVersion'), entry.policy_version],
          ]}
        />
      </Section>
      <Section title={t('statements.run')}>
        <Facts
          items={[
            [t('statements.outcome'), <OutcomeBadge key="o" outcome={entry.outcome} />],
            ...(entry.error ? ([[t('statements.error'), `${error}${entry.error_code ? ` (${entry.error_code})` : ''}`]] as [string, string][]) : []),
            [t('statements.at'), <Time key="a" at={entry.started_at} exact />],
            [t('statements.duration'), entry.duration_ms === null ? '' : formatDuration(entry.duration_ms)],
            [t('statements.rows'), entry.rows === null ? '' : formatNumber(Number(entry.rows), i18n.language)],
            [t('statements.bytes'), entry.bytes === null ? '' : formatBytes(Number(entry.bytes))],
          ]}
        />
      </Section>
      <Section title={t('statements.who')}>
        <Facts
          items={[
            [t('statements.user'), can('users.view') ? <Link key="u" to={`/users/${entry.user.id}`}>{entry.user.name}</Link> : entry.user.name],
            [t('statements.route'), t(`route.${entry.route}`)],
            [t('statements.client'), client],
            [t('statements.address'), <code key="ad">{entry.client.address}</code>],
            [t('statements.connection'), `${entry.connection.name} / ${entry.database}`],
            [t('statements.session'), <code key="s">{entry.session_id}</code>],
            [t('statements.digest'), <code key="d">{entry.digest}</code>],
            [t('statements.id'), <code key="i">{entry.id}</code>],
          ]}
        />
      </Section>
    </>
  )
}
