import { AlertTriangle, CloudOff, Inbox, ShieldAlert, type LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '@/api/client'
import { Button } from './Button'

/** What this is, why one wants it, one button. */
export function Empty({
  icon: Icon = Inbox,
  title,
  text,
  children,
}: {
  icon?: LucideIcon
  title: string
  text?: string
  children?: ReactNode
}) {
  return (
    <div className="qk-empty">
      <Icon size={28} strokeWidth={1.5} aria-hidden />
      <h2>{title}</h2>
      {text ? <p>{text}</p> : null}
      {children ? <div className="qk-empty-actions">{children}</div> : null}
    </div>
  )
}

/** Rows that stand in for what is being read. */
export function Skeleton({ rows = 6, label }: { rows?: number; label?: string }) {
  const { t } = useTranslation()
  return (
    <div className="qk-skeleton" role="status" aria-label={label ?? t('common.loading')}>
      {Array.from({ length: rows }, (_, index) => (
        <i key={index} className={`qk-skeleton-${index % 4}`} />
      ))}
    </div>
  )
}

/** What went wrong, with what to do and an id to quote. */
export function ErrorPanel({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t, i18n } = useTranslation()
  const failure = error instanceof ApiError ? error : null
  const kind =
    failure === null
      ? 'unexpected'
      : failure.status === 0
        ? 'unreachable'
        : failure.status === 403
          ? 'forbidden'
          : failure.status === 404
            ? 'missing'
            : failure.status >= 500
              ? 'server'
              : 'refused'
  const Icon = kind === 'unreachable' ? CloudOff : kind === 'forbidden' ? ShieldAlert : AlertTriangle
  // The service speaks English. Where the kind of failure says enough, the reader's language does.
  const own = i18n.language === 'en' || kind === 'refused'
  const words = own ? failure?.detail || (kind === 'refused' ? failure?.message : '') : ''
  return (
    <div className="qk-empty qk-error-panel" role="alert">
      <Icon size={28} strokeWidth={1.5} aria-hidden />
      <h2>{t(`errors.${kind}.title`)}</h2>
      <p>{words || t(`errors.${kind}.text`)}</p>
      {failure?.requestId ? (
        <p className="qk-muted">
          {t('errors.quote')} <code>{failure.requestId}</code>
        </p>
      ) : null}
      {onRetry ? (
        <div className="qk-empty-actions">
          <Button onClick={onRetry}>{t('common.retry')}</Button>
        </div>
      ) : null}
    </div>
  )
}

/** A sentence for a failure, for toasts and inline places. */
export function useErrorText(): (error: unknown) => string {
  const { t } = useTranslation()
  return (error) => {
    if (!(error instanceof ApiError)) return t('errors.unexpected.title')
    if (error.status === 0) return t('errors.unreachable.title')
    const fields = Object.values(error.fields).flat()
    return [error.detail || error.message, ...fields].filter(Boolean).join(' ')
  }
}
