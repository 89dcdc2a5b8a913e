import { Lock, Plus, UserRound } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams } from 'react-router'
import { request } from '@/api/client'
import { useAct, useSave } from '@/api/hooks'
import type { Grant, User } from '@/api/types'
import { useList } from '@/api/hooks'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { Button, LinkButton } from '@/components/ui/Button'
import { Switch } from '@/components/ui/Checks'
import { SecretDialog } from '@/components/ui/Dialogs'
import { EntryActions, EntryPage, FormLoader, WithEntry } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { RefMultiSelect } from '@/components/ui/RefSelect'
import { ResourceList } from '@/components/ui/ResourceList'
import { Select } from '@/components/ui/Select'
import { Empty, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'

function UserState({ user }: { user: User }) {
  const { t } = useTranslation()
  if (!user.is_active) return <Badge tone="info">{t('users.inactive')}</Badge>
  if (user.is_locked)
    return (
      <Badge tone="wait" icon={Lock}>
        {t('users.locked')}
      </Badge>
    )
  return <Badge tone="ok">{t('users.active')}</Badge>
}

export function UserList() {
  const { t } = useTranslation()
  const can = useCan()
  const add = can('users.change') ? (
    <LinkButton to="/users/new" type="primary" icon={<Plus size={14} />}>
        {t('users.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="users.view">
      <ResourceList<User>
        resource="users"
        title={t('users.title')}
        text={t('users.text')}
        rowKey={(user) => user.id}
        actions={add}
        filters={[
          {
            param: 'is_active',
            label: t('users.state'),
            kind: 'choice',
            options: [
              { value: 'true', label: t('users.active') },
              { value: 'false', label: t('users.inactive') },
            ],
          },
        ]}
        columns={[
          {
            key: 'name',
            title: t('users.name'),
            sort: 'display_name',
            render: (user) => <span className="qk-cell-main">{user.display_name || user.username}</span>,
          },
          { key: 'username', title: t('users.username'), sort: 'username', render: (user) => user.username },
          { key: 'email', title: t('users.email'), render: (user) => user.email },
          { key: 'state', title: t('users.state'), render: (user) => <UserState user={user} /> },
          { key: 'groups', title: t('users.groups'), render: (user) => <Tags items={user.groups.map((group) => group.name)} /> },
          { key: 'roles', title: t('users.roles'), render: (user) => <Tags items={user.roles.map((role) => role.name)} /> },
          {
            key: 'last',
            title: t('users.lastSignIn'),
            render: (user) => <Time at={user.last_sign_in_at} />,
          },
        ]}
        empty={
          <Empty icon={UserRound} title={t('users.emptyTitle')} text={t('users.emptyText')}>
            {add}
          </Empty>
        }
        detailTitle={t('users.one')}
        pageOf={(id) => `/users/${id}`}
        detail={(id, close) => (
          <WithEntry<User> resource="users" id={id}>
            {(user) => <UserDetail user={user} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

export function UserPage() {
  const { t } = useTranslation()
  return (
    <EntryPage<User> resource="users" back={{ to: '/users', label: t('users.title') }} nameOf={(user) => user.display_name || user.username}>
      {(user, leave) => <UserDetail user={user} onRemoved={leave} />}
    </EntryPage>
  )
}

function UserDetail({ user, onRemoved }: { user: User; onRemoved: () => void }) {
  const { t } = useTranslation()
  const can = useCan()
  const errorText = useErrorText()
  const unlock = useAct<string>((id) => `users/${id}/unlock`)
  const [secret, setSecret] = useState<string | null>(null)
  const temporary = async () => {
    try {
      const answer = await request<{ password: string }>('POST', `users/${user.id}/temporary-password`, { body: {} })
      setSecret(answer.password)
    } catch (error) {
      toast(errorText(error), 'error')
    }
  }
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('users.name'), user.display_name],
            [t('users.username'), user.username],
            [t('users.email'), user.email],
            [t('users.state'), <UserState key="state" user={user} />],
            ...(user.is_active ? [] : ([[t('users.reason'), user.deactivation_reason]] as [string, string][])),
            [t('users.language'), user.language ? t(`language.${user.language}`) : ''],
            [t('users.lastSignIn'), <Time key="last" at={user.last_sign_in_at} />],
            [t('users.created'), <Time key="created" at={user.created_at} exact />],
            [t('users.groups'), <Tags key="groups" items={user.groups.map((group) => group.name)} />],
            [t('users.roles'), <Tags key="roles" items={user.roles.map((role) => role.name)} />],
          ]}
        />
      </Section>
      {can('policy.view') ? <UserGrants user={user} /> : null}
      <EntryActions
        resource="users"
        entry={user}
        name={user.username}
        editPath={`/users/${user.id}/edit`}
        canChange={can('users.change')}
        removeText={t('users.removeText')}
        onRemoved={onRemoved}
      >
        {can('users.change') && user.is_locked ? (
          <Button onClick={() => unlock.mutate(user.id, { onSuccess: () => toast(t('users.unlocked')), onError: (error) => toast(errorText(error), 'error') })}>
            {t('users.unlock')}
          </Button>
        ) : null}
        {can('users.change') ? <Button onClick={() => void temporary()}>{t('users.temporary')}</Button> : null}
      </EntryActions>
      <SecretDialog
        open={secret !== null}
        title={t('users.temporaryTitle', { name: user.username })}
        lines={[{ label: t('auth.password'), text: secret ?? '' }]}
        onClose={() => setSecret(null)}
      >
        <p className="qk-muted">{t('users.temporaryText')}</p>
      </SecretDialog>
    </>
  )
}

function UserGrants({ user }: { user: User }) {
  const { t } = useTranslation()
  const grants = useList<Grant>('grants', { user: user.id })
  return (
    <Section title={t('grants.title')}>
      {grants.rows.length === 0 ? (
        <p className="qk-muted">{grants.isPending ? t('common.loading') : t('users.noGrants')}</p>
      ) : (
        <ul className="qk-plain">
          {grants.rows.map((grant) => (
            <li key={grant.id}>
              <Link to={`/grants/${grant.id}`}>{grant.connection.name}</Link> · {grant.privilege.name}
              {grant.group ? ` · ${grant.group.name}` : ''}
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}

export function UserForm() {
  const { id } = useParams()
  return (
    <Need permission="users.change">
      <FormLoader<User> resource="users" id={id}>
        {(user) => <UserFields user={user} />}
      </FormLoader>
    </Need>
  )
}

function UserFields({ user }: { user: User | null }) {
  const { t } = useTranslation()
  const can = useCan()
  const navigate = useNavigate()
  const save = useSave<User>('users')
  const title = user ? t('users.editTitle', { name: user.username }) : t('users.add')
  usePageTitle(title)
  const form = useForm(
    {
      username: user?.username ?? '',
      display_name: user?.display_name ?? '',
      email: user?.email ?? '',
      language: user?.language ?? 'ko',
      is_active: user?.is_active ?? true,
      deactivation_reason: user?.deactivation_reason ?? '',
      groups: user?.groups ?? [],
      roles: user?.roles ?? [],
    },
    (values) => ({
      ...(/^[\w.@+-]{1,150}$/.test(values.username) ? {} : { username: t('users.usernameRule') }),
      ...(values.display_name.trim() ? {} : { display_name: t('form.required') }),
      ...(!values.email || /^\S+@\S+\.\S+$/.test(values.email) ? {} : { email: t('form.email') }),
      ...(values.is_active || values.deactivation_reason.trim() ? {} : { deactivation_reason: t('form.required') }),
    }),
  )
  const submit = () =>
    form
      .submit(async (values) => {
        const saved = await save.mutateAsync({ id: user?.id, etag: user?.etag, body: values })
        return saved
      })
      .then((saved) => {
        if (!saved) return
        toast(t('common.saved'))
        void navigate(user ? `/users/${user.id}` : '/users')
      })
  const { values, set, errors } = form
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/users', label: t('users.title') }} />
      <FormFrame
        form={form}
        labels={{
          username: t('users.username'),
          display_name: t('users.name'),
          email: t('users.email'),
          deactivation_reason: t('users.reason'),
          roles: t('users.roles'),
          groups: t('users.groups'),
        }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('users.groupPerson')} text={t('users.groupPersonText')}>
          <Field label={t('users.username')} error={errors.username} required>
            {(control) => (
              <Input {...control} value={values.username} onChange={(event) => set('username', event.target.value)} onBlur={() => form.touch('username')} autoComplete="off" />
            )}
          </Field>
          <Field label={t('users.name')} error={errors.display_name} required>
            {(control) => (
              <Input {...control} value={values.display_name} onChange={(event) => set('display_name', event.target.value)} onBlur={() => form.touch('display_name')} />
            )}
          </Field>
          <Field label={t('users.email')} error={errors.email}>
            {(control) => <Input {...control} type="email" value={values.email} onChange={(event) => set('email', event.target.value)} onBlur={() => form.touch('email')} />}
          </Field>
          <Field label={t('users.language')} required>
            {(control) => (
              <Select
                {...control}
                className="qk-control"
                value={values.language}
                onChange={(value: string) => set('language', value)}
                options={[
                  { value: 'ko', label: t('language.ko') },
                  { value: 'en', label: t('language.en') },
                ]}
              />
            )}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('users.groupAccess')} text={t('users.groupAccessText')}>
          <Field label={t('users.groups')} error={errors.groups} wide>
            {(control) => <RefMultiSelect {...control} resource="groups" value={values.groups} onChange={(value) => set('groups', value)} />}
          </Field>
          <Field label={t('users.roles')} error={errors.roles} help={can('roles.change') ? undefined : t('users.rolesLocked')} wide>
            {(control) => (
              <RefMultiSelect {...control} resource="roles" disabled={!can('roles.change')} value={values.roles} onChange={(value) => set('roles', value)} />
            )}
          </Field>
        </FieldGroup>
        {user ? (
          <FieldGroup title={t('users.groupState')} text={t('users.groupStateText')}>
            <Field label={t('users.active')} required>
              {(control) => <Switch id={control.id} checked={values.is_active} onChange={(value) => set('is_active', value)} />}
            </Field>
            {values.is_active ? null : (
              <Field label={t('users.reason')} error={errors.deactivation_reason} required>
                {(control) => (
                  <Input {...control} value={values.deactivation_reason} onChange={(event) => set('deactivation_reason', event.target.value)} />
                )}
              </Field>
            )}
          </FieldGroup>
        ) : (
          <FieldGroup title={t('auth.password')} text={t('users.passwordLater')}>
            <span />
          </FieldGroup>
        )}
      </FormFrame>
    </div>
  )
}
