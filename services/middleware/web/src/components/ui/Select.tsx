import { useSyncExternalStore } from 'react'
import type { SelectProps } from './select-control'

type Control = typeof import('./select-control').default

let control: Control | null = null
let reading = false
const waiting = new Set<() => void>()

function read(listener: () => void): () => void {
  waiting.add(listener)
  if (!reading) {
    reading = true
    import('./select-control').then(
      (module) => {
        control = module.default
        waiting.forEach((tell) => tell())
      },
      () => {
        // The next list that is drawn tries again.
        reading = false
      },
    )
  }
  return () => waiting.delete(listener)
}

/** A list to choose from, searched while typing; its code is read when the first one is drawn. */
export function Select<V>(props: SelectProps<V>) {
  // All lists of a page appear at once: a lazy component would reveal them one after another.
  const Ready = useSyncExternalStore(read, () => control)
  if (Ready) return <Ready {...(props as SelectProps<unknown>)} />
  return <span className={`qk-input qk-select-wait ${props.size === 'small' ? 'qk-input-small' : ''} ${props.className ?? ''}`} aria-busy />
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
