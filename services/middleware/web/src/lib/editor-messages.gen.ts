// Made by `python -m querykeep_middleware.editor.generate_ts` from editor/messages.py. Do not edit.

export const PROTOCOL_VERSION = 1

export const MAX_PAGE_ROWS = 1000

export const CELL_PREVIEW_CHARACTERS = 2000

export const MAX_TEXT_CHARACTERS = 50000000

export const MAX_TAB_CHARACTERS = 5000000

/** A cell of a page: row (within the page) and column. */
export interface CellAddress {
  row: number
  column: number
}

/** Keeps rows whose column (ordinal) compares; ``value`` is unused for null tests. */
export interface ColumnFilter {
  column: number
  operator: FilterOperator
  value: string
}

/** A result column. ``kind`` is the driver's neutral kind (text, integer, decimal, float, boolean, date, time, timestamp, timestamptz, interval, json, binary, uuid, array, other). ``masked_by`` is empty when the values are as stored; ``sources`` names the masked base columns behind it (``schema.table.column``). */
export interface ColumnInfo {
  name: string
  type_name: string
  kind: string
  masked_by: RuleRef[]
  masker: string
  sources: string[]
}

/** Why a session ended; told to the client where the protocol can, and always audited. */
export type EndReason = 'client_closed' | 'target_closed' | 'target_unreachable' | 'revoked' | 'user_disabled' | 'token_revoked' | 'connection_disabled' | 'killed' | 'expired' | 'outside_hours' | 'outside_zone' | 'idle' | 'session_limit' | 'lease_over' | 'drained' | 'protocol_error' | 'result_mismatch' | 'spool_full' | 'internal_error'

/** File formats of a result export. */
export type ExportFormat = 'csv' | 'jsonl'

/** Why a statement failed or was refused. ``code`` is the engine's own (SQLSTATE or number). ``position`` is an offset into the text of the run, or -1. For a refusal ``verdict`` is set, ``object`` names what was refused, ``rules`` by what, ``next_step`` what the person can do and ``next_url`` where (empty when nowhere), and ``reason`` says the same as a code with arguments, for a page in another language. */
export interface Failure {
  code: string
  message: string
  detail: string
  hint: string
  position: number
  verdict: Verdict | null
  object: string
  rules: RuleRef[]
  next_step: string
  next_url: string
  reason: Reason | null
}

/** How a column filter compares. Text is compared without regard to case. */
export type FilterOperator = 'equals' | 'not_equals' | 'contains' | 'starts_with' | 'less' | 'greater' | 'is_null' | 'not_null'

/** One statement that the person ran in the editor. */
export interface HistoryEntry {
  statement_id: string
  started_at: string
  connection_id: string
  connection_name: string
  text: string
  kind: string
  verdict: Verdict
  state: StatementState
  row_count: number | null
  duration_ms: number | null
  error: string
}

/** A notice or warning of the server. */
export interface NoticeText {
  severity: string
  code: string
  message: string
}

/** Why a statement may not run, for who words it himself: a code of ``policy.reasons`` with its arguments by name. The text of the refusal says the same in English. */
export interface Reason {
  code: string
  arguments: Record<string, string>
}

/** A result in the server's store. ``rows`` counts what has been stored so far; ``complete`` is True once no more will come; ``expired``: removed by retention, its rows can no longer be read. */
export interface ResultSnapshot {
  result_id: string
  columns: ColumnInfo[]
  rows: number
  bytes: number
  complete: boolean
  expired: boolean
}

/** How the browser looks at a stored result: worked out by the server over the stored (already masked) values, without running the statement again. ``search`` keeps rows in which any cell contains the text, without regard to case. */
export interface ResultView {
  sort: SortKey[]
  filters: ColumnFilter[]
  search: string
}

/** A rule as a person sees it. ``kind``: access, masking, statement, grant; ``effect``: deny, mask, exempt, relax, grant, need_approval, need_reason. ``code`` is the short number (M-17), and ``url`` the page of the rule in the web UI, a path beginning with ``/``; both may be empty. */
export interface RuleRef {
  id: string
  name: string
  kind: string
  effect: string
  code: string
  url: string
}

/** How much of a tab a run covers. */
export type RunScope = 'all' | 'selection' | 'current'

/** A run with all its statements. ``offset`` is where its text began in the tab when it was started (code points). ``failure`` is set when the text failed as a whole (syntax, session gone). */
export interface RunSnapshot {
  run_id: string
  tab_id: string
  scope: RunScope
  text: string
  offset: number
  state: RunState
  started_at: string
  duration_ms: number | null
  statements: StatementSnapshot[]
  failure: Failure | null
}

/** Where a run stands; its statements tell the rest. */
export type RunState = 'running' | 'done' | 'failed' | 'refused' | 'cancelled' | 'unknown'

/** An open governed session of one tab. ``functions`` are the editor functions of the person's privilege there (``export``, ``copy`` …), ``capabilities`` the engine's (``transactions``, ``multi_result``, ``cancel`` …), ``dialect`` the editor's word for its SQL. */
export interface SessionInfo {
  session_id: string
  tab_id: string
  connection_id: string
  connection_name: string
  engine: string
  dialect: string
  database: string
  privilege: string
  functions: string[]
  capabilities: string[]
  opened_at: string
  transaction: TransactionInfo
}

/** Order by one column (ordinal, 0-based). NULL stands last in either direction. */
export interface SortKey {
  column: number
  descending: boolean
}

/** One statement of a run, whole. ``start`` and ``end`` are its place in the text of the run, ``ordinal`` its number in the run from 0. ``row_count`` is what the engine said, None when it said nothing; ``duration_ms`` None while it runs. */
export interface StatementSnapshot {
  statement_id: string
  ordinal: number
  start: number
  end: number
  kind: string
  verdict: Verdict
  rules: RuleRef[]
  state: StatementState
  started_at: string
  duration_ms: number | null
  tag: string
  row_count: number | null
  results: ResultSnapshot[]
  notices: NoticeText[]
  failure: Failure | null
}

/** Where a statement stands. ``UNKNOWN``: the runner died while it ran. */
export type StatementState = 'running' | 'done' | 'failed' | 'refused' | 'cancelled' | 'skipped' | 'unknown'

/** An editor tab as the server keeps it. ``revision`` rises with each change of the text that the browser makes; an older one never replaces a newer one. ``cursor`` is an offset into the text. */
export interface TabState {
  tab_id: string
  title: string
  connection_id: string
  text: string
  revision: number
  cursor: number
  auto_commit: boolean
}

/** The transaction of a session. ``failed``: the server takes nothing but a rollback (or an end) now. ``statements`` counts those run in it. */
export interface TransactionInfo {
  auto_commit: boolean
  is_open: boolean
  failed: boolean
  opened_at: string | null
  statements: number
}

/** What the policy said of a statement. */
export type Verdict = 'allowed' | 'masked' | 'denied' | 'needs_approval' | 'needs_reason'

/** First message of a socket; answered by ``WindowOpened``. An empty ``window_id`` asks for a new window; ``zone`` is the browser's IANA zone, ``language`` ``ko`` or ``en``: that of messages which the server words itself. */
export interface OpenWindow {
  type: 'open_window'
  request: string
  protocol: number
  window_id?: string
  language?: string
  zone?: string
}

/** Open a governed session for a tab (closing the one it has); answered by ``SessionOpened``. Refused sign-ins come as ``RequestFailed`` with the code of ``SignInRefusal``. */
export interface OpenSession {
  type: 'open_session'
  request: string
  tab_id: string
  connection_id: string
  auto_commit?: boolean
}

/** Close the session of a tab, rolling back what is open; answered by ``RequestDone``, followed by ``SessionEnded``. */
export interface CloseSession {
  type: 'close_session'
  request: string
  tab_id: string
}

/** Run a text in the tab's session. ``run_id`` is chosen by the browser (unique for ever), so that a repeat after a reconnect never runs twice: a known id is answered by ``RequestDone`` and nothing is run. ``offset`` is where the text begins in the tab (code points). ``stop_on_error``: statements after a failed one are skipped. Answered by ``RequestDone`` once taken. */
export interface RunText {
  type: 'run_text'
  request: string
  tab_id: string
  run_id: string
  scope: RunScope
  text: string
  offset?: number
  stop_on_error?: boolean
}

/** Cancel what a tab runs; answered by ``RequestDone``, the run ends with its own events. */
export interface CancelRun {
  type: 'cancel_run'
  request: string
  tab_id: string
}

/** Switch between auto-commit and manual; refused while a transaction is open. Answered by ``RequestDone``, followed by ``TransactionChanged``. */
export interface SetAutoCommit {
  type: 'set_auto_commit'
  request: string
  tab_id: string
  auto_commit: boolean
}

/** Commit (or roll back) the open transaction; answered by ``RequestDone``, followed by ``TransactionChanged``. In the audit log it is a statement as any other. */
export interface EndTransaction {
  type: 'end_transaction'
  request: string
  tab_id: string
  commit: boolean
}

/** Read a page of a stored result through a view; answered by ``RowsPage``. ``limit`` is at most ``MAX_PAGE_ROWS``. Works while the result is still growing. */
export interface FetchRows {
  type: 'fetch_rows'
  request: string
  result_id: string
  offset: number
  limit: number
  view?: ResultView
}

/** Read one cell whole; ``row`` counts in the view. Answered by ``CellValue``. */
export interface FetchCell {
  type: 'fetch_cell'
  request: string
  result_id: string
  row: number
  column: number
  view?: ResultView
}

/** Forget a stored result; answered by ``RequestDone``. */
export interface CloseResult {
  type: 'close_result'
  request: string
  result_id: string
}

/** Make a download of a stored result as the view shows it; answered by ``ExportReady``. Needs the ``export`` function of the privilege. ``for_spreadsheet``: a byte order mark, and cells that a spreadsheet would run as formulas get a leading apostrophe. */
export interface ExportResult {
  type: 'export_result'
  request: string
  result_id: string
  format: ExportFormat
  for_spreadsheet?: boolean
  view?: ResultView
}

/** Keep a tab's state (made when its id is new); answered by ``TabSaved``. */
export interface SaveTab {
  type: 'save_tab'
  request: string
  tab: TabState
}

/** Remove a tab, its session and its results; answered by ``RequestDone``. */
export interface RemoveTab {
  type: 'remove_tab'
  request: string
  tab_id: string
}

/** Keep the order of the tabs and which one is shown; answered by ``RequestDone``. */
export interface ArrangeTabs {
  type: 'arrange_tabs'
  request: string
  tab_ids: string[]
  active_tab: string
}

/** Read the person's own statements, newest first; answered by ``HistoryPage``. ``before`` is ``next_before`` of the page above, empty for the first. */
export interface ListHistory {
  type: 'list_history'
  request: string
  connection_id?: string
  search?: string
  before?: string
  limit?: number
}

/** Keeps the socket open and measures it; answered by ``Pong``. */
export interface Ping {
  type: 'ping'
  request: string
}

/** The window's whole state. ``resumed`` is False when the id asked for is no longer known: tabs of the person's last window are then offered all the same, without sessions. */
export interface WindowOpened {
  type: 'window_opened'
  request: string
  protocol: number
  window_id: string
  resumed: boolean
  username: string
  tabs: TabState[]
  active_tab: string
  sessions: SessionInfo[]
  runs: RunSnapshot[]
}

/** Another socket took this window over (the page was opened twice); this one closes. */
export interface WindowTaken {
  type: 'window_taken'
  at: string
}

/** A request was carried out. */
export interface RequestDone {
  type: 'request_done'
  request: string
}

/** A request was not carried out. ``code`` is for programs: that of a ``SignInRefusal``, or ``no_session``, ``busy``, ``transaction_open``, ``not_found``, ``expired``, ``not_allowed``, ``too_large``, ``bad_request``, ``target_unreachable``, ``target_sign_in``, ``internal``. ``retry``: trying again later may help. */
export interface RequestFailed {
  type: 'request_failed'
  request: string
  code: string
  message: string
  next_step: string
  retry: boolean
}

/** A tab has a session now. */
export interface SessionOpened {
  type: 'session_opened'
  request: string
  session: SessionInfo
}

/** A tab's session is over; ``message`` says why in words. ``rolled_back``: a transaction was open and is lost. ``can_reopen`` is False when access itself was taken. */
export interface SessionEnded {
  type: 'session_ended'
  tab_id: string
  session_id: string
  reason: EndReason
  message: string
  at: string
  rolled_back: boolean
  can_reopen: boolean
}

/** A run began. */
export interface RunStarted {
  type: 'run_started'
  tab_id: string
  run_id: string
  scope: RunScope
  text: string
  offset: number
  started_at: string
}

/** A statement was decided, and runs if its verdict lets it. */
export interface StatementStarted {
  type: 'statement_started'
  run_id: string
  statement_id: string
  ordinal: number
  start: number
  end: number
  kind: string
  verdict: Verdict
  rules: RuleRef[]
  started_at: string
}

/** A statement returns rows. */
export interface ResultStarted {
  type: 'result_started'
  run_id: string
  statement_id: string
  result_id: string
  columns: ColumnInfo[]
}

/** So many rows of a result are stored; sent at the first rows, then at most every 100 ms, and when ``complete``. */
export interface RowsAvailable {
  type: 'rows_available'
  run_id: string
  result_id: string
  rows: number
  bytes: number
  complete: boolean
}

/** The server sent a notice while a statement ran. */
export interface NoticeShown {
  type: 'notice_shown'
  run_id: string
  statement_id: string
  notice: NoticeText
}

/** A statement ended; ``failure`` is set for failed and refused ones. */
export interface StatementFinished {
  type: 'statement_finished'
  run_id: string
  statement_id: string
  state: StatementState
  duration_ms: number
  tag: string
  row_count: number | null
  failure: Failure | null
}

/** A run ended. ``failure`` is set when the text failed as a whole. */
export interface RunFinished {
  type: 'run_finished'
  run_id: string
  state: RunState
  duration_ms: number
  failure: Failure | null
}

/** The transaction state of a tab's session moved. */
export interface TransactionChanged {
  type: 'transaction_changed'
  tab_id: string
  transaction: TransactionInfo
}

/** Rows as exact text, None for NULL. ``total`` counts the rows of the view now; ``cut`` lists cells that are longer than ``CELL_PREVIEW_CHARACTERS``. */
export interface RowsPage {
  type: 'rows_page'
  request: string
  result_id: string
  offset: number
  rows: ((string | null)[])[]
  cut: CellAddress[]
  total: number
  complete: boolean
}

/** A cell, whole. */
export interface CellValue {
  type: 'cell_value'
  request: string
  value: string | null
}

/** A download, once, within a minute, for this person: a path beginning with ``/``. */
export interface ExportReady {
  type: 'export_ready'
  request: string
  url: string
  file_name: string
}

/** The tab is stored with this revision (a newer one where another window wrote later). */
export interface TabSaved {
  type: 'tab_saved'
  request: string
  tab_id: string
  revision: number
}

/** A page of history; ``next_before`` is empty on the last. */
export interface HistoryPage {
  type: 'history_page'
  request: string
  entries: HistoryEntry[]
  next_before: string
}

/** Answer to ``Ping``. */
export interface Pong {
  type: 'pong'
  request: string
}

export type ClientMessage =
  | OpenWindow
  | OpenSession
  | CloseSession
  | RunText
  | CancelRun
  | SetAutoCommit
  | EndTransaction
  | FetchRows
  | FetchCell
  | CloseResult
  | ExportResult
  | SaveTab
  | RemoveTab
  | ArrangeTabs
  | ListHistory
  | Ping

export type ServerMessage =
  | WindowOpened
  | WindowTaken
  | RequestDone
  | RequestFailed
  | SessionOpened
  | SessionEnded
  | RunStarted
  | StatementStarted
  | ResultStarted
  | RowsAvailable
  | NoticeShown
  | StatementFinished
  | RunFinished
  | TransactionChanged
  | RowsPage
  | CellValue
  | ExportReady
  | TabSaved
  | HistoryPage
  | Pong
