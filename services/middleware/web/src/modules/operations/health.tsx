import { useQuery } from '@tanstack/react-query'
import { RefreshCw } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import type { Health } from '@/api/types'
import { Need } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { DataTable } from '@/components/ui/DataTable'
import { PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { ErrorPanel, Skeleton } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { formatDuration } from '@/lib/format'

/** Whether each part of the installation does its work, as the API sees it now. */
export function HealthPage() {
  const { t } = useTranslation()
  usePageTitle(t('nav.health'))
  return (
    <Need permission="jobs.view">
      <Parts />
    </Need>
  )
}

function Parts() {
  const { t } = useTranslation()
  const health = useQuery({ queryKey: ['health'], queryFn: () => request<Health>('GET', 'health'), refetchInterval: 30_000 })
  const failing = health.data?.parts.filter((part) => !part.ok) ?? []
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={t('nav.health')} text={t('healthPage.text')}>
        <Button icon={<RefreshCw size={14} aria-hidden />} loading={health.isFetching} onClick={() => void health.refetch()}>
          {t('healthPage.again')}
        </Button>
      </PageHeader>
      {health.isPending ? (
        <Skeleton rows={8} label={t('healthPage.looking')} />
      ) : health.isError ? (
        <ErrorPanel error={health.error} onRetry={() => void health.refetch()} />
      ) : (
        <>
          <p className={`qk-note qk-tone-${failing.length > 0 ? 'deny' : 'ok'}`} role="status">
            {failing.length > 0 ? t('healthPage.failing', { count: failing.length }) : t('healthPage.allWell')}
            <span className="qk-spacer" />
            <Time at={health.data.at} />
          </p>
          <Section>
            <DataTable
              label={t('nav.health')}
              rows={[...failing, ...health.data.parts.filter((part) => part.ok)]}
              rowKey={(part) => part.name}
              footer={<></>}
              columns={[
                {
                  key: 'part',
                  title: t('healthPage.part'),
                  render: (part) => <span className="qk-cell-main">{t(`healthPage.parts.${part.name}`, { defaultValue: part.name })}</span>,
                },
                {
                  key: 'state',
                  title: t('common.state'),
                  render: (part) => <Badge tone={part.ok ? 'ok' : 'deny'}>{part.ok ? t('healthPage.works') : t('healthPage.fails')}</Badge>,
                },
                { key: 'message', title: t('healthPage.message'), render: (part) => part.message },
                { key: 'took', title: t('healthPage.took'), align: 'right', render: (part) => formatDuration(part.duration_ms) },
              ]}
            />
          </Section>
        </>
      )}
    </div>
  )
}
