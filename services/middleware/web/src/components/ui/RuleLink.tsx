import { Link } from 'react-router'
import type { AppliedRule } from '@/api/types'
import { useCan } from '@/app/pages'
import { rulePath } from '@/modules/access/rule-kinds'

/** A rule by name: a link for those who may read rules, plain words for everyone else. */
export function RuleLink({ rule }: { rule: Pick<AppliedRule, 'id' | 'name' | 'kind'> & { code?: string; url?: string } }) {
  const can = useCan()
  const path = rulePath(rule.kind, rule.id)
  const text = rule.code ? `${rule.name} (${rule.code})` : rule.name
  if (path && can('policy.view')) {
    return (
      <Link className="qk-tag" to={path}>
        {text}
      </Link>
    )
  }
  return <span className="qk-tag">{text}</span>
}
