import { useRef } from 'react'

/** A handle between two panes; the mouse drags it, the arrow keys move it. */
export function SplitHandle({
  direction,
  label,
  value,
  min,
  max,
  onChange,
  onDone,
}: {
  direction: 'row' | 'column'
  label: string
  value: number
  min: number
  max: number
  onChange: (value: number) => void
  onDone: (value: number) => void
}) {
  const from = useRef<{ at: number; value: number } | null>(null)
  const clamp = (next: number) => Math.round(Math.min(max, Math.max(min, next)))
  const sign = direction === 'row' ? -1 : 1
  return (
    <div
      className={`qk-split-handle qk-split-${direction}`}
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation={direction === 'row' ? 'horizontal' : 'vertical'}
      aria-valuenow={value}
      aria-valuemin={min}
      aria-valuemax={max}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        from.current = { at: direction === 'row' ? event.clientY : event.clientX, value }
      }}
      onPointerMove={(event) => {
        if (!from.current) return
        const moved = (direction === 'row' ? event.clientY : event.clientX) - from.current.at
        onChange(clamp(from.current.value + sign * moved))
      }}
      onPointerUp={() => {
        from.current = null
        onDone(value)
      }}
      onKeyDown={(event) => {
        const step = { ArrowUp: 24, ArrowDown: -24, ArrowLeft: -24, ArrowRight: 24 }[event.key]
        if (step === undefined) return
        event.preventDefault()
        const next = clamp(value + step)
        onChange(next)
        onDone(next)
      }}
    />
  )
}
