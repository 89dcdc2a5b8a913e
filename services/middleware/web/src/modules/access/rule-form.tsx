import { useTranslation } from 'react-i18next'
import { useNavigate, useParams } from 'react-router'
import { useSave } from '@/api/hooks'
import type { Masker, ObjectPattern, Ref } from '@/api/types'
import { Need } from '@/app/pages'
import { Checkbox, CheckboxGroup, Switch } from '@/components/ui/Checks'
import { FormLoader } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm, type FormState } from '@/components/ui/Form'
import { Input, NumberInput } from '@/components/ui/Input'
import { PageHeader, usePageTitle } from '@/components/ui/Page'
import { RefMultiSelect } from '@/components/ui/RefSelect'
import { Select } from '@/components/ui/Select'
import { toast } from '@/components/ui/Toast'
import { MaskerFields } from './masker-fields'
import { PatternEditor } from './objects'
import { KIND_GROUPS } from './privileges'
import { asRuleType, CHECKS, EFFECTS, RELAXATIONS, RESOURCES, type AnyRule, type RuleType } from './rule-kinds'

export function RuleForm() {
  const { type: typeText, id } = useParams()
  const type = asRuleType(typeText)
  return (
    <Need permission="policy.change">
      <FormLoader<AnyRule> resource={RESOURCES[type]} id={id}>
        {(rule) => <RuleFields rule={rule} type={type} />}
      </FormLoader>
    </Need>
  )
}

interface RuleValues {
  name: string
  is_enabled: boolean
  connections: Ref[]
  objects: ObjectPattern[]
  everyone: boolean
  users: Ref[]
  groups: Ref[]
  exempt_users: Ref[]
  exempt_groups: Ref[]
  masker: Masker
  relaxations: string[]
  check: string
  effect: string
  values: string[]
  priority: number
}

function initialValues(rule: AnyRule | null, type: RuleType): RuleValues {
  return {
    name: rule?.name ?? '',
    is_enabled: rule?.is_enabled ?? true,
    connections: rule?.connections ?? [],
    objects: rule?.objects ?? (type === 'statement' ? [] : [{ schema: '*', table: '', column: type === 'masking' ? '' : '*' }]),
    everyone: rule?.applies_to.everyone ?? true,
    users: rule?.applies_to.users ?? [],
    groups: rule?.applies_to.groups ?? [],
    exempt_users: rule?.exempt.users ?? [],
    exempt_groups: rule?.exempt.groups ?? [],
    masker: rule?.masker ?? { kind: 'full', params: {} },
    relaxations: rule?.relaxations ?? [],
    check: rule?.check ?? 'write_without_where',
    effect: rule?.effect ?? 'deny',
    values: rule?.values ?? [],
    priority: rule?.priority ?? 100,
  }
}

function bodyOf(values: RuleValues, type: RuleType): Record<string, unknown> {
  const ids = (items: Ref[]) => items.map((item) => item.id)
  return {
    name: values.name.trim(),
    is_enabled: values.is_enabled,
    connections: ids(values.connections),
    objects: values.objects.map((item) => ({
      schema: item.schema || '*',
      table: item.table || '*',
      ...(type === 'statement' ? {} : { column: item.column || '*' }),
    })),
    applies_to: values.everyone
      ? { everyone: true, users: [], groups: [] }
      : { everyone: false, users: ids(values.users), groups: ids(values.groups) },
    exempt: { users: ids(values.exempt_users), groups: ids(values.exempt_groups) },
    ...(type === 'masking' ? { masker: values.masker, relaxations: values.relaxations } : {}),
    ...(type === 'statement'
      ? { check: values.check, effect: values.effect, values: values.check === 'write_without_where' ? [] : values.values, priority: values.priority }
      : {}),
  }
}

function RuleFields({ rule, type }: { rule: AnyRule | null; type: RuleType }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const save = useSave<AnyRule>(RESOURCES[type])
  const title = rule ? t('rules.editTitle', { name: rule.name }) : t(`rules.${type}.add`)
  usePageTitle(title)
  const form = useForm(initialValues(rule, type), (values) => {
    const errors: Record<string, string> = {}
    if (!values.name.trim()) errors.name = t('form.required')
    if (type !== 'statement' && values.objects.length === 0) errors.objects = t('rules.needObject')
    if (type !== 'statement' && values.objects.some((item) => !item.table)) errors.objects = t('rules.needTable')
    if (type === 'masking' && values.objects.some((item) => !item.column)) errors.objects = t('rules.needColumn')
    if (!values.everyone && values.users.length + values.groups.length === 0) errors.applies_to = t('rules.needPerson')
    if (type === 'statement' && values.check !== 'write_without_where' && values.values.length === 0) errors.values = t('form.required')
    return errors
  })
  const { values, set, errors } = form
  const submit = async () => {
    if (await form.submit((body) => save.mutateAsync({ id: rule?.id, etag: rule?.etag, body: bodyOf(body, type) }))) {
      toast(t('rules.saved'))
      void navigate(rule ? `/rules/${type}/${rule.id}` : `/rules/${type}`)
    }
  }
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} text={t(`rules.${type}.text`)} back={{ to: `/rules/${type}`, label: t(`rules.${type}.title`) }} />
      <FormFrame
        form={form}
        labels={{
          name: t('rules.name'),
          objects: t('rules.objects'),
          applies_to: t('rules.appliesTo'),
          values: t('rules.values'),
          masker: t('rules.masker'),
          connections: t('rules.connections'),
        }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
      >
        <FieldGroup title={t('rules.ruleTitle')} text={t('rules.ruleText')}>
          <Field label={t('rules.name')} error={errors.name} help={t('rules.nameHelp')} required>
            {(control) => <Input {...control} value={values.name} onChange={(event) => set('name', event.target.value)} onBlur={() => form.touch('name')} />}
          </Field>
          <Field label={t('rules.enabled')} required>
            {(control) => <Switch id={control.id} checked={values.is_enabled} onChange={(value) => set('is_enabled', value)} />}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('rules.objects')} text={t(`rules.${type}.objectsText`)}>
          <Field label={t('rules.connections')} error={errors.connections} help={t('rules.connectionsHelp')} wide>
            {(control) => <RefMultiSelect {...control} resource="connections" value={values.connections} onChange={(value) => set('connections', value)} />}
          </Field>
          <Field label={t('rules.objects')} wide required={type !== 'statement'}>
            {() => (
              <PatternEditor
                value={values.objects}
                onChange={(value) => set('objects', value)}
                withColumn={type !== 'statement'}
                error={errors.objects}
              />
            )}
          </Field>
        </FieldGroup>
        {type === 'masking' ? (
          <>
            <FieldGroup title={t('rules.masker')} text={t('rules.maskerText')}>
              <MaskerFields masker={values.masker} onChange={(masker) => set('masker', masker)} error={errors.masker ?? errors['masker.params'] ?? errors['masker.kind']} />
            </FieldGroup>
            <FieldGroup title={t('rules.relaxations')} text={t('rules.relaxationsText')}>
              <div className="qk-field-wide">
                <CheckboxGroup
                  className="qk-checks"
                  value={values.relaxations}
                  onChange={(chosen) => set('relaxations', chosen)}
                  options={RELAXATIONS.map((name) => ({ value: name, label: t(`relaxation.${name}`) }))}
                />
              </div>
            </FieldGroup>
          </>
        ) : null}
        {type === 'statement' ? <StatementFields form={form} /> : null}
        <FieldGroup title={t('rules.appliesTo')} text={t('rules.appliesText')}>
          <div className="qk-field-wide">
            <Checkbox checked={values.everyone} onChange={(event) => set('everyone', event.target.checked)}>
              {t('rules.everyone')}
            </Checkbox>
          </div>
          {values.everyone ? null : (
            <>
              <Field label={t('rules.users')} error={errors.applies_to}>
                {(control) => <RefMultiSelect {...control} resource="users" value={values.users} onChange={(value) => set('users', value)} />}
              </Field>
              <Field label={t('rules.groups')}>
                {(control) => <RefMultiSelect {...control} resource="groups" value={values.groups} onChange={(value) => set('groups', value)} />}
              </Field>
            </>
          )}
          <Field label={t('rules.exemptUsers')} help={t('rules.exemptHelp')}>
            {(control) => <RefMultiSelect {...control} resource="users" value={values.exempt_users} onChange={(value) => set('exempt_users', value)} />}
          </Field>
          <Field label={t('rules.exemptGroups')}>
            {(control) => <RefMultiSelect {...control} resource="groups" value={values.exempt_groups} onChange={(value) => set('exempt_groups', value)} />}
          </Field>
        </FieldGroup>
      </FormFrame>
    </div>
  )
}

function StatementFields({ form }: { form: FormState<RuleValues> }) {
  const { t } = useTranslation()
  const { values, set, errors } = form
  return (
    <FieldGroup title={t('rules.check')} text={t('rules.checkText')}>
      <Field label={t('rules.check')} required>
        {(control) => (
          <Select
            {...control}
            className="qk-control"
            value={values.check}
            onChange={(value: string) => {
              set('check', value)
              set('values', [])
            }}
            options={CHECKS.map((name) => ({ value: name, label: t(`check.${name}`) }))}
          />
        )}
      </Field>
      <Field label={t('rules.effect')} required>
        {(control) => (
          <Select
            {...control}
            className="qk-control"
            value={values.effect}
            onChange={(value: string) => set('effect', value)}
            options={EFFECTS.map((name) => ({ value: name, label: t(`effect.${name}`) }))}
          />
        )}
      </Field>
      {values.check === 'write_without_where' ? null : (
        <Field label={t('rules.values')} error={errors.values} help={t(`check.${values.check}Help`)} wide required>
          {(control) => (
            <Select
              {...control}
              className="qk-control"
              mode={values.check === 'kind' ? 'multiple' : 'tags'}
              value={values.values}
              onChange={(value: string[]) => set('values', value)}
              options={
                values.check === 'kind'
                  ? KIND_GROUPS.flatMap((group) => group.kinds).map((kind) => ({ value: kind, label: kind.toUpperCase().replaceAll('_', ' ') }))
                  : []
              }
              open={values.check === 'kind' ? undefined : false}
            />
          )}
        </Field>
      )}
      <Field label={t('rules.priority')} help={t('rules.priorityHelp')} required>
        {(control) => <NumberInput {...control} min={0} max={100_000} value={values.priority} onChange={(value) => set('priority', value ?? 100)} />}
      </Field>
    </FieldGroup>
  )
}
