import { describe, expect, it } from 'vitest'
import type { RunSnapshot } from '@/lib/editor-messages.gen'
import { toCodePoints, toUtf16 } from '@/lib/code-points'
import { layOutJson } from './json-layout'
import { applyEvent, preferredView, resultsOf, type RunEvent } from './runs'
import { tablesIn } from './tables-in'

const run: RunSnapshot = {
  run_id: 'r',
  tab_id: 't',
  scope: 'all',
  text: 'select 1; select 2',
  offset: 0,
  state: 'running',
  started_at: '2026-01-01T00:00:00Z',
  duration_ms: null,
  statements: [],
  failure: null,
}
const started = {
  type: 'statement_started',
  run_id: 'r',
  statement_id: 's',
  ordinal: 0,
  start: 0,
  end: 8,
  kind: 'select',
  verdict: 'allowed',
  rules: [],
  started_at: '2026-01-01T00:00:00Z',
} satisfies RunEvent

describe('a run', () => {
  it('grows by its events', () => {
    let now = applyEvent(run, started)
    now = applyEvent(now, { type: 'result_started', run_id: 'r', statement_id: 's', result_id: 'x', columns: [] })
    now = applyEvent(now, { type: 'rows_available', run_id: 'r', result_id: 'x', rows: 7, bytes: 70, complete: true })
    now = applyEvent(now, {
      type: 'statement_finished',
      run_id: 'r',
      statement_id: 's',
      state: 'done',
      duration_ms: 4,
      tag: 'SELECT 7',
      row_count: 7,
      failure: null,
    })
    now = applyEvent(now, { type: 'run_finished', run_id: 'r', state: 'done', duration_ms: 5, failure: null })
    expect(resultsOf(now).map(({ result }) => [result.rows, result.complete])).toEqual([[7, true]])
    expect(now.state).toBe('done')
    expect(preferredView(now)).toBe('x')
  })

  it('shows messages when something failed', () => {
    const failure = {
      code: '42501',
      message: 'no',
      detail: '',
      hint: '',
      position: -1,
      verdict: 'denied' as const,
      object: 'payroll',
      rules: [],
      next_step: '',
      next_url: '', reason: null,
    }
    const now = applyEvent(applyEvent(run, started), {
      type: 'statement_finished',
      run_id: 'r',
      statement_id: 's',
      state: 'refused',
      duration_ms: 1,
      tag: '',
      row_count: null,
      failure,
    })
    expect(preferredView(now)).toBe('messages')
  })

  it('does not list a statement twice when its start is told again', () => {
    expect(applyEvent(applyEvent(run, started), started).statements).toHaveLength(1)
  })
})

describe('code points', () => {
  it.each([
    ['plain', 3, 3],
    ['한글 텍스트', 4, 4],
    ['a😀b', 2, 3],
    ['😀😀', 2, 4],
  ])('%s: %i points are %i units', (text, points, units) => {
    expect(toUtf16(text, points)).toBe(units)
    expect(toCodePoints(text, units)).toBe(points)
  })

  it('ends at the end of the text', () => {
    expect(toUtf16('a😀', 99)).toBe(3)
    expect(toUtf16('abc', 99)).toBe(3)
  })
})

describe('layOutJson', () => {
  it('keeps every digit', () => {
    expect(layOutJson('{"id":12345678901234567890,"x":[1.10,{}]}')).toBe(
      '{\n  "id": 12345678901234567890,\n  "x": [\n    1.10,\n    {}\n  ]\n}',
    )
  })

  it('leaves strings as they are', () => {
    expect(layOutJson('{"a":"x, \\"y\\": {z}"}')).toBe('{\n  "a": "x, \\"y\\": {z}"\n}')
  })
})

describe('tablesIn', () => {
  it('finds tables with schema and alias', () => {
    expect(tablesIn('SELECT * FROM shop.orders o JOIN "Order Items" AS i ON true WHERE 1=1')).toEqual([
      { schema: 'shop', name: 'orders', alias: 'o' },
      { schema: '', name: 'Order Items', alias: 'i' },
    ])
  })

  it('takes no keyword for an alias', () => {
    expect(tablesIn('update customers set name = 1')).toEqual([{ schema: '', name: 'customers', alias: '' }])
  })
})
