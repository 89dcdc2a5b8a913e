import { KeyRound, Plus } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams, useSearchParams } from 'react-router'
import { useSave } from '@/api/hooks'
import type { Grant, Hours, ObjectPattern, Ref } from '@/api/types'
import { Need, useCan } from '@/app/pages'
import { Badge, type Tone } from '@/components/ui/Badge'
import { LinkButton } from '@/components/ui/Button'
import { Checkbox, CheckboxGroup, Segmented } from '@/components/ui/Checks'
import { EntryActions, EntryPage, FormLoader, WithEntry } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input } from '@/components/ui/Input'
import { Facts, PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { RefSelect } from '@/components/ui/RefSelect'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'
import { PatternEditor, Patterns } from './objects'

const TONES: Record<Grant['state'], Tone> = { active: 'ok', expired: 'info', scheduled: 'wait', dormant: 'wait' }

function GrantState({ state }: { state: Grant['state'] }) {
  const { t } = useTranslation()
  return <Badge tone={TONES[state]}>{t(`grants.state_${state}`)}</Badge>
}

function holder(grant: Grant): string {
  return grant.user?.name ?? grant.group?.name ?? ''
}

function useHoursText(): (hours: Hours) => string {
  const { t } = useTranslation()
  return (hours) => `${hours.weekdays.map((day) => t(`weekday.${day}`)).join(' ')} ${hours.start}–${hours.end} (${hours.zone})`
}

export function GrantList() {
  const { t } = useTranslation()
  const can = useCan()
  const add = can('policy.change') ? (
    <LinkButton to="/grants/new" type="primary" icon={<Plus size={14} />}>
        {t('grants.add')}
      </LinkButton>
  ) : null
  return (
    <Need permission="policy.view">
      <ResourceList<Grant>
        resource="grants"
        title={t('grants.title')}
        text={t('grants.text')}
        rowKey={(grant) => grant.id}
        actions={add}
        filters={[
          { param: 'connection', label: t('grants.connection'), kind: 'ref', resource: 'connections' },
          { param: 'privilege', label: t('grants.privilege'), kind: 'ref', resource: 'privileges' },
          {
            param: 'state',
            label: t('grants.state'),
            kind: 'choice',
            options: (['active', 'scheduled', 'expired', 'dormant'] as const).map((state) => ({ value: state, label: t(`grants.state_${state}`) })),
          },
        ]}
        columns={[
          {
            key: 'holder',
            title: t('grants.holder'),
            render: (grant) => (
              <>
                <span className="qk-cell-main">{holder(grant)}</span>
                <span className="qk-cell-sub">{grant.group ? t('grants.group') : t('grants.user')}</span>
              </>
            ),
          },
          { key: 'connection', title: t('grants.connection'), sort: 'connection', render: (grant) => grant.connection.name },
          { key: 'privilege', title: t('grants.privilege'), sort: 'privilege', render: (grant) => grant.privilege.name },
          { key: 'objects', title: t('grants.objects'), render: (grant) => <Patterns items={grant.objects} all={t('objects.all')} /> },
          { key: 'state', title: t('grants.state'), render: (grant) => <GrantState state={grant.state} /> },
          {
            key: 'until',
            title: t('grants.until'),
            render: (grant) => (grant.valid_until ? <Time at={grant.valid_until} /> : <span className="qk-muted">{t('grants.noEnd')}</span>),
          },
          { key: 'used', title: t('grants.lastUsed'), render: (grant) => <Time at={grant.last_used_at} /> },
        ]}
        empty={
          <Empty icon={KeyRound} title={t('grants.emptyTitle')} text={t('grants.emptyText')}>
            {add}
          </Empty>
        }
        detailTitle={t('grants.one')}
        pageOf={(id) => `/grants/${id}`}
        detail={(id, close) => (
          <WithEntry<Grant> resource="grants" id={id}>
            {(grant) => <GrantDetail grant={grant} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

export function GrantPage() {
  const { t } = useTranslation()
  return (
    <EntryPage<Grant> resource="grants" back={{ to: '/grants', label: t('grants.title') }} nameOf={(grant) => `${holder(grant)} · ${grant.connection.name}`}>
      {(grant, leave) => <GrantDetail grant={grant} onRemoved={leave} />}
    </EntryPage>
  )
}

function GrantDetail({ grant, onRemoved }: { grant: Grant; onRemoved: () => void }) {
  const { t } = useTranslation()
  const can = useCan()
  const hoursText = useHoursText()
  const who = grant.user ? <Link to={`/users/${grant.user.id}`}>{grant.user.name}</Link> : <Link to={`/groups/${grant.group?.id ?? ''}`}>{grant.group?.name}</Link>
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('grants.holder'), who],
            [t('grants.connection'), <Link key="c" to={`/connections/${grant.connection.id}`}>{grant.connection.name}</Link>],
            [t('grants.privilege'), <Link key="p" to={`/privileges/${grant.privilege.id}`}>{grant.privilege.name}</Link>],
            [t('grants.objects'), <Patterns key="o" items={grant.objects} all={t('objects.all')} />],
            [t('grants.state'), <GrantState key="s" state={grant.state} />],
            [t('grants.from'), grant.valid_from ? <Time key="f" at={grant.valid_from} exact /> : t('grants.atOnce')],
            [t('grants.until'), grant.valid_until ? <Time key="u" at={grant.valid_until} exact /> : t('grants.noEnd')],
            [t('grants.hours'), grant.hours ? hoursText(grant.hours) : t('grants.always')],
            [t('grants.lastUsed'), <Time key="l" at={grant.last_used_at} />],
            [t('grants.createdBy'), grant.created_by?.name],
            [t('grants.created'), <Time key="cr" at={grant.created_at} exact />],
          ]}
        />
      </Section>
      <EntryActions
        resource="grants"
        entry={grant}
        name={holder(grant)}
        editPath={`/grants/${grant.id}/edit`}
        canChange={can('policy.change')}
        removeText={t('grants.removeText', { holder: holder(grant), connection: grant.connection.name })}
        onRemoved={onRemoved}
      />
    </>
  )
}

export function GrantForm() {
  const { id } = useParams()
  return (
    <Need permission="policy.change">
      <FormLoader<Grant> resource="grants" id={id}>
        {(grant) => <GrantFields grant={grant} />}
      </FormLoader>
    </Need>
  )
}

/** `2026-01-02T03:04` in local time, for a datetime-local field. */
export function toLocalInput(iso: string | null): string {
  if (!iso) return ''
  const date = new Date(iso)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

export function fromLocalInput(text: string): string | null {
  return text ? new Date(text).toISOString() : null
}

interface GrantValues {
  holder: 'user' | 'group'
  user: Ref | null
  group: Ref | null
  connection: Ref | null
  privilege: Ref | null
  objects: ObjectPattern[]
  valid_from: string
  valid_until: string
  limited: boolean
  weekdays: number[]
  start: string
  end: string
  zone: string
}

function GrantFields({ grant }: { grant: Grant | null }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const [params] = useSearchParams()
  const save = useSave<Grant>('grants')
  const title = grant ? t('grants.editTitle') : t('grants.add')
  usePageTitle(title)
  const preset = params.get('connection')
  const initial: GrantValues = {
    holder: grant?.group ? 'group' : 'user',
    user: grant?.user ?? null,
    group: grant?.group ?? null,
    connection: grant?.connection ?? (preset ? { id: preset, name: params.get('connection_name') ?? preset } : null),
    privilege: grant?.privilege ?? null,
    objects: grant?.objects ?? [],
    valid_from: toLocalInput(grant?.valid_from ?? null),
    valid_until: toLocalInput(grant?.valid_until ?? null),
    limited: Boolean(grant?.hours),
    weekdays: grant?.hours?.weekdays ?? [0, 1, 2, 3, 4],
    start: grant?.hours?.start ?? '09:00',
    end: grant?.hours?.end ?? '18:00',
    zone: grant?.hours?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
  }
  const form = useForm(initial, (values) => {
    const errors: Record<string, string> = {}
    if (values.holder === 'user' && !values.user) errors.user = t('form.required')
    if (values.holder === 'group' && !values.group) errors.group = t('form.required')
    if (!values.connection) errors.connection = t('form.required')
    if (!values.privilege) errors.privilege = t('form.required')
    if (values.valid_from && values.valid_until && values.valid_from >= values.valid_until) errors.valid_until = t('grants.endBeforeStart')
    if (values.limited && values.weekdays.length === 0) errors.weekdays = t('grants.needDay')
    return errors
  })
  const { values, set, errors } = form
  const submit = async () => {
    const done = await form.submit((body) =>
      save.mutateAsync({
        id: grant?.id,
        etag: grant?.etag,
        body: {
          user: body.holder === 'user' ? body.user?.id : null,
          group: body.holder === 'group' ? body.group?.id : null,
          connection: body.connection?.id,
          privilege: body.privilege?.id,
          objects: body.objects.map((item) => ({ schema: item.schema || '*', table: item.table || '*' })),
          valid_from: fromLocalInput(body.valid_from),
          valid_until: fromLocalInput(body.valid_until),
          hours: body.limited ? { weekdays: [...body.weekdays].sort(), start: body.start, end: body.end, zone: body.zone } : null,
        },
      }),
    )
    if (done) {
      toast(t('common.saved'))
      void navigate(grant ? `/grants/${grant.id}` : '/grants')
    }
  }
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/grants', label: t('grants.title') }} />
      <FormFrame
        form={form}
        labels={{
          user: t('grants.user'),
          group: t('grants.group'),
          connection: t('grants.connection'),
          privilege: t('grants.privilege'),
          valid_until: t('grants.until'),
          weekdays: t('grants.hours'),
        }}
        submitLabel={t('grants.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('grants.whoTitle')} text={t('grants.whoText')}>
          <Field label={t('grants.holder')} required>
            {() => (
              <Segmented
                value={values.holder}
                onChange={(value) => set('holder', value)}
                options={[
                  { value: 'user' as const, label: t('grants.user') },
                  { value: 'group' as const, label: t('grants.group') },
                ]}
              />
            )}
          </Field>
          {values.holder === 'user' ? (
            <Field label={t('grants.user')} error={errors.user} required>
              {(control) => <RefSelect {...control} resource="users" value={values.user} onChange={(value) => set('user', value)} />}
            </Field>
          ) : (
            <Field label={t('grants.group')} error={errors.group} required>
              {(control) => <RefSelect {...control} resource="groups" value={values.group} onChange={(value) => set('group', value)} />}
            </Field>
          )}
        </FieldGroup>
        <FieldGroup title={t('grants.whatTitle')} text={t('grants.whatText')}>
          <Field label={t('grants.connection')} error={errors.connection} required>
            {(control) => <RefSelect {...control} resource="connections" value={values.connection} onChange={(value) => set('connection', value)} />}
          </Field>
          <Field label={t('grants.privilege')} error={errors.privilege} required>
            {(control) => <RefSelect {...control} resource="privileges" value={values.privilege} onChange={(value) => set('privilege', value)} />}
          </Field>
          <Field label={t('grants.objects')} wide help={values.objects.length === 0 ? t('grants.allObjects') : undefined}>
            {() => <PatternEditor value={values.objects} onChange={(value) => set('objects', value)} error={errors.objects} />}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('grants.whenTitle')} text={t('grants.whenText')}>
          <Field label={t('grants.from')} error={errors.valid_from}>
            {(control) => <Input {...control} type="datetime-local" value={values.valid_from} onChange={(event) => set('valid_from', event.target.value)} />}
          </Field>
          <Field label={t('grants.until')} error={errors.valid_until}>
            {(control) => (
              <Input {...control} type="datetime-local" value={values.valid_until} onChange={(event) => set('valid_until', event.target.value)} onBlur={() => form.touch('valid_until')} />
            )}
          </Field>
          <div className="qk-field-wide">
            <Checkbox checked={values.limited} onChange={(event) => set('limited', event.target.checked)}>
              {t('grants.limitHours')}
            </Checkbox>
          </div>
          {values.limited ? (
            <>
              <Field label={t('grants.days')} error={errors.weekdays} wide required>
                {() => (
                  <CheckboxGroup
                    value={values.weekdays}
                    onChange={(days) => set('weekdays', days)}
                    options={[0, 1, 2, 3, 4, 5, 6].map((day) => ({ value: day, label: t(`weekday.${day}`) }))}
                  />
                )}
              </Field>
              <Field label={t('grants.start')} required>
                {(control) => <Input {...control} type="time" value={values.start} onChange={(event) => set('start', event.target.value)} />}
              </Field>
              <Field label={t('grants.end')} required>
                {(control) => <Input {...control} type="time" value={values.end} onChange={(event) => set('end', event.target.value)} />}
              </Field>
              <Field label={t('grants.zone')} error={errors.zone} required>
                {(control) => <Input {...control} value={values.zone} onChange={(event) => set('zone', event.target.value)} />}
              </Field>
            </>
          ) : null}
        </FieldGroup>
      </FormFrame>
    </div>
  )
}
