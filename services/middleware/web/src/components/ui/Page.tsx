import { Check, Copy } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { copyText } from '@/lib/clipboard'
import { toast } from './Toast'
import { Tooltip } from './Tooltip'

/** Title, what the page is for, its actions. */
export function PageHeader({
  title,
  text,
  back,
  children,
}: {
  title: ReactNode
  text?: string
  back?: { to: string; label: string }
  children?: ReactNode
}) {
  return (
    <header className="qk-page-header">
      <div>
        {back ? (
          <Link className="qk-back" to={back.to}>
            {`‹ ${back.label}`}
          </Link>
        ) : null}
        <h1>{title}</h1>
        {text ? <p>{text}</p> : null}
      </div>
      {children ? <div className="qk-page-actions">{children}</div> : null}
    </header>
  )
}

export function usePageTitle(title: string): void {
  const { t } = useTranslation()
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`
  }, [title, t])
}

/** A group of facts under a heading. */
export function Section({ title, text, children, actions }: { title?: string; text?: string; children: ReactNode; actions?: ReactNode }) {
  return (
    <section className="qk-section">
      {title ? (
        <div className="qk-section-head">
          <h2>{title}</h2>
          {actions}
        </div>
      ) : null}
      {text ? <p className="qk-section-text">{text}</p> : null}
      {children}
    </section>
  )
}

/** Names and values, aligned. */
export function Facts({ items }: { items: [string, ReactNode][] }) {
  return (
    <dl className="qk-facts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === null || value === undefined || value === '' ? <span className="qk-muted">–</span> : value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** Copies a text; says so. */
export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation()
  const [copied, setCopied] = useState(false)
  const name = label ?? t('common.copy')
  return (
    <Tooltip title={copied ? t('common.copied') : name}>
      <button
        type="button"
        className="qk-icon-button"
        aria-label={name}
        onClick={() => {
          copyText(text).then(
            () => {
              setCopied(true)
              window.setTimeout(() => setCopied(false), 1500)
            },
            () => toast(t('common.copyFailed'), 'error'),
          )
        }}
      >
        {copied ? <Check size={15} aria-hidden /> : <Copy size={15} aria-hidden />}
      </button>
    </Tooltip>
  )
}

/** A line to copy into a terminal or a form. */
export function CopyLine({ label, text }: { label?: string; text: string }) {
  return (
    <div className="qk-copy-line">
      {label ? <span className="qk-copy-label">{label}</span> : null}
      <code>{text}</code>
      <CopyButton text={text} label={label} />
    </div>
  )
}

/** A list of names as small tags; `none` stands for an empty list. */
export function Tags({ items, none }: { items: string[]; none?: string }) {
  if (items.length === 0) return <span className="qk-muted">{none ?? '–'}</span>
  return (
    <span className="qk-tags">
      {items.map((item) => (
        <span key={item} className="qk-tag">
          {item}
        </span>
      ))}
    </span>
  )
}
