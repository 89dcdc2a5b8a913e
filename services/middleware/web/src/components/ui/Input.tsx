import { Eye, EyeOff, X } from 'lucide-react'
import { useRef, useState, type ComponentProps, type KeyboardEvent, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

interface Common {
  size?: 'small' | 'large'
  /** What a form's field hands on; the edge shows it. */
  status?: 'error'
}

function classOf({ size, status }: Common, className = ''): string {
  return ['qk-input', size ? `qk-input-${size}` : '', status ? 'qk-input-error' : '', className].filter(Boolean).join(' ')
}

/** A line of text; `prefix` is an icon, `allowClear` a button that empties it. */
export function Input({
  size,
  status,
  className,
  prefix,
  allowClear = false,
  onPressEnter,
  onKeyDown,
  ...rest
}: Common & {
  prefix?: ReactNode
  allowClear?: boolean
  onPressEnter?: () => void
} & Omit<ComponentProps<'input'>, 'size' | 'prefix'>) {
  const { t } = useTranslation()
  const field = useRef<HTMLInputElement>(null)
  const keyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    onKeyDown?.(event)
    if (event.key === 'Enter' && !event.nativeEvent.isComposing && onPressEnter) {
      event.preventDefault()
      onPressEnter()
    }
  }
  const plain = prefix === undefined && !allowClear
  const input = <input ref={field} {...rest} className={plain ? classOf({ size, status }, className) : undefined} onKeyDown={keyDown} />
  if (plain) return input
  const clear = () => {
    const element = field.current
    if (!element) return
    // The setter of the element itself: React then sees a change as if it had been typed.
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(element, '')
    element.dispatchEvent(new Event('input', { bubbles: true }))
    element.focus()
  }
  return (
    <span className={`${classOf({ size, status }, className)} qk-input-box`}>
      {prefix}
      {input}
      {allowClear && rest.value ? (
        <button type="button" className="qk-input-clear" aria-label={t('form.clear')} onClick={clear}>
          <X size={13} aria-hidden />
        </button>
      ) : null}
    </span>
  )
}

/** A password, hidden until its owner wants to read it. */
export function PasswordInput({ size, status, className, ...rest }: Common & Omit<ComponentProps<'input'>, 'size' | 'type'>) {
  const { t } = useTranslation()
  const [shown, setShown] = useState(false)
  const Icon = shown ? EyeOff : Eye
  return (
    <span className={`${classOf({ size, status }, className)} qk-input-box`}>
      <input {...rest} type={shown ? 'text' : 'password'} spellCheck={false} autoCapitalize="none" />
      <button
        type="button"
        className="qk-input-clear"
        aria-label={shown ? t('form.hideSecret') : t('form.showSecret')}
        aria-pressed={shown}
        onClick={() => setShown(!shown)}
      >
        <Icon size={15} aria-hidden />
      </button>
    </span>
  )
}

/** Several lines of text. */
export function TextArea({ size, status, className, ...rest }: Common & Omit<ComponentProps<'textarea'>, 'size'>) {
  return <textarea {...rest} className={`${classOf({ size, status }, className)} qk-textarea`} />
}

/** A number, null while the field is empty. */
export function NumberInput({
  value,
  onChange,
  ...rest
}: Common & {
  value?: number | null
  onChange?: (value: number | null) => void
} & Omit<ComponentProps<'input'>, 'size' | 'type' | 'value' | 'onChange'>) {
  const { size, status, className, ...field } = rest
  return (
    <input
      {...field}
      type="number"
      className={`${classOf({ size, status }, className)} qk-num`}
      value={value ?? ''}
      onChange={(event) => onChange?.(event.target.value === '' ? null : event.target.valueAsNumber)}
    />
  )
}
