/** Numbers, times, sizes and durations as people read them; one place, both languages. */

const DIGITS = new Map<string, Intl.NumberFormat>()

function numberFormat(language: string): Intl.NumberFormat {
  let format = DIGITS.get(language)
  if (!format) {
    format = new Intl.NumberFormat(language)
    DIGITS.set(language, format)
  }
  return format
}

/** `1,234,567`. */
export function formatNumber(value: number, language: string): string {
  return numberFormat(language).format(value)
}

/** `35 ms`, `1.2 s`, `4 m 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return '<1 ms'
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
  const minutes = Math.floor(ms / 60_000)
  const seconds = Math.floor((ms % 60_000) / 1000)
  return minutes < 60
    ? `${minutes} m ${String(seconds).padStart(2, '0')} s`
    : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`
}

/** `512 B`, `3.4 KiB`, `1.2 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`
}

/** Local date and time, for cells: `2026-01-02 12:34:56`. */
export function formatDateTime(iso: string): string {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return iso
  const two = (value: number) => String(value).padStart(2, '0')
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  )
}

/** What a `datetime-local` field holds: `2026-01-02T12:34`. */
export function toLocalInput(iso: string): string {
  return formatDateTime(iso).slice(0, 16).replace(' ', 'T')
}

/** Local time with zone and the UTC time, for tooltips. */
export function formatDateTimeLong(iso: string, language: string): string {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return iso
  const local = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'long' })
  return `${local.format(date)}\n${date.toISOString()}`
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
]

/** `3 minutes ago`, `in 2 days`; null when it is more than 30 days away (show the date then). */
export function formatRelative(iso: string, now: number, language: string): string | null {
  const distance = new Date(iso).getTime() - now
  if (Number.isNaN(distance) || Math.abs(distance) > 30 * 86_400_000) return null
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' })
  for (const [unit, size] of STEPS) {
    if (Math.abs(distance) >= size) return format.format(Math.round(distance / size), unit)
  }
  return format.format(0, 'second')
}
