import { ListChecks, Plus } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams } from 'react-router'
import { useSave } from '@/api/hooks'
import type { Privilege } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { LinkButton } from '@/components/ui/Button'
import { CheckboxGroup } from '@/components/ui/Checks'
import { EntryActions, EntryPage, FormLoader, WithEntry } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty } from '@/components/ui/States'
import { toast } from '@/components/ui/Toast'

/** Statement kinds in the order in which people think of them. */
export const KIND_GROUPS: { key: string; kinds: string[] }[] = [
  { key: 'read', kinds: ['select', 'show', 'explain', 'declare_cursor', 'fetch', 'close_cursor', 'copy_out'] },
  { key: 'write', kinds: ['insert', 'update', 'delete', 'merge', 'copy_in', 'load', 'lock'] },
  { key: 'define', kinds: ['create', 'alter', 'drop', 'truncate', 'rename', 'comment', 'grant', 'maintenance'] },
  { key: 'session', kinds: ['transaction', 'set', 'use', 'prepare', 'execute', 'deallocate', 'notify', 'call', 'kill', 'empty'] },
]
export const FUNCTIONS = ['export', 'import', 'copy']

/** What comes with Querykeep is described in the reader's language. */
function useText(): (entry: Privilege) => string {
  const { t } = useTranslation()
  return (entry) => (entry.is_builtin ? t(`builtin.privilege.${entry.name}`, { defaultValue: entry.description }) : entry.description)
}

export function PrivilegeList() {
  const { t } = useTranslation()
  const text = useText()
  const can = useCan()
  const add = can('policy.change') ? (
    <LinkButton to="/privileges/new" type="primary" icon={<Plus size={14} />}>
        {t('privileges.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="policy.view">
      <ResourceList<Privilege>
        resource="privileges"
        title={t('privileges.title')}
        text={t('privileges.text')}
        rowKey={(entry) => entry.id}
        actions={add}
        columns={[
          { key: 'name', title: t('privileges.name'), sort: 'name', render: (entry) => <span className="qk-cell-main">{entry.name}</span> },
          { key: 'description', title: t('privileges.description'), render: (entry) => text(entry) },
          { key: 'kinds', title: t('privileges.kinds'), render: (entry) => <Tags items={kindsShort(entry.kinds)} /> },
          {
            key: 'functions',
            title: t('privileges.functions'),
            render: (entry) => <Tags items={entry.functions.map((name) => t(`function.${name}`))} />,
          },
          { key: 'builtin', title: t('privileges.origin'), render: (entry) => (entry.is_builtin ? <Badge tone="info">{t('common.builtin')}</Badge> : null) },
        ]}
        empty={<Empty icon={ListChecks} title={t('privileges.title')} text={t('privileges.text')} />}
        detailTitle={t('privileges.one')}
        pageOf={(id) => `/privileges/${id}`}
        detail={(id, close) => (
          <WithEntry<Privilege> resource="privileges" id={id}>
            {(entry) => <PrivilegeDetail entry={entry} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function kindsShort(kinds: string[]): string[] {
  const shown = kinds.slice(0, 5).map((kind) => kind.toUpperCase().replaceAll('_', ' '))
  return kinds.length > 5 ? [...shown, `+${kinds.length - 5}`] : shown
}

export function PrivilegePage() {
  const { t } = useTranslation()
  return (
    <EntryPage<Privilege> resource="privileges" back={{ to: '/privileges', label: t('privileges.title') }} nameOf={(entry) => entry.name}>
      {(entry, leave) => <PrivilegeDetail entry={entry} onRemoved={leave} />}
    </EntryPage>
  )
}

function PrivilegeDetail({ entry, onRemoved }: { entry: Privilege; onRemoved: () => void }) {
  const { t } = useTranslation()
  const text = useText()
  const can = useCan()
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('privileges.name'), entry.name],
            [t('privileges.description'), text(entry)],
            [t('privileges.functions'), <Tags key="functions" items={entry.functions.map((name) => t(`function.${name}`))} />],
            ...KIND_GROUPS.map(
              (group) =>
                [
                  t(`kinds.${group.key}`),
                  <Tags key={group.key} items={group.kinds.filter((kind) => entry.kinds.includes(kind)).map((kind) => kind.toUpperCase().replaceAll('_', ' '))} />,
                ] as [string, React.ReactNode],
            ),
          ]}
        />
      </Section>
      <EntryActions
        resource="privileges"
        entry={entry}
        name={entry.name}
        editPath={`/privileges/${entry.id}/edit`}
        canChange={can('policy.change') && !entry.is_builtin}
        removeText={t('privileges.removeText')}
        onRemoved={onRemoved}
      />
    </>
  )
}

export function PrivilegeForm() {
  const { id } = useParams()
  return (
    <Need permission="policy.change">
      <FormLoader<Privilege> resource="privileges" id={id}>
        {(entry) => <PrivilegeFields entry={entry} />}
      </FormLoader>
    </Need>
  )
}

function PrivilegeFields({ entry }: { entry: Privilege | null }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const save = useSave<Privilege>('privileges')
  const title = entry ? t('privileges.editTitle', { name: entry.name }) : t('privileges.add')
  usePageTitle(title)
  const form = useForm(
    {
      name: entry?.name ?? '',
      description: entry?.description ?? '',
      kinds: entry?.kinds ?? ['select', 'show', 'explain', 'transaction', 'set'],
      functions: entry?.functions ?? ['copy'],
    },
    (values) => {
      const errors: Record<string, string> = {}
      if (!values.name.trim()) errors.name = t('form.required')
      if (values.kinds.length === 0) errors.kinds = t('privileges.needKind')
      return errors
    },
  )
  const { values, set, errors } = form
  const submit = async () => {
    if (await form.submit((body) => save.mutateAsync({ id: entry?.id, etag: entry?.etag, body }))) {
      toast(t('common.saved'))
      void navigate('/privileges')
    }
  }
  const change = (group: string[], chosen: string[]) => set('kinds', [...values.kinds.filter((kind) => !group.includes(kind)), ...chosen])
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/privileges', label: t('privileges.title') }} />
      <FormFrame
        form={form}
        labels={{ name: t('privileges.name'), kinds: t('privileges.kinds'), functions: t('privileges.functions') }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('privileges.one')} text={t('privileges.text')}>
          <Field label={t('privileges.name')} error={errors.name} required>
            {(control) => <Input {...control} value={values.name} onChange={(event) => set('name', event.target.value)} onBlur={() => form.touch('name')} />}
          </Field>
          <Field label={t('privileges.description')} error={errors.description}>
            {(control) => <Input {...control} value={values.description} onChange={(event) => set('description', event.target.value)} />}
          </Field>
        </FieldGroup>
        {KIND_GROUPS.map((group) => (
          <FieldGroup key={group.key} title={t(`kinds.${group.key}`)} text={t(`kinds.${group.key}Text`)}>
            <div className="qk-field-wide">
              <CheckboxGroup
                className="qk-checks"
                value={values.kinds.filter((kind) => group.kinds.includes(kind))}
                onChange={(chosen) => change(group.kinds, chosen)}
                options={group.kinds.map((kind) => ({ value: kind, label: kind.toUpperCase().replaceAll('_', ' ') }))}
              />
            </div>
          </FieldGroup>
        ))}
        {errors.kinds ? <p className="qk-field-error">{errors.kinds}</p> : null}
        <FieldGroup title={t('privileges.functions')} text={t('privileges.functionsText')}>
          <div className="qk-field-wide">
            <CheckboxGroup
              className="qk-checks"
              value={values.functions}
              onChange={(chosen) => set('functions', chosen)}
              options={FUNCTIONS.map((name) => ({ value: name, label: t(`function.${name}`) }))}
            />
          </div>
        </FieldGroup>
      </FormFrame>
    </div>
  )
}
