import { AlertTriangle } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './Button'
import { Input } from './Input'
import { Modal } from './Modal'
import { CopyLine } from './Page'
import { useErrorText } from './States'

/** A dangerous act: says what will happen and asks for the object's name to be typed. */
export function DangerDialog({
  open,
  title,
  text,
  name,
  action,
  onConfirm,
  onClose,
  children,
}: {
  open: boolean
  title: string
  text: string
  /** What has to be typed; null asks for no more than the button. */
  name: string | null
  action: string
  onConfirm: () => Promise<unknown>
  onClose: () => void
  children?: ReactNode
}) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')
  const close = () => {
    setTyped('')
    setFailure('')
    onClose()
  }
  const confirm = async () => {
    setBusy(true)
    setFailure('')
    try {
      await onConfirm()
      close()
    } catch (error) {
      setFailure(errorText(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Modal
      open={open}
      title={
        <span className="qk-danger-title">
          <AlertTriangle size={17} aria-hidden /> {title}
        </span>
      }
      onCancel={close}
      footer={
        <>
          <Button onClick={close}>
            {t('common.cancel')}
          </Button>
          <Button
           
            type="primary"
            danger
            loading={busy}
            disabled={name !== null && typed !== name}
            onClick={() => void confirm()}
          >
            {action}
          </Button>
        </>
      }
    >
      <p>{text}</p>
      {children}
      {name !== null ? (
        <label className="qk-type-name">
          <span>
            {t('danger.typeName')} <code>{name}</code>
          </span>
          <Input value={typed} onChange={(event) => setTyped(event.target.value)} autoFocus autoComplete="off" />
        </label>
      ) : null}
      {failure ? (
        <p className="qk-field-error" role="alert">
          {failure}
        </p>
      ) : null}
    </Modal>
  )
}

/** A secret that is shown once; leaving asks nothing, but says that it will not come back. */
export function SecretDialog({
  open,
  title,
  lines,
  onClose,
  children,
}: {
  open: boolean
  title: string
  lines: { label: string; text: string }[]
  onClose: () => void
  children?: ReactNode
}) {
  const { t } = useTranslation()
  return (
    <Modal
      open={open}
      title={title}
      onCancel={onClose}
      closeOutside={false}
      width={640}
      footer={
        <Button type="primary" onClick={onClose}>
          {t('secret.saved')}
        </Button>
      }
    >
      <p>{t('secret.once')}</p>
      <div className="qk-stack">
        {lines.map((line) => (
          <CopyLine key={line.label} label={line.label} text={line.text} />
        ))}
      </div>
      {children}
    </Modal>
  )
}
