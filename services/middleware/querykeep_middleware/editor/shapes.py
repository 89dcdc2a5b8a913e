"""The parts that editor messages are made of; see ``messages``.

Plain data, no behaviour. Positions are 0-based character offsets (Unicode code points, as Python
counts them) into the text of the run; the browser converts to its own UTF-16 offsets.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from querykeep_guard.contracts.audit import Reason, Verdict


class RunScope(enum.Enum):
    """How much of a tab a run covers."""

    ALL = "all"
    SELECTION = "selection"
    CURRENT = "current"


class StatementState(enum.Enum):
    """Where a statement stands. ``UNKNOWN``: the runner died while it ran."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class RunState(enum.Enum):
    """Where a run stands; its statements tell the rest."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class FilterOperator(enum.Enum):
    """How a column filter compares. Text is compared without regard to case."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    LESS = "less"
    GREATER = "greater"
    IS_NULL = "is_null"
    NOT_NULL = "not_null"


class ExportFormat(enum.Enum):
    """File formats of a result export."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class RuleRef:
    """A rule as a person sees it. ``kind``: access, masking, statement, grant; ``effect``: deny,
    mask, exempt, relax, grant, need_approval, need_reason. ``code`` is the short number (M-17), and
    ``url`` the page of the rule in the web UI, a path beginning with ``/``; both may be empty."""

    id: str
    name: str
    kind: str
    effect: str
    code: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A result column. ``kind`` is the driver's neutral kind (text, integer, decimal, float,
    boolean, date, time, timestamp, timestamptz, interval, json, binary, uuid, array, other).
    ``masked_by`` is empty when the values are as stored; ``sources`` names the masked base columns
    behind it (``schema.table.column``)."""

    name: str
    type_name: str
    kind: str
    masked_by: tuple[RuleRef, ...] = ()
    masker: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a statement failed or was refused.

    ``code`` is the engine's own (SQLSTATE or number). ``position`` is an offset into the text of
    the run, or -1. For a refusal ``verdict`` is set, ``object`` names what was refused, ``rules``
    by what, ``next_step`` what the person can do and ``next_url`` where (empty when nowhere), and
    ``reason`` says the same as a code with arguments, for a page in another language.
    """

    code: str
    message: str
    detail: str = ""
    hint: str = ""
    position: int = -1
    verdict: Verdict | None = None
    object: str = ""
    rules: tuple[RuleRef, ...] = ()
    next_step: str = ""
    next_url: str = ""
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A notice or warning of the server."""

    severity: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ResultSnapshot:
    """A result in the server's store. ``rows`` counts what has been stored so far; ``complete`` is
    True once no more will come; ``expired``: removed by retention, its rows can no longer be
    read."""

    result_id: str
    columns: tuple[ColumnInfo, ...]
    rows: int
    bytes: int
    complete: bool
    expired: bool = False


@dataclass(frozen=True, slots=True)
class StatementSnapshot:
    """One statement of a run, whole. ``start`` and ``end`` are its place in the text of the run,
    ``ordinal`` its number in the run from 0. ``row_count`` is what the engine said, None when it
    said nothing; ``duration_ms`` None while it runs."""

    statement_id: str
    ordinal: int
    start: int
    end: int
    kind: str
    verdict: Verdict
    rules: tuple[RuleRef, ...]
    state: StatementState
    started_at: datetime
    duration_ms: float | None = None
    tag: str = ""
    row_count: int | None = None
    results: tuple[ResultSnapshot, ...] = ()
    notices: tuple[NoticeText, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run with all its statements. ``offset`` is where its text began in the tab when it was
    started (code points). ``failure`` is set when the text failed as a whole (syntax, session
    gone)."""

    run_id: str
    tab_id: str
    scope: RunScope
    text: str
    offset: int
    state: RunState
    started_at: datetime
    duration_ms: float | None = None
    statements: tuple[StatementSnapshot, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TransactionInfo:
    """The transaction of a session. ``failed``: the server takes nothing but a rollback (or an end)
    now. ``statements`` counts those run in it."""

    auto_commit: bool
    is_open: bool
    failed: bool = False
    opened_at: datetime | None = None
    statements: int = 0


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """An open governed session of one tab. ``functions`` are the editor functions of the person's
    privilege there (``export``, ``copy`` …), ``capabilities`` the engine's (``transactions``,
    ``multi_result``, ``cancel`` …), ``dialect`` the editor's word for its SQL."""

    session_id: str
    tab_id: str
    connection_id: str
    connection_name: str
    engine: str
    dialect: str
    database: str
    privilege: str
    functions: tuple[str, ...]
    capabilities: tuple[str, ...]
    opened_at: datetime
    transaction: TransactionInfo


@dataclass(frozen=True, slots=True)
class TabState:
    """An editor tab as the server keeps it. ``revision`` rises with each change of the text that
    the browser makes; an older one never replaces a newer one. ``cursor`` is an offset into the
    text."""

    tab_id: str
    title: str
    connection_id: str
    text: str
    revision: int
    cursor: int = 0
    auto_commit: bool = True


@dataclass(frozen=True, slots=True)
class SortKey:
    """Order by one column (ordinal, 0-based). NULL stands last in either direction."""

    column: int
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """Keeps rows whose column (ordinal) compares; ``value`` is unused for null tests."""

    column: int
    operator: FilterOperator
    value: str = ""


@dataclass(frozen=True, slots=True)
class ResultView:
    """How the browser looks at a stored result: worked out by the server over the stored (already
    masked) values, without running the statement again. ``search`` keeps rows in which any cell
    contains the text, without regard to case."""

    sort: tuple[SortKey, ...] = ()
    filters: tuple[ColumnFilter, ...] = ()
    search: str = ""


WHOLE_RESULT = ResultView()
"""Every row, in the order in which the server sent them."""


@dataclass(frozen=True, slots=True)
class CellAddress:
    """A cell of a page: row (within the page) and column."""

    row: int
    column: int


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One statement that the person ran in the editor."""

    statement_id: str
    started_at: datetime
    connection_id: str
    connection_name: str
    text: str
    kind: str
    verdict: Verdict
    state: StatementState
    row_count: int | None
    duration_ms: float | None
    error: str = ""
