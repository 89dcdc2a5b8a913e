import { useId, type ComponentProps, type ReactNode } from 'react'

/** A tick with its words. */
export function Checkbox({ children, ...rest }: { children: ReactNode } & Omit<ComponentProps<'input'>, 'type' | 'children'>) {
  return (
    <label className="qk-check">
      <input {...rest} type="checkbox" />
      <span>{children}</span>
    </label>
  )
}

/** Several ticks that make up one list of values. */
export function CheckboxGroup<T extends string | number>({
  value,
  options,
  onChange,
  className = '',
  disabled = false,
  ...rest
}: {
  value: T[]
  options: { value: T; label: ReactNode; disabled?: boolean }[]
  onChange: (value: T[]) => void
  className?: string
  disabled?: boolean
  id?: string
  'aria-label'?: string
  'aria-describedby'?: string
}) {
  const toggle = (item: T, on: boolean) =>
    onChange(options.map((option) => option.value).filter((option) => (option === item ? on : value.includes(option))))
  return (
    <div role="group" {...rest} className={`qk-check-group ${className}`}>
      {options.map((option) => (
        <Checkbox
          key={option.value}
          checked={value.includes(option.value)}
          disabled={disabled || option.disabled}
          onChange={(event) => toggle(option.value, event.target.checked)}
        >
          {option.label}
        </Checkbox>
      ))}
    </div>
  )
}

/** On or off, at once. */
export function Switch({ onChange, ...rest }: { onChange?: (on: boolean) => void } & Omit<ComponentProps<'input'>, 'type' | 'onChange'>) {
  return <input {...rest} type="checkbox" role="switch" className="qk-switch" onChange={(event) => onChange?.(event.target.checked)} />
}

/** One of a few, all in sight; arrow keys move between them. */
export function Segmented<T extends string>({
  value,
  options,
  onChange,
  ...rest
}: {
  value: T
  options: { value: T; label: ReactNode }[]
  onChange: (value: T) => void
  'aria-label'?: string
}) {
  const name = useId()
  return (
    <div className="qk-segmented" role="radiogroup" {...rest}>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChange(option.value)} />
          <span>{option.label}</span>
        </label>
      ))}
    </div>
  )
}
