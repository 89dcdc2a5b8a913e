import { useCallback, useEffect, useId, useRef, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useBlocker } from 'react-router'
import { ApiError } from '@/api/client'
import { Button } from './Button'
import { Modal } from './Modal'
import { useErrorText } from './States'

export type Errors = Record<string, string>

export interface FormState<V> {
  values: V
  set: <K extends keyof V>(name: K, value: V[K]) => void
  errors: Errors
  touched: Record<string, boolean>
  touch: (name: string) => void
  dirty: boolean
  busy: boolean
  failure: string
  submit: (send: (values: V) => Promise<unknown>) => Promise<boolean>
  reset: (values: V) => void
}

/** Values, errors while typing, and what the server said, by field. */
export function useForm<V extends object>(initial: V, validate: (values: V) => Errors): FormState<V> {
  const errorText = useErrorText()
  const [values, setValues] = useState(initial)
  const [touched, setTouched] = useState<Record<string, boolean>>({})
  const [server, setServer] = useState<Errors>({})
  const [dirty, setDirty] = useState(false)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')

  const set = useCallback(<K extends keyof V>(name: K, value: V[K]) => {
    setValues((old) => ({ ...old, [name]: value }))
    setServer((old) => {
      const rest = { ...old }
      delete rest[String(name)]
      return rest
    })
    setDirty(true)
  }, [])

  const local = validate(values)
  const submit = async (send: (values: V) => Promise<unknown>): Promise<boolean> => {
    setTouched(Object.fromEntries(Object.keys(values).map((name) => [name, true])))
    setFailure('')
    if (Object.keys(local).length > 0) return false
    setBusy(true)
    try {
      await send(values)
      setDirty(false)
      return true
    } catch (error) {
      if (error instanceof ApiError && Object.keys(error.fields).length > 0) {
        setServer(Object.fromEntries(Object.entries(error.fields).map(([name, texts]) => [name, texts.join(' ')])))
        setFailure(error.detail || error.message)
      } else {
        setFailure(errorText(error))
      }
      return false
    } finally {
      setBusy(false)
    }
  }
  const shown: Errors = { ...server }
  for (const [name, text] of Object.entries(local)) if (touched[name]) shown[name] = text
  return {
    values,
    set,
    errors: shown,
    touched,
    touch: (name) => setTouched((old) => ({ ...old, [name]: true })),
    dirty,
    busy,
    failure,
    submit,
    reset: (next) => {
      setValues(next)
      setTouched({})
      setServer({})
      setFailure('')
      setDirty(false)
    },
  }
}

/** Label, control, help and error, tied together for screen readers. */
export function Field({
  label,
  help,
  error,
  required = false,
  children,
  wide = false,
}: {
  label: string
  help?: ReactNode
  error?: string
  required?: boolean
  wide?: boolean
  children: (control: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean; status?: 'error' }) => ReactNode
}) {
  const id = useId()
  const { t } = useTranslation()
  const note = error || help ? `${id}-note` : undefined
  return (
    <div className={`qk-field${wide ? ' qk-field-wide' : ''}`}>
      <label htmlFor={id}>
        {label}
        {required ? null : <span className="qk-optional">{t('form.optional')}</span>}
      </label>
      {children({
        id,
        'aria-describedby': note,
        'aria-invalid': error ? true : undefined,
        status: error ? 'error' : undefined,
      })}
      {error ? (
        <p className="qk-field-error" id={note}>
          {error}
        </p>
      ) : help ? (
        <p className="qk-field-help" id={note}>
          {help}
        </p>
      ) : null}
    </div>
  )
}

export function FieldGroup({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  return (
    <fieldset className="qk-field-group">
      <div className="qk-field-group-head">
        <legend>{title}</legend>
        {text ? <p>{text}</p> : null}
      </div>
      <div className="qk-fields">{children}</div>
    </fieldset>
  )
}

/** Errors summed on top; the guard against leaving with unsaved changes. */
export function FormFrame<V extends object>({
  form,
  labels,
  submitLabel,
  onSubmit,
  onCancel,
  actions,
  children,
}: {
  form: FormState<V>
  labels: Record<string, string>
  submitLabel: string
  onSubmit: () => void
  onCancel?: () => void
  actions?: ReactNode
  children: ReactNode
}) {
  const { t } = useTranslation()
  const summary = useRef<HTMLDivElement>(null)
  const names = Object.keys(form.errors)
  const blocker = useBlocker(
    ({ currentLocation, nextLocation }) => form.dirty && !form.busy && currentLocation.pathname !== nextLocation.pathname,
  )
  useEffect(() => {
    if (!form.dirty) return
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', warn)
    return () => window.removeEventListener('beforeunload', warn)
  }, [form.dirty])
  useEffect(() => {
    if (form.failure) summary.current?.focus()
  }, [form.failure])
  return (
    <form
      className="qk-form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        onSubmit()
      }}
    >
      {form.failure || names.length > 1 ? (
        <div className="qk-form-summary" role="alert" tabIndex={-1} ref={summary}>
          <strong>{form.failure || t('form.fix', { count: names.length })}</strong>
          {names.length > 0 ? (
            <ul>
              {names.map((name) => (
                <li key={name}>
                  {labels[name] ?? name}: {form.errors[name]}
                </li>
              ))}
            </ul>
          ) : null}
        </div>
      ) : null}
      {children}
      <div className="qk-form-actions">
        <Button type="primary" htmlType="submit" loading={form.busy}>
          {submitLabel}
        </Button>
        {onCancel ? <Button onClick={onCancel}>{t('common.cancel')}</Button> : null}
        {actions}
        {form.dirty ? <span className="qk-muted">{t('form.unsaved')}</span> : null}
      </div>
      <Modal
        open={blocker.state === 'blocked'}
        title={t('form.leaveTitle')}
        onCancel={() => blocker.reset?.()}
        footer={
          <>
            <Button type="primary" onClick={() => blocker.reset?.()}>
              {t('form.stay')}
            </Button>
            <Button danger onClick={() => blocker.proceed?.()}>
              {t('form.leave')}
            </Button>
          </>
        }
      >
        <p>{t('form.leaveText')}</p>
      </Modal>
    </form>
  )
}
