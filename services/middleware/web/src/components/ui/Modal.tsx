import { X } from 'lucide-react'
import { useEffect, useId, useRef, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './Button'

interface ModalProps {
  open: boolean
  title: ReactNode
  onCancel: () => void
  children: ReactNode
  /** Buttons of one's own; null for none. Left out: cancel and `okText`. */
  footer?: ReactNode
  okText?: string
  onOk?: () => void
  okDisabled?: boolean
  busy?: boolean
  width?: number
  /** A press beside it closes it too. */
  closeOutside?: boolean
}

/** A dialog over the page: the browser's own, which holds the focus and gives it back. */
export function Modal(props: ModalProps) {
  return props.open ? <OpenModal {...props} /> : null
}

function OpenModal({ title, onCancel, children, footer, okText, onOk, okDisabled, busy, width = 520, closeOutside = true }: ModalProps) {
  const { t } = useTranslation()
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const element = dialog.current
    if (!element || element.open) return
    const before = document.activeElement
    element.showModal()
    const wanted = element.querySelector<HTMLElement>('[data-autofocus]') ?? element.querySelector<HTMLElement>('.qk-modal-body input, .qk-modal-body textarea')
    wanted?.focus()
    return () => {
      element.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      className="qk-modal"
      aria-labelledby={id}
      style={{ width: `min(${width}px, calc(100vw - 32px))` }}
      onCancel={(event) => {
        event.preventDefault()
        onCancel()
      }}
      onMouseDown={(event) => {
        if (closeOutside && event.target === event.currentTarget) onCancel()
      }}
    >
      <div className="qk-modal-inside">
        <div className="qk-modal-head">
          <h2 id={id}>{title}</h2>
          <button type="button" className="qk-icon-button" aria-label={t('common.close')} onClick={onCancel}>
            <X size={16} aria-hidden />
          </button>
        </div>
        <div className="qk-modal-body">{children}</div>
        {footer === undefined ? (
          <div className="qk-modal-foot">
            <Button onClick={onCancel}>{t('common.cancel')}</Button>
            <Button type="primary" loading={busy} disabled={okDisabled} onClick={onOk}>
              {okText}
            </Button>
          </div>
        ) : footer === null ? null : (
          <div className="qk-modal-foot">{footer}</div>
        )}
      </div>
    </dialog>
  )
}
