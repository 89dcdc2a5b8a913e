import { useCallback, useEffect, useId, useRef, useState, type ReactNode } from 'react'

const WAIT_MS = 250
const GAP = 6

/** Words beside a thing that is pointed at or focused; in the top layer, so that nothing covers them. */
export function Tooltip({ title, children }: { title: ReactNode; children: ReactNode }) {
  const id = useId()
  const anchor = useRef<HTMLSpanElement>(null)
  const tip = useRef<HTMLSpanElement>(null)
  const timer = useRef(0)
  const [open, setOpen] = useState(false)
  const show = useCallback(() => {
    window.clearTimeout(timer.current)
    timer.current = window.setTimeout(() => setOpen(true), WAIT_MS)
  }, [])
  const hide = useCallback(() => {
    window.clearTimeout(timer.current)
    setOpen(false)
  }, [])
  useEffect(() => () => window.clearTimeout(timer.current), [])
  useEffect(() => {
    const words = tip.current
    const place = anchor.current?.firstElementChild?.getBoundingClientRect()
    if (!open || !words || !place) return
    words.showPopover()
    const size = words.getBoundingClientRect()
    const left = place.left + place.width / 2 - size.width / 2
    const above = place.top - size.height - GAP
    words.style.left = `${Math.min(Math.max(8, left), window.innerWidth - size.width - 8)}px`
    words.style.top = `${above >= 8 ? above : place.bottom + GAP}px`
    const escape = (event: KeyboardEvent) => event.key === 'Escape' && setOpen(false)
    window.addEventListener('keydown', escape)
    window.addEventListener('scroll', hide, true)
    return () => {
      window.removeEventListener('keydown', escape)
      window.removeEventListener('scroll', hide, true)
    }
  }, [open, hide, title])
  return (
    <span ref={anchor} className="qk-tip-anchor" onMouseEnter={show} onMouseLeave={hide} onFocus={show} onBlur={hide} aria-describedby={open ? id : undefined}>
      {children}
      {open ? (
        <span ref={tip} id={id} className="qk-tip" role="tooltip" popover="manual">
          {title}
        </span>
      ) : null}
    </span>
  )
}
