import { Check, type LucideIcon } from 'lucide-react'
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'

export interface MenuItem {
  key: string
  label: string
  icon?: LucideIcon
  hint?: string
  danger?: boolean
  checked?: boolean
  /** One of several that may be ticked together: choosing it leaves the menu open. */
  ticks?: boolean
  disabled?: boolean
  heading?: boolean
  onSelect?: () => void
}

/** A button with a menu; arrow keys, Home, End, Escape. */
export function Menu({
  label,
  button,
  items,
  align = 'right',
  className = '',
}: {
  label: string
  button: ReactNode
  items: MenuItem[]
  align?: 'left' | 'right'
  className?: string
}) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const id = useId()

  useEffect(() => {
    if (!open) return
    list.current?.querySelector<HTMLElement>('[role^=menuitem]:not([aria-disabled=true])')?.focus()
    const outside = (event: MouseEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('mousedown', outside)
    return () => document.removeEventListener('mousedown', outside)
  }, [open])

  const move = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      setOpen(false)
      root.current?.querySelector('button')?.focus()
      return
    }
    const entries = [...(list.current?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])]
    const at = entries.indexOf(document.activeElement as HTMLElement)
    const next =
      event.key === 'ArrowDown'
        ? (at + 1) % entries.length
        : event.key === 'ArrowUp'
          ? (at - 1 + entries.length) % entries.length
          : event.key === 'Home'
            ? 0
            : event.key === 'End'
              ? entries.length - 1
              : -1
    if (next < 0) return
    event.preventDefault()
    entries[next]?.focus()
  }

  return (
    <div className={`qk-menu ${className}`} ref={root} onKeyDown={open ? move : undefined}>
      <button
        type="button"
        className="qk-menu-button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={id}
        aria-label={label}
        title={label}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open ? (
        <div className={`qk-menu-list qk-menu-${align}`} role="menu" id={id} ref={list}>
          {items.map((item) =>
            item.heading ? (
              <div key={item.key} className="qk-menu-heading" role="presentation">
                {item.label}
              </div>
            ) : (
              <button
                key={item.key}
                type="button"
                role={item.checked === undefined ? 'menuitem' : item.ticks ? 'menuitemcheckbox' : 'menuitemradio'}
                aria-checked={item.checked}
                aria-disabled={item.disabled}
                disabled={item.disabled}
                className={`qk-menu-item${item.danger ? ' qk-danger' : ''}${item.checked ? ' qk-checked' : ''}`}
                onClick={() => {
                  if (!item.ticks) setOpen(false)
                  item.onSelect?.()
                }}
              >
                {item.icon ? <item.icon size={15} aria-hidden /> : null}
                {item.ticks ? <Check size={14} className={item.checked ? '' : 'qk-unseen'} aria-hidden /> : null}
                <span>{item.label}</span>
                {item.hint ? <kbd>{item.hint}</kbd> : null}
              </button>
            ),
          )}
        </div>
      ) : null}
    </div>
  )
}
