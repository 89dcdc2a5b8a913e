import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Database, Plus, RefreshCw, ShieldCheck } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { request } from '@/api/client'
import type { Connection, ProbeReport } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge, type Tone } from '@/components/ui/Badge'
import { Button, LinkButton } from '@/components/ui/Button'
import { EntryActions, EntryPage, WithEntry } from '@/components/ui/Entry'
import { Facts, Section, Tags } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { useEngines } from './engines'
import { ProbeResult } from './probe'

export function HealthBadge({ connection }: { connection: Connection }) {
  const { t } = useTranslation()
  if (!connection.is_enabled) return <Badge tone="info">{t('connections.disabled')}</Badge>
  const state = connection.health?.state ?? 'unknown'
  const tone: Tone = state === 'ok' ? 'ok' : state === 'unknown' ? 'info' : state === 'warning' ? 'wait' : 'deny'
  return <Badge tone={tone}>{t(`health.${state}`, { defaultValue: state })}</Badge>
}

export function ConnectionList() {
  const engines = useEngines()
  const { t, i18n } = useTranslation()
  const can = useCan()
  const add = can('connections.change') ? (
    <LinkButton to="/connections/new" type="primary" icon={<Plus size={14} />}>
        {t('connections.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="connections.view">
      <ResourceList<Connection>
        resource="connections"
        title={t('connections.title')}
        text={t('connections.text')}
        rowKey={(entry) => entry.id}
        actions={add}
        filters={[
          {
            param: 'engine',
            label: t('connections.engine'),
            kind: 'choice',
            options: engines.all.map((engine) => ({ value: engine.name, label: engine.label })),
          },
          {
            param: 'health',
            label: t('connections.health'),
            kind: 'choice',
            options: ['ok', 'failed', 'unknown'].map((value) => ({ value, label: t(`health.${value}`) })),
          },
        ]}
        columns={[
          {
            key: 'name',
            title: t('connections.name'),
            sort: 'name',
            render: (entry) => (
              <>
                <span className="qk-cell-main">{entry.name}</span>
                {entry.description ? <span className="qk-cell-sub">{entry.description}</span> : null}
              </>
            ),
          },
          { key: 'engine', title: t('connections.engine'), sort: 'engine', render: (entry) => engines.label(entry.engine) },
          {
            key: 'address',
            title: t('connections.address'),
            mono: true,
            render: (entry) => `${entry.host}:${entry.port}/${entry.database}`,
          },
          { key: 'proxy', title: t('connections.port'), align: 'right', render: (entry) => entry.proxy?.port ?? '–' },
          { key: 'health', title: t('connections.health'), render: (entry) => <HealthBadge connection={entry} /> },
          {
            key: 'catalog',
            title: t('connections.catalog'),
            render: (entry) =>
              entry.catalog?.crawled_at ? (
                <>
                  {t('connections.relations', { count: entry.catalog.relations, shown: entry.catalog.relations.toLocaleString(i18n.language) })}
                  <span className="qk-cell-sub">
                    <Time at={entry.catalog.crawled_at} />
                  </span>
                </>
              ) : (
                <span className="qk-muted">{t('connections.notCrawled')}</span>
              ),
          },
          { key: 'tags', title: t('connections.tags'), render: (entry) => <Tags items={tagTexts(entry)} /> },
        ]}
        empty={
          <Empty icon={Database} title={t('connections.emptyTitle')} text={t('connections.emptyText')}>
            {add}
          </Empty>
        }
        detailTitle={t('connections.one')}
        pageOf={(id) => `/connections/${id}`}
        detail={(id, close) => (
          <WithEntry<Connection> resource="connections" id={id}>
            {(entry) => <ConnectionDetail entry={entry} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function tagTexts(entry: Connection): string[] {
  return Object.entries(entry.tags ?? {}).map(([name, value]) => (value ? `${name}:${value}` : name))
}

export function ConnectionPage() {
  const { t } = useTranslation()
  const can = useCan()
  const back = can('connections.view')
    ? { to: '/connections', label: t('connections.title') }
    : { to: '/my/connections', label: t('my.title') }
  return (
    <EntryPage<Connection> resource="connections" back={back} nameOf={(entry) => entry.name}>
      {(entry, leave) => <ConnectionDetail entry={entry} onRemoved={leave} />}
    </EntryPage>
  )
}

function ConnectionDetail({ entry, onRemoved }: { entry: Connection; onRemoved: () => void }) {
  const { t } = useTranslation()
  const can = useCan()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const [report, setReport] = useState<ProbeReport | null>(null)
  const test = useMutation({
    mutationFn: () => request<ProbeReport>('POST', `connections/${entry.id}/test`, { body: {} }),
    onSuccess: setReport,
    onError: (error) => toast(errorText(error), 'error'),
  })
  const engines = useEngines()
  const crawl = useMutation({
    mutationFn: () => request('POST', `connections/${entry.id}/crawl`, { body: {} }),
    onSuccess: () => {
      toast(t('connections.crawlStarted'))
      window.setTimeout(() => void cache.invalidateQueries({ queryKey: ['entry', 'connections', entry.id] }), 2500)
    },
    onError: (error) => toast(errorText(error), 'error'),
  })
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('connections.engine'), `${engines.label(entry.engine)} ${entry.server_version}`],
            [t('connections.description'), entry.description],
            [t('connections.address'), <code key="a">{`${entry.host}:${entry.port}/${entry.database}`}</code>],
            [t('connections.account'), <code key="u">{entry.username}</code>],
            [t('connections.tls'), t(`tls.${entry.tls_mode.replace('-', '_')}`)],
            [t('connections.tlsRequired'), entry.tls_required ? t('common.yes') : t('common.no')],
            [t('connections.proxy'), entry.proxy?.port ? <code key="p">{`${entry.proxy.host}:${entry.proxy.port}`}</code> : ''],
            [t('connections.health'), <span key="h" className="qk-row"><HealthBadge connection={entry} /> <Time at={entry.health?.checked_at} /></span>],
            ...(entry.health?.message ? ([[t('connections.healthMessage'), entry.health.message]] as [string, string][]) : []),
            [t('connections.tags'), <Tags key="t" items={tagTexts(entry)} />],
          ]}
        />
      </Section>
      <Section
        title={t('connections.catalog')}
        actions={
          <span className="qk-row">
            {can('connections.change') ? (
              <Button size="small" icon={<RefreshCw size={13} />} loading={crawl.isPending} onClick={() => crawl.mutate()}>
                {t('connections.crawl')}
              </Button>
            ) : null}
            <Link to={`/connections/${entry.id}/catalog`}>{t('connections.openCatalog')}</Link>
          </span>
        }
      >
        <Facts
          items={[
            [t('connections.crawledAt'), <Time key="c" at={entry.catalog?.crawled_at} />],
            [t('connections.relationCount'), entry.catalog?.relations ?? 0],
            [
              t('connections.complete'),
              entry.catalog?.crawled_at ? entry.catalog.complete ? t('common.yes') : <Badge key="i" tone="wait">{t('connections.incomplete')}</Badge> : '',
            ],
            ...(entry.catalog?.error ? ([[t('connections.crawlError'), entry.catalog.error]] as [string, string][]) : []),
          ]}
        />
      </Section>
      {report ? (
        <Section title={t('probe.title')}>
          <ProbeResult report={report} />
        </Section>
      ) : null}
      <EntryActions
        resource="connections"
        entry={entry}
        name={entry.name}
        editPath={`/connections/${entry.id}/edit`}
        canChange={can('connections.change')}
        removeText={t('connections.removeText')}
        onRemoved={onRemoved}
      >
        {can('connections.change') ? (
          <Button icon={<ShieldCheck size={14} />} loading={test.isPending} onClick={() => test.mutate()}>
            {t('probe.run')}
          </Button>
        ) : null}
        {can('policy.change') ? (
          <LinkButton to={`/grants/new?connection=${entry.id}&connection_name=${encodeURIComponent(entry.name)}`}>{t('grants.add')}</LinkButton>
        ) : null}
      </EntryActions>
    </>
  )
}
