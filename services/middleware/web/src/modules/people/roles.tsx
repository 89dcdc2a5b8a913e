import { Plus, UserCog } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams } from 'react-router'
import { useSave } from '@/api/hooks'
import { PERMISSIONS, type Permission, type Role } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { LinkButton } from '@/components/ui/Button'
import { CheckboxGroup } from '@/components/ui/Checks'
import { EntryActions, EntryPage, FormLoader, WithEntry } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { RefMultiSelect } from '@/components/ui/RefSelect'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty } from '@/components/ui/States'
import { toast } from '@/components/ui/Toast'

function usePermissionName(): (permission: Permission) => string {
  const { t } = useTranslation()
  return (permission) => t(`permission.${permission.replace('.', '_')}`)
}

/** What comes with Querykeep is described in the reader's language. */
function useText(): (role: Role) => string {
  const { t } = useTranslation()
  return (role) => (role.is_builtin ? t(`builtin.role.${role.name}`, { defaultValue: role.description }) : role.description)
}

export function RoleList() {
  const { t } = useTranslation()
  const text = useText()
  const can = useCan()
  const add = can('roles.change') ? (
    <LinkButton to="/roles/new" type="primary" icon={<Plus size={14} />}>
        {t('roles.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="users.view">
      <ResourceList<Role>
        resource="roles"
        title={t('roles.title')}
        text={t('roles.text')}
        rowKey={(role) => role.id}
        actions={add}
        columns={[
          { key: 'name', title: t('roles.name'), sort: 'name', render: (role) => <span className="qk-cell-main">{role.name}</span> },
          { key: 'description', title: t('roles.description'), render: (role) => text(role) },
          { key: 'permissions', title: t('roles.permissions'), align: 'right', render: (role) => role.permissions.length },
          { key: 'holders', title: t('roles.holders'), align: 'right', render: (role) => role.users.length + role.groups.length },
          { key: 'builtin', title: t('roles.kind'), render: (role) => (role.is_builtin ? <Badge tone="info">{t('common.builtin')}</Badge> : null) },
        ]}
        empty={<Empty icon={UserCog} title={t('roles.emptyTitle')} text={t('roles.text')} />}
        detailTitle={t('roles.one')}
        pageOf={(id) => `/roles/${id}`}
        detail={(id, close) => (
          <WithEntry<Role> resource="roles" id={id}>
            {(role) => <RoleDetail role={role} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

export function RolePage() {
  const { t } = useTranslation()
  return (
    <EntryPage<Role> resource="roles" back={{ to: '/roles', label: t('roles.title') }} nameOf={(role) => role.name}>
      {(role, leave) => <RoleDetail role={role} onRemoved={leave} />}
    </EntryPage>
  )
}

function RoleDetail({ role, onRemoved }: { role: Role; onRemoved: () => void }) {
  const { t } = useTranslation()
  const text = useText()
  const can = useCan()
  const permissionName = usePermissionName()
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('roles.name'), role.name],
            [t('roles.description'), text(role)],
            [t('roles.permissions'), <Tags key="permissions" items={role.permissions.map(permissionName)} />],
            [t('roles.users'), <Tags key="users" items={role.users.map((user) => user.name)} />],
            [t('roles.groups'), <Tags key="groups" items={role.groups.map((group) => group.name)} />],
          ]}
        />
      </Section>
      <EntryActions
        resource="roles"
        entry={role}
        name={role.name}
        editPath={`/roles/${role.id}/edit`}
        canChange={can('roles.change')}
        removeText={role.is_builtin ? undefined : t('roles.removeText')}
        onRemoved={onRemoved}
      />
    </>
  )
}

export function RoleForm() {
  const { id } = useParams()
  return (
    <Need permission="roles.change">
      <FormLoader<Role> resource="roles" id={id}>
        {(role) => <RoleFields role={role} />}
      </FormLoader>
    </Need>
  )
}

function RoleFields({ role }: { role: Role | null }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const permissionName = usePermissionName()
  const save = useSave<Role>('roles')
  const title = role ? t('roles.editTitle', { name: role.name }) : t('roles.add')
  usePageTitle(title)
  const form = useForm(
    {
      name: role?.name ?? '',
      description: role?.description ?? '',
      permissions: role?.permissions ?? [],
      users: role?.users ?? [],
      groups: role?.groups ?? [],
    },
    (values) => (values.name.trim() ? {} : { name: t('form.required') }) as Record<string, string>,
  )
  const { values, set, errors } = form
  const fixed = role?.is_builtin ?? false
  const submit = async () => {
    if (await form.submit((body) => save.mutateAsync({ id: role?.id, etag: role?.etag, body }))) {
      toast(t('common.saved'))
      void navigate(role ? `/roles/${role.id}` : '/roles')
    }
  }
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/roles', label: t('roles.title') }} text={fixed ? t('roles.builtinText') : undefined} />
      <FormFrame
        form={form}
        labels={{ name: t('roles.name'), permissions: t('roles.permissions'), users: t('roles.users'), groups: t('roles.groups') }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('roles.one')}>
          <Field label={t('roles.name')} error={errors.name} required>
            {(control) => <Input {...control} disabled={fixed} value={values.name} onChange={(event) => set('name', event.target.value)} />}
          </Field>
          <Field label={t('roles.description')} error={errors.description}>
            {(control) => <Input {...control} disabled={fixed} value={values.description} onChange={(event) => set('description', event.target.value)} />}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('roles.permissions')} text={t('roles.permissionsText')}>
          <div className="qk-field-wide">
            <CheckboxGroup
              className="qk-checks"
              disabled={fixed}
              value={values.permissions}
              onChange={(checked) => set('permissions', checked)}
              options={PERMISSIONS.map((permission) => ({ value: permission, label: permissionName(permission) }))}
            />
            {errors.permissions ? <p className="qk-field-error">{errors.permissions}</p> : null}
          </div>
        </FieldGroup>
        <FieldGroup title={t('roles.holders')} text={t('roles.holdersText')}>
          <Field label={t('roles.users')} error={errors.users} wide>
            {(control) => <RefMultiSelect {...control} resource="users" value={values.users} onChange={(value) => set('users', value)} />}
          </Field>
          <Field label={t('roles.groups')} error={errors.groups} wide>
            {(control) => <RefMultiSelect {...control} resource="groups" value={values.groups} onChange={(value) => set('groups', value)} />}
          </Field>
        </FieldGroup>
      </FormFrame>
    </div>
  )
}
