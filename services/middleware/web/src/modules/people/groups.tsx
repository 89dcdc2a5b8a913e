import { Plus, UsersRound } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams } from 'react-router'
import { useSave } from '@/api/hooks'
import type { Group } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { LinkButton } from '@/components/ui/Button'
import { EntryActions, EntryPage, FormLoader, WithEntry } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Facts, PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { RefMultiSelect } from '@/components/ui/RefSelect'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty } from '@/components/ui/States'
import { toast } from '@/components/ui/Toast'

export function GroupList() {
  const { t } = useTranslation()
  const can = useCan()
  const add = can('users.change') ? (
    <LinkButton to="/groups/new" type="primary" icon={<Plus size={14} />}>
        {t('groups.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="users.view">
      <ResourceList<Group>
        resource="groups"
        title={t('groups.title')}
        text={t('groups.text')}
        rowKey={(group) => group.id}
        actions={add}
        columns={[
          { key: 'name', title: t('groups.name'), sort: 'name', render: (group) => <span className="qk-cell-main">{group.name}</span> },
          { key: 'description', title: t('groups.description'), render: (group) => group.description },
          { key: 'members', title: t('groups.members'), align: 'right', render: (group) => group.member_count },
        ]}
        empty={
          <Empty icon={UsersRound} title={t('groups.emptyTitle')} text={t('groups.emptyText')}>
            {add}
          </Empty>
        }
        detailTitle={t('groups.one')}
        pageOf={(id) => `/groups/${id}`}
        detail={(id, close) => (
          <WithEntry<Group> resource="groups" id={id}>
            {(group) => <GroupDetail group={group} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

export function GroupPage() {
  const { t } = useTranslation()
  return (
    <EntryPage<Group> resource="groups" back={{ to: '/groups', label: t('groups.title') }} nameOf={(group) => group.name}>
      {(group, leave) => <GroupDetail group={group} onRemoved={leave} />}
    </EntryPage>
  )
}

function GroupDetail({ group, onRemoved }: { group: Group; onRemoved: () => void }) {
  const { t } = useTranslation()
  const can = useCan()
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('groups.name'), group.name],
            [t('groups.description'), group.description],
            [t('groups.members'), group.member_count],
          ]}
        />
      </Section>
      <Section title={t('groups.members')}>
        {group.members.length === 0 ? (
          <p className="qk-muted">{t('groups.noMembers')}</p>
        ) : (
          <ul className="qk-plain">
            {group.members.map((member) => (
              <li key={member.id}>
                <Link to={`/users/${member.id}`}>{member.name}</Link>
              </li>
            ))}
          </ul>
        )}
      </Section>
      <EntryActions
        resource="groups"
        entry={group}
        name={group.name}
        editPath={`/groups/${group.id}/edit`}
        canChange={can('users.change')}
        removeText={t('groups.removeText')}
        onRemoved={onRemoved}
      />
    </>
  )
}

export function GroupForm() {
  const { id } = useParams()
  return (
    <Need permission="users.change">
      <FormLoader<Group> resource="groups" id={id}>
        {(group) => <GroupFields group={group} />}
      </FormLoader>
    </Need>
  )
}

function GroupFields({ group }: { group: Group | null }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const save = useSave<Group>('groups')
  const title = group ? t('groups.editTitle', { name: group.name }) : t('groups.add')
  usePageTitle(title)
  const form = useForm(
    { name: group?.name ?? '', description: group?.description ?? '', members: group?.members ?? [] },
    (values) => (values.name.trim() ? {} : { name: t('form.required') }) as Record<string, string>,
  )
  const { values, set, errors } = form
  const submit = async () => {
    if (await form.submit((body) => save.mutateAsync({ id: group?.id, etag: group?.etag, body }))) {
      toast(t('common.saved'))
      void navigate(group ? `/groups/${group.id}` : '/groups')
    }
  }
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/groups', label: t('groups.title') }} />
      <FormFrame
        form={form}
        labels={{ name: t('groups.name'), members: t('groups.members'), description: t('groups.description') }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('groups.one')} text={t('groups.text')}>
          <Field label={t('groups.name')} error={errors.name} required>
            {(control) => <Input {...control} value={values.name} onChange={(event) => set('name', event.target.value)} onBlur={() => form.touch('name')} />}
          </Field>
          <Field label={t('groups.description')} error={errors.description}>
            {(control) => <Input {...control} value={values.description} onChange={(event) => set('description', event.target.value)} />}
          </Field>
          <Field label={t('groups.members')} error={errors.members} wide>
            {(control) => <RefMultiSelect {...control} resource="users" value={values.members} onChange={(value) => set('members', value)} />}
          </Field>
        </FieldGroup>
      </FormFrame>
    </div>
  )
}
