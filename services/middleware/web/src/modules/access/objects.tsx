import { Plus, X } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import type { ObjectPattern } from '@/api/types'
import { Button } from '@/components/ui/Button'
import { Input } from '@/components/ui/Input'

/** `shop.customers.email`, with `*` for what is open. */
export function patternText(pattern: ObjectPattern, withColumn: boolean): string {
  const parts = [pattern.schema || '*', pattern.table || '*']
  if (withColumn && pattern.column && pattern.column !== '*') parts.push(pattern.column)
  return parts.join('.')
}

export function Patterns({ items, withColumn = false, all }: { items: ObjectPattern[]; withColumn?: boolean; all: string }) {
  if (items.length === 0) return <span className="qk-muted">{all}</span>
  return (
    <span className="qk-tags">
      {items.map((item, index) => (
        <code key={index} className="qk-tag">
          {patternText(item, withColumn)}
        </code>
      ))}
    </span>
  )
}

/** Rows of schema, table and (where the rule is about columns) column; globs are allowed. */
export function PatternEditor({
  value,
  onChange,
  withColumn = false,
  error,
}: {
  value: ObjectPattern[]
  onChange: (value: ObjectPattern[]) => void
  withColumn?: boolean
  error?: string
}) {
  const { t } = useTranslation()
  const put = (index: number, part: keyof ObjectPattern, text: string) =>
    onChange(value.map((item, at) => (at === index ? { ...item, [part]: text } : item)))
  const parts: (keyof ObjectPattern)[] = withColumn ? ['schema', 'table', 'column'] : ['schema', 'table']
  return (
    <div className="qk-field-wide">
      {value.map((item, index) => (
        <div key={index} className={`qk-pattern-row${withColumn ? '' : ' qk-two'}`}>
          {parts.map((part) => (
            <Input
              key={part}
              className="qk-mono"
              value={item[part] ?? ''}
              aria-label={t(`objects.${part}`)}
              placeholder={t(`objects.${part}`)}
              status={error ? 'error' : undefined}
              onChange={(event) => put(index, part, event.target.value)}
            />
          ))}
          <button
            type="button"
            className="qk-icon-button"
            aria-label={t('objects.remove')}
            title={t('objects.remove')}
            onClick={() => onChange(value.filter((_, at) => at !== index))}
          >
            <X size={14} aria-hidden />
          </button>
        </div>
      ))}
      <Button
        size="small"
        icon={<Plus size={13} />}
        onClick={() => onChange([...value, withColumn ? { schema: '*', table: '', column: '' } : { schema: '*', table: '*' }])}
      >
        {t('objects.add')}
      </Button>
      {error ? <p className="qk-field-error">{error}</p> : <p className="qk-field-help">{t('objects.help')}</p>}
    </div>
  )
}
