import { CheckCircle2, XCircle } from 'lucide-react'
import { useEffect, useRef, useSyncExternalStore } from 'react'

interface ToastItem {
  id: number
  kind: 'ok' | 'error'
  text: string
}

let items: ToastItem[] = []
let counter = 0
const listeners = new Set<() => void>()

function set(next: ToastItem[]): void {
  items = next
  listeners.forEach((listener) => listener())
}

/** Show a sentence at the bottom for a while; errors stay longer. */
export function toast(text: string, kind: 'ok' | 'error' = 'ok'): void {
  counter += 1
  const id = counter
  set([...items.slice(-2), { id, kind, text }])
  window.setTimeout(() => set(items.filter((item) => item.id !== id)), kind === 'ok' ? 3000 : 8000)
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => items)
  const host = useRef<HTMLDivElement>(null)
  useEffect(() => {
    // Shown anew with each change: in the top layer the latest stands above, also over a dialog.
    const element = host.current
    if (!element) return
    if (element.matches(':popover-open')) element.hidePopover()
    if (shown.length > 0) element.showPopover()
  }, [shown])
  return (
    <div ref={host} className="qk-toasts" aria-live="polite" popover="manual">
      {shown.map((item) => (
        <div key={item.id} className={`qk-toast qk-toast-${item.kind}`}>
          {item.kind === 'ok' ? <CheckCircle2 size={16} aria-hidden /> : <XCircle size={16} aria-hidden />}
          {item.text}
        </div>
      ))}
    </div>
  )
}
