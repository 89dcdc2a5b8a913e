import { CalendarClock, Play } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { useAct, useList } from '@/api/hooks'
import type { Job, JobChange, JobRun } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge, type Tone } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { EntryPage, WithEntry } from '@/components/ui/Entry'
import { Facts, Section } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { formatDuration } from '@/lib/format'

const TONES: Record<string, Tone> = { ok: 'ok', failed: 'deny', running: 'wait', queued: 'wait', skipped: 'info' }

function RunState({ state }: { state: string }) {
  const { t } = useTranslation()
  return <Badge tone={TONES[state] ?? 'info'}>{t(`runState.${state}`)}</Badge>
}

function useJobTitle(): (job: Job) => string {
  const { i18n } = useTranslation()
  return (job) => (i18n.language === 'ko' ? job.titles.ko : job.titles.en)
}

function Schedule({ job }: { job: Job }) {
  const { t } = useTranslation()
  const daily = /^daily at (\d\d:\d\d) UTC$/.exec(job.schedule)
  if (daily) return <>{t('jobs.dailyAt', { time: daily[1] })}</>
  if (job.every_s === null) return <>{job.schedule}</>
  if (job.every_s % 86_400 === 0) return <>{t('jobs.everyDays', { count: job.every_s / 86_400 })}</>
  if (job.every_s % 3600 === 0) return <>{t('jobs.everyHours', { count: job.every_s / 3600 })}</>
  if (job.every_s % 60 === 0) return <>{t('jobs.everyMinutes', { count: job.every_s / 60 })}</>
  return <>{t('jobs.everySeconds', { count: job.every_s })}</>
}

function useJobText(): (job: Job) => string {
  const { i18n } = useTranslation()
  return (job) => (i18n.language === 'ko' ? job.descriptions.ko : job.descriptions.en)
}

export function JobList() {
  const { t } = useTranslation()
  const jobText = useJobText()
  const jobTitle = useJobTitle()
  return (
    <Need permission="jobs.view">
      <ResourceList<Job>
        resource="jobs"
        title={t('jobs.title')}
        text={t('jobs.text')}
        rowKey={(job) => job.name}
        searchable={false}
        refetchMs={5000}
        columns={[
          {
            key: 'title',
            title: t('jobs.job'),
            render: (job) => (
              <>
                <span className="qk-cell-main">{jobTitle(job)}</span>
                <span className="qk-cell-sub">{jobText(job)}</span>
              </>
            ),
          },
          { key: 'schedule', title: t('jobs.schedule'), render: (job) => <Schedule job={job} /> },
          {
            key: 'next',
            title: t('jobs.next'),
            render: (job) => (job.is_enabled ? <Time at={job.next_run_at} /> : <Badge tone="info">{t('common.off')}</Badge>),
          },
          {
            key: 'last',
            title: t('jobs.last'),
            render: (job) =>
              job.running ? <RunState state="running" /> : job.last_run ? <RunState state={job.last_run.state} /> : <span className="qk-muted">{t('common.never')}</span>,
          },
          { key: 'when', title: t('jobs.when'), render: (job) => (job.last_run ? <Time at={job.last_run.started_at ?? job.last_run.queued_at} /> : '') },
          { key: 'summary', title: t('jobs.summary'), render: (job) => job.last_run?.summary || job.last_run?.error },
        ]}
        empty={<Empty icon={CalendarClock} title={t('jobs.emptyTitle')} text={t('jobs.text')} />}
        detailTitle={t('jobs.job')}
        pageOf={(id) => `/jobs/${id}`}
        detail={(id) => (
          <WithEntry<Job> resource="jobs" id={id} refetchMs={3000}>
            {(job) => <JobDetail job={job} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

export function JobPage() {
  const { t } = useTranslation()
  const jobTitle = useJobTitle()
  return (
    <Need permission="jobs.view">
      <EntryPage<Job> resource="jobs" back={{ to: '/jobs', label: t('jobs.title') }} nameOf={jobTitle}>
        {(job) => <JobDetail job={job} />}
      </EntryPage>
    </Need>
  )
}

function JobDetail({ job }: { job: Job }) {
  const { t } = useTranslation()
  const jobText = useJobText()
  const can = useCan()
  const errorText = useErrorText()
  const run = useAct<void>(() => `jobs/${job.name}/run`)
  const runs = useList<JobRun>(`jobs/${job.name}/runs`, {}, { refetchMs: 3000 })
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('jobs.name'), <code key="n">{job.name}</code>],
            [t('jobs.description'), jobText(job)],
            [t('jobs.schedule'), <Schedule key="s" job={job} />],
            [t('jobs.next'), <Time key="x" at={job.next_run_at} exact />],
          ]}
        />
        {can('jobs.run') && job.can_run_now ? (
          <div className="qk-row qk-section-actions">
            <Button
              icon={<Play size={13} />}
              loading={run.isPending || job.running}
              onClick={() =>
                run.mutate(undefined, {
                  onSuccess: () => toast(t('jobs.started')),
                  onError: (error) => toast(errorText(error), 'error'),
                })
              }
            >
              {job.running ? t('runState.running') : t('jobs.runNow')}
            </Button>
          </div>
        ) : null}
      </Section>
      <Section title={t('jobs.runs')}>
        {runs.rows.length === 0 ? (
          <p className="qk-muted">{runs.isPending ? t('common.loading') : t('jobs.noRuns')}</p>
        ) : (
          <ul className="qk-plain qk-runs">
            {runs.rows.map((entry) => (
              <li key={entry.id}>
                <div className="qk-row">
                  <RunState state={entry.state} />
                  <Time at={entry.started_at ?? entry.queued_at} />
                  {entry.finished_at && entry.started_at ? (
                    <span className="qk-muted qk-num">
                      {formatDuration(new Date(entry.finished_at).getTime() - new Date(entry.started_at).getTime())}
                    </span>
                  ) : null}
                </div>
                <p>{entry.summary}</p>
                {entry.error ? <p className="qk-field-error">{entry.error}</p> : null}
                <Changes changes={entry.changes ?? []} />
              </li>
            ))}
          </ul>
        )}
      </Section>
    </>
  )
}

function Changes({ changes }: { changes: JobChange[] }) {
  const { t } = useTranslation()
  if (changes.length === 0) return null
  return (
    <details>
      <summary>{t('jobs.changes', { count: changes.length })}</summary>
      <ul className="qk-plain">
        {changes.slice(0, 200).map((change, index) => (
          <li key={index}>{[change.kind, change.subject, change.detail].filter(Boolean).join(' · ')}</li>
        ))}
      </ul>
    </details>
  )
}
