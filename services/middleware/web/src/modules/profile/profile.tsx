import { useQuery, useQueryClient } from '@tanstack/react-query'
import { KeyRound, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import { useList, useMe, useRemove, useSave } from '@/api/hooks'
import type { Agent, ApiToken, Me, ProxyToken } from '@/api/types'
import { Waiting } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { DangerDialog, SecretDialog } from '@/components/ui/Dialogs'
import { Field } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Modal } from '@/components/ui/Modal'
import { Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { Select } from '@/components/ui/Select'
import { useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { PasswordForm } from '@/modules/auth'
import { expiresAt, useExpiryOptions } from './expiry'
import { ProxyTokens } from './proxy-tokens'

export function Profile() {
  const { t } = useTranslation()
  usePageTitle(t('profile.title'))
  const me = useMe()
  const tokens = useList<ProxyToken>('proxy-tokens')
  if (!me.data) return <Waiting />
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={t('profile.title')} text={t('profile.text')} />
      <Person me={me.data} />
      <Section title={t('profile.password')}>
        <div className="qk-password">
          <PasswordForm key={me.dataUpdatedAt} onDone={() => toast(t('auth.passwordChanged'))} />
        </div>
      </Section>
      <ApiTokens me={me.data} />
      <Section title={t('proxyTokens.title')} text={t('proxyTokens.text')}>
        <ProxyTokens tokens={tokens.rows.filter((token) => token.user.id === me.data.id)} />
      </Section>
      <Agents me={me.data} />
      <WebSessions />
    </div>
  )
}

function Person({ me }: { me: Me }) {
  const { t } = useTranslation()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const [name, setName] = useState(me.display_name)
  const save = async () => {
    try {
      await request('PATCH', 'me', { body: { display_name: name } })
      await cache.invalidateQueries({ queryKey: ['me'] })
      toast(t('common.saved'))
    } catch (error) {
      toast(errorText(error), 'error')
    }
  }
  return (
    <Section title={me.username}>
      <Facts
        items={[
          [
            t('users.name'),
            <span key="n" className="qk-row">
              <Input className="qk-search" aria-label={t('users.name')} value={name} onChange={(event) => setName(event.target.value)} />
              {name !== me.display_name && name.trim() ? <Button onClick={() => void save()}>{t('common.save')}</Button> : null}
            </span>,
          ],
          [t('users.email'), me.email],
          [t('users.groups'), <Tags key="g" items={me.groups.map((group) => group.name)} />],
          [t('roles.permissions'), <Tags key="p" items={me.permissions.map((permission) => t(`permission.${permission.replace('.', '_')}`))} none={t('profile.noPermissions')} />],
        ]}
      />
    </Section>
  )
}

function ApiTokens({ me }: { me: Me }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const list = useList<ApiToken>('api-tokens')
  const save = useSave<ApiToken>('api-tokens')
  const remove = useRemove('api-tokens')
  const expiry = useExpiryOptions()
  const [making, setMaking] = useState(false)
  const [made, setMade] = useState<ApiToken | null>(null)
  const [asking, setAsking] = useState<ApiToken | null>(null)
  const [name, setName] = useState('')
  const [days, setDays] = useState(90)
  const [scopes, setScopes] = useState<string[]>([])
  const mine = list.rows.filter((token) => token.user.id === me.id)
  const make = () =>
    save.mutate(
      { body: { name: name.trim(), scopes, expires_at: expiresAt(days) } },
      {
        onSuccess: (token) => {
          setMaking(false)
          setName('')
          setMade(token)
        },
      },
    )
  return (
    <Section
      title={t('apiTokens.title')}
      text={t('apiTokens.text')}
      actions={
        <Button icon={<KeyRound size={14} />} onClick={() => setMaking(true)}>
          {t('apiTokens.add')}
        </Button>
      }
    >
      {mine.length === 0 ? (
        <p className="qk-muted">{t('apiTokens.none')}</p>
      ) : (
        <div className="qk-table-scroll">
          <table className="qk-table">
            <thead>
              <tr>
                <th scope="col">{t('apiTokens.name')}</th>
                <th scope="col">{t('apiTokens.prefix')}</th>
                <th scope="col">{t('apiTokens.scopes')}</th>
                <th scope="col">{t('proxyTokens.expiry')}</th>
                <th scope="col">{t('proxyTokens.lastUsed')}</th>
                <th scope="col" aria-label={t('common.delete')} />
              </tr>
            </thead>
            <tbody>
              {mine.map((token) => (
                <tr key={token.id}>
                  <td className="qk-cell-main">{token.name}</td>
                  <td className="qk-mono">{token.prefix}…</td>
                  <td>
                    <Tags items={token.scopes.map((scope) => t(`permission.${scope.replace('.', '_')}`, { defaultValue: scope }))} none={t('apiTokens.noScopes')} />
                  </td>
                  <td>{token.expires_at ? <Time at={token.expires_at} /> : t('expiry.never')}</td>
                  <td>
                    <Time at={token.last_used_at} />
                  </td>
                  <td className="qk-right">
                    <button type="button" className="qk-icon-button" aria-label={t('common.delete')} title={t('common.delete')} onClick={() => setAsking(token)}>
                      <Trash2 size={14} aria-hidden />
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Modal
        open={making}
        title={t('apiTokens.add')}
        okText={t('apiTokens.make')}
        busy={save.isPending}
        okDisabled={!name.trim()}
        onOk={make}
        onCancel={() => {
          save.reset()
          setMaking(false)
        }}
      >
        <div className="qk-stack qk-loose">
          <Field label={t('apiTokens.name')} required>
            {(control) => <Input {...control} value={name} onChange={(event) => setName(event.target.value)} />}
          </Field>
          <Field label={t('apiTokens.scopes')} help={t('apiTokens.scopesHelp')}>
            {(control) => (
              <Select
                {...control}
                className="qk-control"
                mode="multiple"
                value={scopes}
                onChange={setScopes}
                options={me.scopes.map((scope) => ({ value: scope, label: t(`permission.${scope.replace('.', '_')}`) }))}
              />
            )}
          </Field>
          <Field label={t('proxyTokens.expiry')} required>
            {(control) => <Select {...control} className="qk-control" value={days} onChange={setDays} options={expiry} />}
          </Field>
          {save.isError ? <p className="qk-field-error">{errorText(save.error)}</p> : null}
        </div>
      </Modal>
      <SecretDialog open={made !== null} title={t('apiTokens.madeTitle')} onClose={() => setMade(null)} lines={[{ label: t('apiTokens.token'), text: made?.secret ?? '' }]} />
      <DangerDialog
        open={asking !== null}
        title={t('danger.deleteTitle', { name: asking?.name ?? '' })}
        text={t('apiTokens.removeText')}
        name={null}
        action={t('common.delete')}
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          if (asking) await remove.mutateAsync({ id: asking.id, etag: asking.etag })
          toast(t('common.deleted'))
        }}
      />
    </Section>
  )
}

function Agents({ me }: { me: Me }) {
  const { t } = useTranslation()
  const list = useList<Agent>('agents')
  const remove = useRemove('agents')
  const [asking, setAsking] = useState<Agent | null>(null)
  const mine = list.rows.filter((agent) => !agent.user || agent.user.id === me.id)
  return (
    <Section title={t('agents.title')} text={t('agents.text')}>
      {mine.length === 0 ? (
        <p className="qk-muted">
          {t('agents.none')} <code>{'qk login'}</code>
        </p>
      ) : (
        <ul className="qk-plain qk-lines">
          {mine.map((agent) => (
            <li key={agent.id}>
              <b>{agent.machine}</b>
              <code>{agent.address}</code>
              <span className="qk-muted">
                {t('proxyTokens.lastUsed')} <Time at={agent.last_used_at} />
              </span>
              <span className="qk-spacer" />
              <Button size="small" onClick={() => setAsking(agent)}>
                {t('agents.revoke')}
              </Button>
            </li>
          ))}
        </ul>
      )}
      <DangerDialog
        open={asking !== null}
        title={t('agents.revokeTitle', { name: asking?.machine ?? '' })}
        text={t('agents.revokeText')}
        name={null}
        action={t('agents.revoke')}
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          if (asking) await remove.mutateAsync({ id: asking.id })
          toast(t('agents.revoked'))
        }}
      />
    </Section>
  )
}

interface WebSession {
  id: string
  created_at: string
  last_seen_at: string
  expires_at: string
  address: string
  program: string
  is_current: boolean
}

function WebSessions() {
  const { t } = useTranslation()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const list = useQuery({
    queryKey: ['web-sessions'],
    queryFn: async () => {
      const answer = await request<WebSession[] | { results: WebSession[] }>('GET', 'me/web-sessions')
      return Array.isArray(answer) ? answer : answer.results
    },
  })
  const end = async (session: WebSession) => {
    try {
      await request('DELETE', `me/web-sessions/${encodeURIComponent(session.id)}`)
      toast(t('webSessions.ended'))
      await cache.invalidateQueries({ queryKey: ['web-sessions'] })
    } catch (error) {
      toast(errorText(error), 'error')
    }
  }
  return (
    <Section title={t('webSessions.title')} text={t('webSessions.text')}>
      <ul className="qk-plain qk-lines">
        {(list.data ?? []).map((session) => (
          <li key={session.id}>
            <span className="qk-truncate qk-agent-string" title={session.program}>
              {browserName(session.program)}
            </span>
            <code>{session.address}</code>
            <span className="qk-muted">
              {t('webSessions.seen')} <Time at={session.last_seen_at} />
            </span>
            <span className="qk-spacer" />
            {session.is_current ? (
              <Badge tone="ok">{t('webSessions.current')}</Badge>
            ) : (
              <Button size="small" onClick={() => void end(session)}>
                {t('webSessions.end')}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Section>
  )
}

/** `Chrome 130 · Linux` from a user agent text. */
export function browserName(program: string): string {
  const browser = /(Edg|Firefox|HeadlessChrome|Chrome|Version)\/(\d+)/.exec(program)
  const system = /(Windows|Macintosh|Android|iPhone|Linux)/.exec(program)
  if (!browser) return program
  const names: Record<string, string> = { Edg: 'Edge', Version: 'Safari', HeadlessChrome: 'Chrome' }
  const name = names[browser[1] ?? ''] ?? browser[1]
  return [`${name} ${browser[2]}`, system?.[1]?.replace('Macintosh', 'macOS')].filter(Boolean).join(' · ')
}
