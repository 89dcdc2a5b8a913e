"""The editor's WebSocket schema: the one source for both ends.

One WebSocket (``/ws/editor``) belongs to one editor window and carries JSON text frames, one
message each: an object with ``type`` and the fields of the dataclass of that name below. The
TypeScript side is generated from this module by ``generate_ts``; ``frames`` reads and writes.

Flow
    The browser opens with ``OpenWindow``; nothing else is taken before it. A ``window_id`` that the
    server knows (of the same person) resumes it: tabs, sessions, runs and results come back in
    ``WindowOpened``, and events that follow continue from there. Two sockets on one window: the
    newer wins, the older gets ``WindowTaken`` and is closed.

    Each client message has a ``request`` id of the browser's choice, unique in the socket. It is
    answered exactly once: by its own answer (named in its docstring), by ``RequestDone`` where it
    has none, or by ``RequestFailed``. Events (``RunStarted`` … ``RunFinished``, ``SessionEnded``,
    ``TransactionChanged``) carry no request id.

    A run: ``RunStarted``, then per statement ``StatementStarted``, any of ``ResultStarted``,
    ``RowsAvailable``, ``NoticeShown``, and ``StatementFinished``; last ``RunFinished``. A text
    that is refused or cannot be parsed runs nothing: its statements come as ``StatementStarted``
    (verdict denied) with ``StatementFinished`` (state refused), or ``RunFinished`` alone carries
    the failure.

    Rows never come by themselves: the browser asks with ``FetchRows`` for what it shows.

Close codes of the socket: 4400 bad message, 4401 not signed in, 4403 origin refused, 4409 window
taken, 4426 schema version not spoken (reload the page), 1012 server restarts (reconnect).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from querykeep_guard.contracts.audit import Verdict
from querykeep_guard.contracts.session import EndReason
from querykeep_middleware.editor.shapes import (
    WHOLE_RESULT,
    CellAddress,
    ColumnInfo,
    ExportFormat,
    Failure,
    HistoryEntry,
    NoticeText,
    ResultView,
    RuleRef,
    RunScope,
    RunSnapshot,
    RunState,
    SessionInfo,
    StatementState,
    TabState,
    TransactionInfo,
)

PROTOCOL_VERSION = 1
"""Rises with every change that an older browser page could not read."""

MAX_PAGE_ROWS = 1000
"""Largest ``limit`` of ``FetchRows``; a larger one is refused."""

CELL_PREVIEW_CHARACTERS = 2000
"""Cells in pages are cut here and listed in ``RowsPage.cut``; ``FetchCell`` gives the whole."""

MAX_TEXT_CHARACTERS = 50_000_000
"""Largest text of a run; a longer one is refused before anything is done."""

MAX_TAB_CHARACTERS = 5_000_000
"""Largest text of a tab that is kept on the server."""


# --- browser → server -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """First message of a socket; answered by ``WindowOpened``. An empty ``window_id`` asks for a
    new window; ``zone`` is the browser's IANA zone, ``language`` ``ko`` or ``en``: that of messages
    which the server words itself."""

    request: str
    protocol: int
    window_id: str = ""
    language: str = "en"
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Open a governed session for a tab (closing the one it has); answered by ``SessionOpened``.
    Refused sign-ins come as ``RequestFailed`` with the code of ``SignInRefusal``."""

    request: str
    tab_id: str
    connection_id: str
    auto_commit: bool = True


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the session of a tab, rolling back what is open; answered by ``RequestDone``, followed
    by ``SessionEnded``."""

    request: str
    tab_id: str


@dataclass(frozen=True, slots=True)
class RunText:
    """Run a text in the tab's session. ``run_id`` is chosen by the browser (unique for ever), so
    that a repeat after a reconnect never runs twice: a known id is answered by ``RequestDone`` and
    nothing is run. ``offset`` is where the text begins in the tab (code points). ``stop_on_error``:
    statements after a failed one are skipped. Answered by ``RequestDone`` once taken."""

    request: str
    tab_id: str
    run_id: str
    scope: RunScope
    text: str
    offset: int = 0
    stop_on_error: bool = True


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Cancel what a tab runs; answered by ``RequestDone``, the run ends with its own events."""

    request: str
    tab_id: str


@dataclass(frozen=True, slots=True)
class SetAutoCommit:
    """Switch between auto-commit and manual; refused while a transaction is open. Answered by
    ``RequestDone``, followed by ``TransactionChanged``."""

    request: str
    tab_id: str
    auto_commit: bool


@dataclass(frozen=True, slots=True)
class EndTransaction:
    """Commit (or roll back) the open transaction; answered by ``RequestDone``, followed by
    ``TransactionChanged``. In the audit log it is a statement as any other."""

    request: str
    tab_id: str
    commit: bool


@dataclass(frozen=True, slots=True)
class FetchRows:
    """Read a page of a stored result through a view; answered by ``RowsPage``. ``limit`` is at most
    ``MAX_PAGE_ROWS``. Works while the result is still growing."""

    request: str
    result_id: str
    offset: int
    limit: int
    view: ResultView = WHOLE_RESULT


@dataclass(frozen=True, slots=True)
class FetchCell:
    """Read one cell whole; ``row`` counts in the view. Answered by ``CellValue``."""

    request: str
    result_id: str
    row: int
    column: int
    view: ResultView = WHOLE_RESULT


@dataclass(frozen=True, slots=True)
class CloseResult:
    """Forget a stored result; answered by ``RequestDone``."""

    request: str
    result_id: str


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Make a download of a stored result as the view shows it; answered by ``ExportReady``. Needs
    the ``export`` function of the privilege. ``for_spreadsheet``: a byte order mark, and cells that
    a spreadsheet would run as formulas get a leading apostrophe."""

    request: str
    result_id: str
    format: ExportFormat
    for_spreadsheet: bool = False
    view: ResultView = WHOLE_RESULT


@dataclass(frozen=True, slots=True)
class SaveTab:
    """Keep a tab's state (made when its id is new); answered by ``TabSaved``."""

    request: str
    tab: TabState


@dataclass(frozen=True, slots=True)
class RemoveTab:
    """Remove a tab, its session and its results; answered by ``RequestDone``."""

    request: str
    tab_id: str


@dataclass(frozen=True, slots=True)
class ArrangeTabs:
    """Keep the order of the tabs and which one is shown; answered by ``RequestDone``."""

    request: str
    tab_ids: tuple[str, ...]
    active_tab: str


@dataclass(frozen=True, slots=True)
class ListHistory:
    """Read the person's own statements, newest first; answered by ``HistoryPage``. ``before`` is
    ``next_before`` of the page above, empty for the first."""

    request: str
    connection_id: str = ""
    search: str = ""
    before: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Ping:
    """Keeps the socket open and measures it; answered by ``Pong``."""

    request: str


ClientMessage = (
    OpenWindow
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
)


# --- server → browser -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """The window's whole state. ``resumed`` is False when the id asked for is no longer known: tabs
    of the person's last window are then offered all the same, without sessions."""

    request: str
    protocol: int
    window_id: str
    resumed: bool
    username: str
    tabs: tuple[TabState, ...]
    active_tab: str
    sessions: tuple[SessionInfo, ...]
    runs: tuple[RunSnapshot, ...]


@dataclass(frozen=True, slots=True)
class WindowTaken:
    """Another socket took this window over (the page was opened twice); this one closes."""

    at: datetime


@dataclass(frozen=True, slots=True)
class RequestDone:
    """A request was carried out."""

    request: str


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request was not carried out. ``code`` is for programs: that of a ``SignInRefusal``, or
    ``no_session``, ``busy``, ``transaction_open``, ``not_found``, ``expired``, ``not_allowed``,
    ``too_large``, ``bad_request``, ``target_unreachable``, ``target_sign_in``, ``internal``.
    ``retry``: trying again later may help."""

    request: str
    code: str
    message: str
    next_step: str = ""
    retry: bool = False


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A tab has a session now."""

    request: str
    session: SessionInfo


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A tab's session is over; ``message`` says why in words. ``rolled_back``: a transaction was
    open and is lost. ``can_reopen`` is False when access itself was taken."""

    tab_id: str
    session_id: str
    reason: EndReason
    message: str
    at: datetime
    rolled_back: bool = False
    can_reopen: bool = True


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began."""

    tab_id: str
    run_id: str
    scope: RunScope
    text: str
    offset: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StatementStarted:
    """A statement was decided, and runs if its verdict lets it."""

    run_id: str
    statement_id: str
    ordinal: int
    start: int
    end: int
    kind: str
    verdict: Verdict
    rules: tuple[RuleRef, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class ResultStarted:
    """A statement returns rows."""

    run_id: str
    statement_id: str
    result_id: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True, slots=True)
class RowsAvailable:
    """So many rows of a result are stored; sent at the first rows, then at most every 100 ms, and
    when ``complete``."""

    run_id: str
    result_id: str
    rows: int
    bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class NoticeShown:
    """The server sent a notice while a statement ran."""

    run_id: str
    statement_id: str
    notice: NoticeText


@dataclass(frozen=True, slots=True)
class StatementFinished:
    """A statement ended; ``failure`` is set for failed and refused ones."""

    run_id: str
    statement_id: str
    state: StatementState
    duration_ms: float
    tag: str = ""
    row_count: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended. ``failure`` is set when the text failed as a whole."""

    run_id: str
    state: RunState
    duration_ms: float
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TransactionChanged:
    """The transaction state of a tab's session moved."""

    tab_id: str
    transaction: TransactionInfo


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Rows as exact text, None for NULL. ``total`` counts the rows of the view now; ``cut`` lists
    cells that are longer than ``CELL_PREVIEW_CHARACTERS``."""

    request: str
    result_id: str
    offset: int
    rows: tuple[tuple[str | None, ...], ...]
    cut: tuple[CellAddress, ...]
    total: int
    complete: bool


@dataclass(frozen=True, slots=True)
class CellValue:
    """A cell, whole."""

    request: str
    value: str | None


@dataclass(frozen=True, slots=True)
class ExportReady:
    """A download, once, within a minute, for this person: a path beginning with ``/``."""

    request: str
    url: str
    file_name: str


@dataclass(frozen=True, slots=True)
class TabSaved:
    """The tab is stored with this revision (a newer one where another window wrote later)."""

    request: str
    tab_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of history; ``next_before`` is empty on the last."""

    request: str
    entries: tuple[HistoryEntry, ...]
    next_before: str


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to ``Ping``."""

    request: str


ServerMessage = (
    WindowOpened
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
)
