import { EyeOff } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { Navigate, useParams } from 'react-router'
import { useList, useMe } from '@/api/hooks'
import { useCan, Waiting } from '@/app/pages'
import { CopyLine, PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { Empty } from '@/components/ui/States'
import { RESOURCES, type AnyRule, type RuleType } from './rule-kinds'

const PREFIXES: Record<string, RuleType> = { A: 'access', M: 'masking', S: 'statement' }

/**
 * Where a refusal's link leads (`/r/M-17`): those who may read rules see the rule; everyone else sees
 * what it means and a text to send to whoever looks after access.
 */
export function RuleByCode() {
  const { t } = useTranslation()
  const can = useCan()
  const me = useMe()
  const { code = '' } = useParams()
  usePageTitle(code)
  const type = PREFIXES[code.slice(0, 1).toUpperCase()] ?? 'masking'
  const allowed = can('policy.view')
  const found = useList<AnyRule>(RESOURCES[type], /^[AMS]-\d+$/i.test(code) ? { code } : {}, { enabled: allowed })
  if (!me.data || (allowed && found.isPending)) return <Waiting />
  if (allowed) {
    const rule = found.rows.find((item) => item.code === code || item.id === code)
    if (rule) return <Navigate to={`/rules/${type}/${rule.id}`} replace />
    return <Empty icon={EyeOff} title={t('ruleByCode.missing', { code })} text={t('ruleByCode.missingText')} />
  }
  const request = t('ruleByCode.request', { code, person: me.data.display_name || me.data.username })
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={t('ruleByCode.title', { code })} text={t(`ruleByCode.${type}`)} />
      <Section title={t('ruleByCode.ask')} text={t('ruleByCode.askText')}>
        <CopyLine text={request} />
      </Section>
    </div>
  )
}
