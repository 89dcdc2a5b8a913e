import { KeyRound, PlugZap, SquareTerminal } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { useList, useSave } from '@/api/hooks'
import type { Connection, ProxyToken } from '@/api/types'
import { Badge } from '@/components/ui/Badge'
import { Button, LinkButton } from '@/components/ui/Button'
import { SecretDialog } from '@/components/ui/Dialogs'
import { Field } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Modal } from '@/components/ui/Modal'
import { CopyLine, Facts, PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { Select } from '@/components/ui/Select'
import { Empty, ErrorPanel, Skeleton, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { useExpiryOptions } from '@/modules/profile/expiry'
import { ProxyTokens } from '@/modules/profile/proxy-tokens'
import { connectionLines } from './connection-lines'
import { useEngines } from './engines'

export function MyConnections() {
  const { t } = useTranslation()
  usePageTitle(t('my.title'))
  const engines = useEngines()
  const [params, setParams] = useSearchParams()
  const list = useList<Connection>('connections')
  const tokens = useList<ProxyToken>('proxy-tokens')
  const mine = list.rows.filter((entry) => entry.my_access)
  const chosen = mine.find((entry) => entry.id === params.get('connection')) ?? mine[0]
  return (
    <div className="qk-page">
      <PageHeader title={t('my.title')} text={t('my.text')} />
      {list.isPending ? (
        <Skeleton rows={6} />
      ) : list.isError ? (
        <ErrorPanel error={list.error} onRetry={() => void list.refetch()} />
      ) : mine.length === 0 || !chosen ? (
        <Empty icon={PlugZap} title={t('my.emptyTitle')} text={t('my.emptyText')} />
      ) : (
        <div className="qk-my">
          <ul className="qk-plain qk-my-list" aria-label={t('my.title')}>
            {mine.map((entry) => (
              <li key={entry.id}>
                <button
                  type="button"
                  className={entry.id === chosen.id ? 'qk-selected-item' : ''}
                  aria-current={entry.id === chosen.id}
                  onClick={() => setParams({ connection: entry.id })}
                >
                  <b>{entry.name}</b>
                  <span>
                    {engines.label(entry.engine)} · {entry.my_access?.privilege}
                  </span>
                </button>
              </li>
            ))}
          </ul>
          <MyConnection key={chosen.id} connection={chosen} tokens={tokens.rows.filter((token) => token.connection.id === chosen.id)} />
        </div>
      )}
    </div>
  )
}

function MyConnection({ connection, tokens }: { connection: Connection; tokens: ProxyToken[] }) {
  const { t } = useTranslation()
  const engines = useEngines()
  const [making, setMaking] = useState(false)
  const [made, setMade] = useState<ProxyToken | null>(null)
  const user = tokens[0]?.username ?? t('my.tokenUser')
  return (
    <div>
      <Section
        title={connection.name}
        actions={
          <LinkButton to={`/editor?connection=${encodeURIComponent(connection.id)}`} type="primary" icon={<SquareTerminal size={14} />}>
              {t('my.openEditor')}
            </LinkButton>
        }
      >
        <Facts
          items={[
            [t('connections.engine'), `${engines.label(connection.engine)} ${connection.server_version}`],
            [t('connections.database'), <code key="d">{connection.database}</code>],
            [t('grants.privilege'), <Badge key="p" tone="ok">{connection.my_access?.privilege}</Badge>],
            [t('grants.until'), connection.my_access?.valid_until ? <Time key="u" at={connection.my_access.valid_until} /> : t('grants.noEnd')],
            [t('connections.catalog'), <Link key="c" to={`/connections/${connection.id}/catalog`}>{t('connections.openCatalog')}</Link>],
          ]}
        />
      </Section>
      <Section
        title={t('my.ownTools')}
        text={tokens.length > 0 ? t('my.ownToolsText') : t('my.noToken')}
        actions={
          <Button icon={<KeyRound size={14} />} onClick={() => setMaking(true)}>
            {t('proxyTokens.add')}
          </Button>
        }
      >
        <div className="qk-stack">
          {connectionLines(connection, engines.get(connection.engine), user, null).map((line) => (
            <CopyLine key={line.label} label={line.label} text={line.text} />
          ))}
        </div>
      </Section>
      <Section title={t('proxyTokens.title')} text={t('proxyTokens.text')}>
        <ProxyTokens tokens={tokens} />
      </Section>
      <TokenDialog
        open={making}
        connection={connection}
        onClose={() => setMaking(false)}
        onMade={(token) => {
          setMaking(false)
          setMade(token)
        }}
      />
      <SecretDialog
        open={made !== null}
        title={t('proxyTokens.madeTitle')}
        onClose={() => setMade(null)}
        lines={
          made
            ? [
                { label: t('auth.username'), text: made.username },
                { label: t('auth.password'), text: made.password ?? '' },
                ...connectionLines(connection, engines.get(connection.engine), made.username, made.password ?? null).filter((line) => line.label !== 'qk'),
              ]
            : []
        }
      />
    </div>
  )
}

function TokenDialog({
  open,
  connection,
  onClose,
  onMade,
}: {
  open: boolean
  connection: Connection
  onClose: () => void
  onMade: (token: ProxyToken) => void
}) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const save = useSave<ProxyToken>('proxy-tokens')
  const [name, setName] = useState('')
  const [days, setDays] = useState(90)
  const expiry = useExpiryOptions()
  const make = () =>
    save.mutate(
      {
        body: {
          name: name.trim() || connection.name,
          connection: connection.id,
          expires_at: days === 0 ? null : new Date(Date.now() + days * 86_400_000).toISOString(),
        },
      },
      {
        onSuccess: (token) => {
          setName('')
          onMade(token)
        },
      },
    )
  return (
    <Modal
      open={open}
      title={t('proxyTokens.addFor', { name: connection.name })}
      okText={t('proxyTokens.make')}
      busy={save.isPending}
      onOk={make}
      onCancel={() => {
        save.reset()
        onClose()
      }}
    >
      <div className="qk-stack qk-loose">
        <Field label={t('proxyTokens.name')} help={t('proxyTokens.nameHelp')}>
          {(control) => <Input {...control} value={name} onChange={(event) => setName(event.target.value)} onPressEnter={make} />}
        </Field>
        <Field label={t('proxyTokens.expiry')} required>
          {(control) => <Select {...control} className="qk-control" value={days} onChange={setDays} options={expiry} />}
        </Field>
        {save.isError ? <p className="qk-field-error">{errorText(save.error)}</p> : null}
      </div>
    </Modal>
  )
}
