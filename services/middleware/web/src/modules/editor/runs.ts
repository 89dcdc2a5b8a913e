/** How events move the picture of a run. Pure. */

import type {
  ResultSnapshot,
  RunSnapshot,
  ServerMessage,
  StatementSnapshot,
} from '@/lib/editor-messages.gen'

export type RunEvent = Extract<
  ServerMessage,
  {
    type:
      | 'statement_started'
      | 'result_started'
      | 'rows_available'
      | 'notice_shown'
      | 'statement_finished'
      | 'run_finished'
  }
>

function change<T>(items: T[], matches: (item: T) => boolean, update: (item: T) => T): T[] {
  return items.map((item) => (matches(item) ? update(item) : item))
}

/** Return the run after an event of its own. */
export function applyEvent(run: RunSnapshot, event: RunEvent): RunSnapshot {
  const statements = (update: (items: StatementSnapshot[]) => StatementSnapshot[]): RunSnapshot => ({
    ...run,
    statements: update(run.statements),
  })
  switch (event.type) {
    case 'statement_started': {
      const started: StatementSnapshot = {
        statement_id: event.statement_id,
        ordinal: event.ordinal,
        start: event.start,
        end: event.end,
        kind: event.kind,
        verdict: event.verdict,
        rules: event.rules,
        state: 'running',
        started_at: event.started_at,
        duration_ms: null,
        tag: '',
        row_count: null,
        results: [],
        notices: [],
        failure: null,
      }
      return statements((items) => [...items.filter((item) => item.statement_id !== event.statement_id), started])
    }
    case 'result_started': {
      const result: ResultSnapshot = {
        result_id: event.result_id,
        columns: event.columns,
        rows: 0,
        bytes: 0,
        complete: false,
        expired: false,
      }
      return statements((items) =>
        change(
          items,
          (item) => item.statement_id === event.statement_id,
          (item) => ({ ...item, results: [...item.results, result] }),
        ),
      )
    }
    case 'rows_available':
      return statements((items) =>
        items.map((item) =>
          item.results.some((result) => result.result_id === event.result_id)
            ? {
                ...item,
                results: change(
                  item.results,
                  (result) => result.result_id === event.result_id,
                  (result) => ({ ...result, rows: event.rows, bytes: event.bytes, complete: event.complete }),
                ),
              }
            : item,
        ),
      )
    case 'notice_shown':
      return statements((items) =>
        change(
          items,
          (item) => item.statement_id === event.statement_id,
          (item) => ({ ...item, notices: [...item.notices, event.notice] }),
        ),
      )
    case 'statement_finished':
      return statements((items) =>
        change(
          items,
          (item) => item.statement_id === event.statement_id,
          (item) => ({
            ...item,
            state: event.state,
            duration_ms: event.duration_ms,
            tag: event.tag,
            row_count: event.row_count,
            failure: event.failure,
          }),
        ),
      )
    case 'run_finished':
      return { ...run, state: event.state, duration_ms: event.duration_ms, failure: event.failure }
  }
}

/** Every result of a run, in order, with its statement. */
export function resultsOf(run: RunSnapshot | undefined): { statement: StatementSnapshot; result: ResultSnapshot }[] {
  return (run?.statements ?? []).flatMap((statement) => statement.results.map((result) => ({ statement, result })))
}

/** What to show when a run has ended or a result came: the first result, or the messages. */
export function preferredView(run: RunSnapshot): string {
  const failed = run.failure !== null || run.statements.some((item) => item.failure !== null)
  const [first] = resultsOf(run)
  const nothing = run.state === 'cancelled' && resultsOf(run).every((item) => item.result.rows === 0)
  return failed || nothing || !first ? 'messages' : first.result.result_id
}
