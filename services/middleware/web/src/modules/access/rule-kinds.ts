/** What the three kinds of rule have in common and where they differ. */

import type { AccessRule, MaskingRule, StatementRule } from '@/api/types'

export type RuleType = 'access' | 'masking' | 'statement'
export type AnyRule = AccessRule & Partial<Pick<MaskingRule, 'masker' | 'relaxations'>> & Partial<Pick<StatementRule, 'check' | 'effect' | 'values' | 'priority'>>

export const RULE_TYPES: RuleType[] = ['masking', 'access', 'statement']
export const RESOURCES: Record<RuleType, string> = {
  access: 'access-rules',
  masking: 'masking-rules',
  statement: 'statement-rules',
}
export const RELAXATIONS = ['where', 'join', 'group', 'order', 'distinct', 'aggregate', 'function', 'write']
export const CHECKS = ['write_without_where', 'kind', 'pattern', 'digest']
export const EFFECTS = ['deny', 'allow', 'need_approval', 'need_reason']

export function asRuleType(text: string | undefined): RuleType {
  return text === 'access' || text === 'statement' ? text : 'masking'
}

/** Where a rule's page is, from the kind that an audit record or a decision names. */
export function rulePath(kind: string, id: string): string | null {
  const type = kind.replace(/[-_ ]?rules?$/, '')
  if (type === 'access' || type === 'masking' || type === 'statement') return `/rules/${type}/${id}`
  if (type === 'mask') return `/rules/masking/${id}`
  if (type === 'grant') return `/grants/${id}`
  return null
}
