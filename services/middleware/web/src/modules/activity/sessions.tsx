import { Ban, Cable, Square } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useAct } from '@/api/hooks'
import type { LiveSession } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { DangerDialog } from '@/components/ui/Dialogs'
import { WithEntry } from '@/components/ui/Entry'
import { Input } from '@/components/ui/Input'
import { Facts, Section } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty, useErrorText } from '@/components/ui/States'
import { Time, useNow } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { formatBytes, formatDuration, formatNumber } from '@/lib/format'

function SessionState({ session }: { session: LiveSession }) {
  const { t } = useTranslation()
  const tone = session.state === 'running' ? 'ok' : session.state === 'transaction' ? 'wait' : 'info'
  return <Badge tone={tone}>{t(`sessionState.${session.state}`, { defaultValue: session.state })}</Badge>
}

function Running({ since }: { since: string | null }) {
  const now = useNow(1000)
  if (!since) return null
  return <span className="qk-num">{formatDuration(Math.max(0, now - new Date(since).getTime()))}</span>
}

/** Sessions of every road, now; refreshed every two seconds. */
export function SessionList() {
  const { t } = useTranslation()
  return (
    <Need permission="sessions.view">
      <ResourceList<LiveSession>
        resource="sessions"
        title={t('sessions.title')}
        text={t('sessions.text')}
        rowKey={(session) => session.id}
        refetchMs={2000}
        filters={[
          {
            param: 'route',
            label: t('statements.route'),
            kind: 'choice',
            options: ['editor', 'agent', 'agentless'].map((value) => ({ value, label: t(`route.${value}`) })),
          },
          { param: 'user', label: t('statements.user'), kind: 'text' },
          { param: 'connection', label: t('statements.connection'), kind: 'text' },
        ]}
        columns={[
          { key: 'state', title: t('sessions.state'), width: '110px', render: (session) => <SessionState session={session} /> },
          {
            key: 'user',
            title: t('statements.user'),
            render: (session) => (
              <>
                <span className="qk-cell-main">{session.user.name}</span>
                <span className="qk-cell-sub">{[t(`route.${session.route}`), session.client.program].filter(Boolean).join(' · ')}</span>
              </>
            ),
          },
          { key: 'address', title: t('statements.address'), mono: true, render: (session) => session.client.address },
          { key: 'connection', title: t('statements.connection'), render: (session) => <span className="qk-nowrap">{session.connection.name}</span> },
          {
            key: 'statement',
            title: t('statements.statement'),
            render: (session) => <span className="qk-cell-sql">{session.statement}</span>,
          },
          { key: 'since', title: t('sessions.running'), align: 'right', render: (session) => (session.state === 'running' ? <Running since={session.statement_since} /> : '') },
          { key: 'opened', title: t('sessions.opened'), sort: 'opened_at', render: (session) => <Time at={session.opened_at} /> },
        ]}
        empty={<Empty icon={Cable} title={t('sessions.emptyTitle')} text={t('sessions.emptyText')} />}
        detailTitle={t('sessions.one')}
        detail={(id, close) => (
          <WithEntry<LiveSession> resource="sessions" id={id} refetchMs={2000}>
            {(session) => <SessionDetail session={session} onEnded={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function SessionDetail({ session, onEnded }: { session: LiveSession; onEnded: () => void }) {
  const { t, i18n } = useTranslation()
  const can = useCan()
  const errorText = useErrorText()
  const end = useAct<{ reason: string }>(() => `sessions/${session.id}/end`, (body) => body)
  const cancel = useAct<void>(() => `sessions/${session.id}/cancel`)
  const [asking, setAsking] = useState(false)
  const [reason, setReason] = useState('')
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('sessions.state'), <SessionState key="s" session={session} />],
            [t('statements.user'), session.user.name],
            [t('statements.connection'), session.connection.name],
            [t('statements.route'), t(`route.${session.route}`)],
            [t('statements.client'), session.client.program],
            [t('statements.address'), <code key="a">{session.client.address}</code>],
            [t('sessions.opened'), <Time key="o" at={session.opened_at} exact />],
            [t('statements.rows'), formatNumber(Number(session.rows), i18n.language)],
            [t('statements.bytes'), formatBytes(Number(session.bytes))],
            [t('sessions.point'), <code key="e">{session.ep}</code>],
            [t('statements.session'), <code key="i">{session.id}</code>],
          ]}
        />
      </Section>
      {session.statement ? (
        <Section title={t('sessions.statement')}>
          <pre className="qk-code">{session.statement}</pre>
        </Section>
      ) : null}
      {can('sessions.end') ? (
        <div className="qk-row">
          {session.state === 'running' ? (
            <Button
              icon={<Square size={13} />}
              loading={cancel.isPending}
              onClick={() =>
                cancel.mutate(undefined, {
                  onSuccess: () => toast(t('sessions.cancelSent')),
                  onError: (error) => toast(errorText(error), 'error'),
                })
              }
            >
              {t('sessions.cancel')}
            </Button>
          ) : null}
          <Button danger icon={<Ban size={14} />} onClick={() => setAsking(true)}>
            {t('sessions.end')}
          </Button>
        </div>
      ) : null}
      <DangerDialog
        open={asking}
        title={t('sessions.endTitle')}
        text={t('sessions.endText', { user: session.user.name, connection: session.connection.name })}
        name={session.user.name}
        action={t('sessions.end')}
        onClose={() => setAsking(false)}
        onConfirm={async () => {
          await end.mutateAsync({ reason })
          toast(t('sessions.ended'))
          onEnded()
        }}
      >
        <label className="qk-type-name">
          <span>{t('sessions.reason')}</span>
          <Input value={reason} onChange={(event) => setReason(event.target.value)} maxLength={300} />
        </label>
      </DangerDialog>
    </>
  )
}
