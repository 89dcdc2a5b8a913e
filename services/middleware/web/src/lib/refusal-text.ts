/** A refusal in the page's language, from its code and arguments; the server words it in English. */

import { useTranslation } from 'react-i18next'
import type { Reason } from '@/lib/editor-messages.gen'

/** Refusals that no rule made: what is wrong with the text stands in place of the verdict. */
const OF_THE_TEXT = new Set([
  'syntax',
  'schema_not_known',
  'stale_catalog',
  'statement_unknown',
  'unknown_relation',
  'unknown_column',
  'unknown_function',
  'unsupported',
  'ambiguous',
  'too_complex',
])

/** Places that have no name in SQL; the others (`WHERE`, `function lower()`) are the same everywhere. */
const PLACES: Record<string, string> = {
  'the select list': 'select',
  'a join condition': 'join',
  'an aggregate': 'aggregate',
  'a window': 'window',
  'a set operation that removes duplicates': 'set_operation',
  'an expression': 'expression',
  'a write': 'write',
  'a write that copies it': 'write',
  'a write that a constraint or trigger on it judges': 'judged',
}

export function isOfTheText(reason: Reason | null): boolean {
  return reason !== null && OF_THE_TEXT.has(reason.code)
}

/** The words of a refusal; the server's own in English, and where its reason is not known here. */
export function useRefusalText(reason: Reason | null, own: string): string {
  const { t, i18n } = useTranslation()
  if (i18n.language === 'en' || !reason) return own
  const place = PLACES[reason.arguments.clause ?? '']
  const clause = place ? t(`refusalPlace.${place}`) : reason.arguments.clause
  return t(`refusalText.${reason.code}`, { ...reason.arguments, clause, defaultValue: own })
}
