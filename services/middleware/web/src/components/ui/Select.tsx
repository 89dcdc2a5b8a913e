import { lazy, Suspense } from 'react'
import type { SelectProps } from './select-control'

const Control = lazy(() => import('./select-control'))

/** A list to choose from, searched while typing; its code is read when the first one is drawn. */
export function Select<V>(props: SelectProps<V>) {
  return (
    <Suspense fallback={<span className={`qk-input qk-select-wait ${props.size === 'small' ? 'qk-input-small' : ''} ${props.className ?? ''}`} />}>
      <Control {...(props as SelectProps<unknown>)} />
    </Suspense>
  )
}

/** A short closed list: the browser's own control, with no code to read. */
export function Choice({
  value,
  options,
  placeholder,
  onChange,
  className = '',
  ...rest
}: {
  value: string | null
  options: { value: string; label: string }[]
  placeholder: string
  onChange: (value: string | null) => void
  className?: string
  'aria-label'?: string
}) {
  return (
    <select
      {...rest}
      className={`qk-input qk-choice ${value ? '' : 'qk-choice-empty'} ${className}`}
      value={value ?? ''}
      onChange={(event) => onChange(event.target.value || null)}
    >
      <option value="">{placeholder}</option>
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  )
}
