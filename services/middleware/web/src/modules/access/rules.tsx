import { EyeOff, Plus } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { NavLink, useParams } from 'react-router'
import { Need, useCan } from '@/app/pages'
import { Badge } from '@/components/ui/Badge'
import { LinkButton } from '@/components/ui/Button'
import type { Column } from '@/components/ui/DataTable'
import { EntryActions, EntryPage, WithEntry } from '@/components/ui/Entry'
import { Facts, Section, Tags } from '@/components/ui/Page'
import { ResourceList } from '@/components/ui/ResourceList'
import { Empty } from '@/components/ui/States'
import { MaskerText } from './masker-text'
import { Patterns } from './objects'
import { asRuleType, RESOURCES, RULE_TYPES, type AnyRule, type RuleType } from './rule-kinds'

function RuleTabs() {
  const { t } = useTranslation()
  return (
    <nav className="qk-tabs" aria-label={t('rules.title')}>
      {RULE_TYPES.map((type) => (
        <NavLink key={type} to={`/rules/${type}`}>
          {t(`rules.${type}.title`)}
        </NavLink>
      ))}
    </nav>
  )
}

function useAppliesText(): (rule: AnyRule) => string[] {
  const { t } = useTranslation()
  return (rule) =>
    rule.applies_to.everyone
      ? [t('rules.everyone')]
      : [...rule.applies_to.users.map((user) => user.name), ...rule.applies_to.groups.map((group) => group.name)]
}

export function RuleList() {
  const { t } = useTranslation()
  const can = useCan()
  const type = asRuleType(useParams().type)
  const appliesText = useAppliesText()
  const add = can('policy.change') ? (
    <LinkButton to={`/rules/${type}/new`} type="primary" icon={<Plus size={14} />}>
        {t(`rules.${type}.add`)}
      </LinkButton>
  ) : null
  const columns: Column<AnyRule>[] = [
    { key: 'code', title: t('rules.code'), sort: 'code', mono: true, width: '72px', render: (rule) => rule.code },
    { key: 'name', title: t('rules.name'), sort: 'name', render: (rule) => <span className="qk-cell-main">{rule.name}</span> },
    { key: 'objects', title: t('rules.objects'), render: (rule) => <Patterns items={rule.objects} withColumn={type !== 'statement'} all={t('objects.all')} /> },
    ...(type === 'masking'
      ? [{ key: 'masker', title: t('rules.masker'), render: (rule: AnyRule) => <MaskerText masker={rule.masker} short /> }]
      : []),
    ...(type === 'statement'
      ? [
          { key: 'check', title: t('rules.check'), render: (rule: AnyRule) => t(`check.${rule.check}`) },
          { key: 'effect', title: t('rules.effect'), render: (rule: AnyRule) => <EffectBadge effect={rule.effect ?? ''} /> },
        ]
      : []),
    { key: 'connections', title: t('rules.connections'), render: (rule) => <Tags items={rule.connections.map((item) => item.name)} none={t('rules.allConnections')} /> },
    { key: 'applies', title: t('rules.appliesTo'), render: (rule) => <Tags items={appliesText(rule)} /> },
    {
      key: 'enabled',
      title: t('rules.state'),
      render: (rule) => (rule.is_enabled ? <Badge tone="ok">{t('common.on')}</Badge> : <Badge tone="info">{t('common.off')}</Badge>),
    },
  ]
  return (
    <Need permission="policy.view">
      <ResourceList<AnyRule>
        key={type}
        resource={RESOURCES[type]}
        title={t('rules.title')}
        text={t(`rules.${type}.text`)}
        above={<RuleTabs />}
        rowKey={(rule) => rule.id}
        actions={add}
        columns={columns}
        empty={
          <Empty icon={EyeOff} title={t(`rules.${type}.emptyTitle`)} text={t(`rules.${type}.text`)}>
            {add}
          </Empty>
        }
        detailTitle={t(`rules.${type}.one`)}
        pageOf={(id) => `/rules/${type}/${id}`}
        detail={(id, close) => (
          <WithEntry<AnyRule> resource={RESOURCES[type]} id={id}>
            {(rule) => <RuleDetail rule={rule} type={type} onRemoved={close} />}
          </WithEntry>
        )}
      />
    </Need>
  )
}

function EffectBadge({ effect }: { effect: string }) {
  const { t } = useTranslation()
  const tone = effect === 'deny' ? 'deny' : effect === 'allow' ? 'ok' : 'wait'
  return <Badge tone={tone}>{t(`effect.${effect}`)}</Badge>
}

export function RulePage() {
  const { t } = useTranslation()
  const type = asRuleType(useParams().type)
  return (
    <EntryPage<AnyRule> resource={RESOURCES[type]} back={{ to: `/rules/${type}`, label: t(`rules.${type}.title`) }} nameOf={(rule) => `${rule.code} ${rule.name}`}>
      {(rule, leave) => <RuleDetail rule={rule} type={type} onRemoved={leave} />}
    </EntryPage>
  )
}

function RuleDetail({ rule, type, onRemoved }: { rule: AnyRule; type: RuleType; onRemoved: () => void }) {
  const { t } = useTranslation()
  const can = useCan()
  const appliesText = useAppliesText()
  const exempt = [...rule.exempt.users.map((user) => user.name), ...rule.exempt.groups.map((group) => group.name)]
  const own: [string, React.ReactNode][] =
    type === 'masking'
      ? [
          [
            t('rules.masker'),
            <MaskerText key="m" masker={rule.masker} />,
          ],
          [t('rules.relaxations'), <Tags key="r" items={(rule.relaxations ?? []).map((name) => t(`relaxation.${name}`))} none={t('rules.strict')} />],
        ]
      : type === 'statement'
        ? [
            [t('rules.check'), t(`check.${rule.check}`)],
            [t('rules.effect'), <EffectBadge key="e" effect={rule.effect ?? ''} />],
            [t('rules.values'), <Tags key="v" items={rule.values ?? []} />],
            [t('rules.priority'), rule.priority],
          ]
        : []
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('rules.code'), <code key="c">{rule.code}</code>],
            [t('rules.name'), rule.name],
            [t('rules.state'), rule.is_enabled ? t('common.on') : t('common.off')],
            [t('rules.connections'), <Tags key="cs" items={rule.connections.map((item) => item.name)} none={t('rules.allConnections')} />],
            [t('rules.objects'), <Patterns key="o" items={rule.objects} withColumn={type !== 'statement'} all={t('objects.all')} />],
            ...own,
            [t('rules.appliesTo'), <Tags key="a" items={appliesText(rule)} />],
            [t('rules.exempt'), <Tags key="x" items={exempt} none={t('rules.nobody')} />],
          ]}
        />
      </Section>
      <EntryActions
        resource={RESOURCES[type]}
        entry={rule}
        name={rule.name}
        editPath={`/rules/${type}/${rule.id}/edit`}
        canChange={can('policy.change')}
        removeText={t(`rules.${type}.removeText`)}
        onRemoved={onRemoved}
      />
    </>
  )
}
