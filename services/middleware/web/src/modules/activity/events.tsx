import { useMutation } from '@tanstack/react-query'
import { Activity, ShieldCheck } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import type { AuditEvent, VerifyReport } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { WithEntry } from '@/components/ui/Entry'
import { Facts, Section } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { formatNumber } from '@/lib/format'

function nameOf(value: AuditEvent['actor']): string {
  return value?.name ?? ''
}

/** What happened in words, and the code by which one filters. */
function EventKind({ kind }: { kind: string }) {
  const { t } = useTranslation()
  const words = t(`eventKind.${kind.replace('.', '-')}`, { defaultValue: '' })
  return (
    <>
      {words ? <span className="qk-cell-main">{words}</span> : null}
      <code className="qk-cell-sub">{kind}</code>
    </>
  )
}

/** Sign-ins, sessions, changes by admins, tokens, agents, findings in the chain. */
export function EventList() {
  const { t } = useTranslation()
  const can = useCan()
  const errorText = useErrorText()
  const verify = useMutation({
    mutationFn: () => request<VerifyReport>('POST', 'audit/verify', { body: {} }),
    onError: (error) => toast(errorText(error), 'error'),
  })
  return (
    <Need permission="audit.view">
      <ResourceList<AuditEvent>
        resource="audit/events"
        title={t('events.title')}
        text={t('events.text')}
        rowKey={(entry) => entry.id}
        actions={
          can('audit.export') ? (
            <Button icon={<ShieldCheck size={14} />} loading={verify.isPending} onClick={() => verify.mutate()}>
              {t('events.verify')}
            </Button>
          ) : null
        }
        above={verify.data ? <VerifyResult report={verify.data} /> : null}
        filters={[
          { param: 'kind', label: t('events.kind'), kind: 'text' },
          { param: 'user', label: t('events.actor'), kind: 'text' },
          { param: 'since', label: t('statements.since'), kind: 'time' },
          { param: 'until', label: t('statements.until'), kind: 'time' },
        ]}
        columns={[
          { key: 'at', title: t('events.at'), sort: 'at', width: '160px', render: (entry) => <Time at={entry.at} exact /> },
          { key: 'kind', title: t('events.kind'), sort: 'kind', render: (entry) => <EventKind kind={entry.kind} /> },
          { key: 'actor', title: t('events.actor'), render: (entry) => <span className="qk-cell-main">{nameOf(entry.actor)}</span> },
          { key: 'summary', title: t('events.summary'), render: (entry) => entry.summary },
          { key: 'subject', title: t('events.subject'), render: (entry) => nameOf(entry.subject) },
          { key: 'address', title: t('events.address'), mono: true, render: (entry) => entry.address },
        ]}
        empty={<Empty icon={Activity} title={t('events.emptyTitle')} text={t('events.text')} />}
        detailTitle={t('events.one')}
        detail={(id) => (
          <WithEntry<AuditEvent> resource="audit/events" id={id}>
            {(entry) => <EventDetail entry={entry} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function VerifyResult({ report }: { report: VerifyReport }) {
  const { t, i18n } = useTranslation()
  return (
    <div className={`qk-note ${report.ok ? 'qk-tone-ok' : 'qk-tone-deny'}`} role="status">
      <ShieldCheck size={15} aria-hidden />
      <div>
        <b>{report.ok ? t('events.chainOk', { count: report.records, shown: formatNumber(report.records, i18n.language) }) : t('events.chainBroken')}</b>
        {report.covered_until ? (
          <div>
            {t('events.coveredUntil')} <Time at={report.covered_until} exact />
          </div>
        ) : null}
        {report.findings.map((finding, index) => (
          <div key={index}>{Object.values(finding).map(String).join(' · ')}</div>
        ))}
      </div>
    </div>
  )
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '–'
  if (typeof value === 'string') return value
  return JSON.stringify(value)
}

function EventDetail({ entry }: { entry: AuditEvent }) {
  const { t } = useTranslation()
  const names = [...new Set([...Object.keys(entry.before ?? {}), ...Object.keys(entry.after ?? {})])]
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('events.summary'), entry.summary],
            [t('events.kind'), <EventKind key="k" kind={entry.kind} />],
            [t('events.at'), <Time key="t" at={entry.at} exact />],
            [t('events.actor'), nameOf(entry.actor)],
            [t('events.subject'), nameOf(entry.subject)],
            [t('events.connection'), nameOf(entry.connection)],
            [t('events.address'), entry.address ? <code key="a">{entry.address}</code> : ''],
          ]}
        />
      </Section>
      {names.length > 0 ? (
        <Section title={t('events.change')}>
          <table className="qk-table qk-diff">
            <thead>
              <tr>
                <th scope="col">{t('events.field')}</th>
                <th scope="col">{t('events.before')}</th>
                <th scope="col">{t('events.after')}</th>
              </tr>
            </thead>
            <tbody>
              {names.map((name) => {
                const before = text(entry.before?.[name])
                const after = text(entry.after?.[name])
                return (
                  <tr key={name} className={before === after ? 'qk-muted' : ''}>
                    <td className="qk-mono">{name}</td>
                    <td className="qk-mono">{before}</td>
                    <td className="qk-mono">{after}</td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </Section>
      ) : entry.before === null && entry.after === null ? null : (
        <Badge tone="info">{t('events.noChange')}</Badge>
      )}
    </>
  )
}
