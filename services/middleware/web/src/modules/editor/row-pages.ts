/**
 * Pages of a stored result as the grid needs them. A bounded number of pages is kept; those farthest
 * from view go first. A page that was short when it was read is read again once the result has grown.
 */

import type { ResultView } from '@/lib/editor-messages.gen'
import type { EditorStore } from './store'

const PAGE_ROWS = 500
const KEEP_PAGES = 60

interface KeptPage {
  rows: (string | null)[][]
  cut: Set<string>
  used: number
}

export class RowPages {
  total: number | null = null
  failure: string | null = null
  private pages = new Map<number, KeptPage>()
  private reading = new Map<number, Promise<void>>()
  private clock = 0
  private disposed = false

  constructor(
    private readonly store: EditorStore,
    private readonly resultId: string,
    private readonly view: ResultView,
    private readonly onChange: () => void,
  ) {}

  dispose(): void {
    this.disposed = true
  }

  /** The cell; undefined while its page is on the way. */
  cell(row: number, column: number): string | null | undefined {
    const page = this.pages.get(Math.floor(row / PAGE_ROWS))
    return page?.rows[row % PAGE_ROWS]?.[column]
  }

  isCut(row: number, column: number): boolean {
    return this.pages.get(Math.floor(row / PAGE_ROWS))?.cut.has(`${row % PAGE_ROWS} ${column}`) ?? false
  }

  /** The result has this many rows now: a last page that was short is stale. */
  grew(rows: number): void {
    const stale = [...this.pages].filter(([index, page]) => page.rows.length < PAGE_ROWS && rows > index * PAGE_ROWS + page.rows.length)
    for (const [index] of stale) {
      this.pages.delete(index)
      void this.read(index)
    }
  }

  /** Read what is missing of rows from..to. */
  async ensure(from: number, to: number): Promise<void> {
    const first = Math.max(0, Math.floor(from / PAGE_ROWS))
    const last = Math.floor(Math.max(from, to - 1) / PAGE_ROWS)
    const wanted: Promise<void>[] = []
    for (let index = first; index <= last; index += 1) {
      const page = this.pages.get(index)
      this.clock += 1
      if (page) page.used = this.clock
      else wanted.push(this.read(index))
    }
    await Promise.all(wanted)
  }

  private read(index: number): Promise<void> {
    const running = this.reading.get(index)
    if (running) return running
    const reading = this.fetch(index).finally(() => this.reading.delete(index))
    this.reading.set(index, reading)
    return reading
  }

  private async fetch(index: number): Promise<void> {
    try {
      const answer = await this.store.send(
        { type: 'fetch_rows', result_id: this.resultId, offset: index * PAGE_ROWS, limit: PAGE_ROWS, view: this.view },
        'rows_page',
      )
      if (this.disposed) return
      this.clock += 1
      this.failure = null
      this.total = answer.total
      this.pages.set(index, {
        rows: answer.rows,
        cut: new Set(answer.cut.map((place) => `${place.row} ${place.column}`)),
        used: this.clock,
      })
      this.forget()
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error)
    }
    if (!this.disposed) this.onChange()
  }

  private forget(): void {
    if (this.pages.size <= KEEP_PAGES) return
    const oldest = [...this.pages].sort((a, b) => a[1].used - b[1].used)[0]
    if (oldest) this.pages.delete(oldest[0])
  }
}
