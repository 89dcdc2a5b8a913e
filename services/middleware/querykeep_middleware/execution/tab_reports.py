"""What a tab's session tells its window: items of the driver and events of the governed session,
turned into messages and into the model of the run.

The driver works in a thread and hands each item over; the session's observer is called in the event
loop. A statement is always observed (decided, recorded) before its first item, since the driver
cannot hear of it earlier, so that the two need no other order.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import trio

from querykeep_engines.kit.driver import (
    NativeConnection,
    Notice,
    ResultColumn,
    StatementDone,
    StatementFailed,
    StreamItem,
)
from querykeep_guard.contracts.audit import StatementCompleted
from querykeep_guard.contracts.audit import StatementStarted as Recorded
from querykeep_guard.contracts.session import EndReason, SessionGrant
from querykeep_guard.policy.decision import Decision
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import (
    Failure,
    HistoryEntry,
    NoticeText,
    StatementState,
    TransactionInfo,
)
from querykeep_middleware.execution.runs import (
    RunModel,
    StatementModel,
    column_infos,
    failure_of,
    may_run,
    refusal_of,
)
from querykeep_middleware.results.store import StoredResult
from querykeep_relay.private import PrivateSession

if TYPE_CHECKING:
    from querykeep_middleware.execution.hub import Hub

_ROWS_EVERY_S = 0.1
_FINAL_REASONS = frozenset(
    {
        EndReason.REVOKED,
        EndReason.USER_DISABLED,
        EndReason.CONNECTION_DISABLED,
        EndReason.EXPIRED,
        EndReason.OUTSIDE_HOURS,
        EndReason.OUTSIDE_ZONE,
    }
)


class Owner(Protocol):
    """The window that a session belongs to."""

    def emit(self, message: wire.ServerMessage) -> None:
        """Send an event to the browser, if one is there."""
        ...

    def remember(self, entry: HistoryEntry) -> None:
        """Keep a history entry."""
        ...

    def session_over(self, tab_id: str) -> None:
        """A tab's session is no more."""
        ...


@dataclass(slots=True)
class Job:
    """A text to run. ``run`` None: our own (BEGIN, COMMIT), not shown as a run. ``base``: where the
    part that runs now began in the run's text."""

    text: str
    run: RunModel | None
    done: trio.Event
    failed: StatementFailed | None = None
    base: int = 0


class TabReports:
    """State of one tab's session, and how it is told; ``TabSession`` opens and runs it."""

    def __init__(
        self,
        hub: Hub,
        owner: Owner,
        tab_id: str,
        user_id: str,
        *,
        auto_commit: bool,
    ) -> None:
        self._hub = hub
        self._services = hub.services
        self._store = hub.store
        self._owner = owner
        self.tab_id = tab_id
        self._user_id = user_id
        self.auto_commit = auto_commit
        self._grant: SessionGrant | None = None
        self._private: PrivateSession | None = None
        self._connection: NativeConnection | None = None
        self._send, self._jobs = trio.open_memory_channel[Job](1)
        self._job: Job | None = None
        self._run: RunModel | None = None
        self._scope = trio.CancelScope()
        self._server_version = ""
        self._opened_at = datetime.now(UTC)
        self._transaction_since: datetime | None = None
        self._transaction_statements = 0
        self._shown = TransactionInfo(auto_commit, is_open=False)
        self._last_rows_at = 0.0
        self._rows_told = ("", 0, False)
        self._ended = False
        self.over = trio.Event()

    @property
    def _opened(self) -> SessionGrant:
        if self._grant is None:
            raise RuntimeError("the session is not open")
        return self._grant

    # --- what the driver says ---------------------------------------------------------------------

    def _result_started(self, job: Job, columns: tuple[ResultColumn, ...]) -> StoredResult | None:
        run = job.run
        if run is None or not run.statements:
            return None
        statement = run.current or run.statements[-1]
        policy = self._opened.policy
        catalog = self._services.catalogs.latest(policy.connection_id)
        if statement.decision is None or catalog is None:
            # What cannot be judged again later is not kept.
            return None
        infos = column_infos(columns, statement.masks, statement.rules)
        result = self._store.begin(
            uuid.uuid4().hex,
            self._user_id,
            [column.name for column in columns],
            [column.kind for column in columns],
        )
        self._hub.rights.bind(
            result,
            self._opened.session_id,
            statement.statement_id,
            policy,
            statement.decision,
            catalog,
        )
        statement.results.append((result, infos))
        self._owner.emit(
            wire.ResultStarted(run.run_id, statement.statement_id, result.result_id, infos)
        )
        self._last_rows_at = 0.0
        return result

    def _rows_came(self, job: Job, result: StoredResult) -> None:
        now = time.monotonic()
        if job.run is not None and now - self._last_rows_at >= _ROWS_EVERY_S:
            self._emit_rows(job.run, result)

    def _emit_rows(self, run: RunModel, result: StoredResult) -> None:
        told = (result.result_id, result.rows, result.complete)
        if told == self._rows_told or (not result.rows and not result.complete):
            return
        self._rows_told, self._last_rows_at = told, time.monotonic()
        self._owner.emit(
            wire.RowsAvailable(
                run.run_id, result.result_id, result.rows, result.bytes, result.complete
            )
        )

    def _item(self, job: Job, item: StreamItem) -> None:
        run = job.run
        if isinstance(item, StatementFailed):
            job.failed = item
        if run is None:
            return
        match item:
            case Notice(severity, code, message):
                self._notice(run, NoticeText(severity, code, message))
            case StatementDone(tag, row_count):
                self._done(run, tag, row_count)
            case StatementFailed():
                self._failed(run, item)
            case _:
                pass

    @property
    def _base(self) -> int:
        return self._job.base if self._job is not None else 0

    def _notice(self, run: RunModel, notice: NoticeText) -> None:
        statement = run.current or (run.statements[-1] if run.statements else None)
        if statement is not None:
            statement.notices.append(notice)
            self._owner.emit(wire.NoticeShown(run.run_id, statement.statement_id, notice))

    def _done(self, run: RunModel, tag: str, row_count: int | None) -> None:
        statement = run.current
        if statement is None:
            # A procedure's further results: they belong to the statement before.
            if run.statements and run.statements[-1].results:
                self._emit_rows(run, run.statements[-1].results[-1][0])
            return
        for result, _ in statement.results:
            self._emit_rows(run, result)
        statement.state = StatementState.DONE
        statement.tag, statement.row_count = tag, row_count
        self._finish_statement(run, statement)

    def _failed(self, run: RunModel, failed: StatementFailed) -> None:
        statement = run.current
        if statement is None:
            if not any(one.state is StatementState.REFUSED for one in run.statements):
                run.failure = failure_of(failed, self._base)
            return
        for result, _ in statement.results:
            self._emit_rows(run, result)
        statement.fail(failed, self._base)
        self._finish_statement(run, statement)
        self._skip_rest(run)

    def _skip_rest(self, run: RunModel) -> None:
        while (statement := run.current) is not None:
            statement.state = StatementState.SKIPPED
            self._finish_statement(run, statement)

    def _finish_statement(self, run: RunModel, statement: StatementModel) -> None:
        if statement.duration_ms is None:
            statement.duration_ms = (time.monotonic() - run.started_monotonic) * 1000
        self._owner.emit(
            wire.StatementFinished(
                run.run_id,
                statement.statement_id,
                statement.state,
                statement.duration_ms,
                statement.tag,
                statement.row_count,
                statement.failure,
            )
        )
        policy = self._opened.policy
        self._owner.remember(
            HistoryEntry(
                statement_id=statement.statement_id,
                started_at=statement.recorded.started_at,
                connection_id=policy.connection_id,
                connection_name=policy.connection_name,
                text=statement.recorded.statement,
                kind=statement.recorded.kind,
                verdict=statement.recorded.verdict,
                state=statement.state,
                row_count=statement.row_count,
                duration_ms=statement.duration_ms,
                error=statement.failure.message if statement.failure else "",
            )
        )

    def _finish_run(self, run: RunModel) -> None:
        while (statement := run.current) is not None:
            statement.state = (
                StatementState.CANCELLED if run.cancel_asked else StatementState.UNKNOWN
            )
            self._finish_statement(run, statement)
        run.duration_ms = (time.monotonic() - run.started_monotonic) * 1000
        run.state = run.outcome()
        self._transaction_statements += len(run.statements)
        self._owner.emit(wire.RunFinished(run.run_id, run.state, run.duration_ms, run.failure))

    # --- transactions -----------------------------------------------------------------------------

    def _show_transaction(self, *, force: bool = False) -> None:
        is_open = self._connection is not None and self._connection.in_transaction
        if is_open and self._transaction_since is None:
            self._transaction_since = datetime.now(UTC)
        if not is_open:
            self._transaction_since, self._transaction_statements = None, 0
        now = TransactionInfo(
            auto_commit=self.auto_commit,
            is_open=is_open,
            opened_at=self._transaction_since,
            statements=self._transaction_statements,
        )
        if force or now != self._shown:
            self._shown = now
            self._owner.emit(wire.TransactionChanged(self.tab_id, now))

    # --- Observer ---------------------------------------------------------------------------------

    def session_ready(self, grant: SessionGrant) -> None:
        """Both ends are signed in."""

    def statement_started(self, event: Recorded, decision: Decision | None) -> None:
        """A statement was recorded, to run or as refused."""
        run = self._job.run if self._job is not None else None
        if run is None:
            return
        start = self._base + decision.facts.start if decision else self._base
        end = self._base + decision.facts.end if decision else len(run.text)
        statement = StatementModel(event, decision, len(run.statements), start, end)
        run.statements.append(statement)
        self._owner.emit(
            wire.StatementStarted(
                run.run_id,
                statement.statement_id,
                statement.ordinal,
                start,
                end,
                event.kind,
                event.verdict,
                statement.rules,
                event.started_at,
            )
        )
        if not may_run(event.verdict):
            if decision is not None and decision.may_run:
                # Nothing is wrong with it: another statement of the same text was refused.
                statement.state = StatementState.SKIPPED
            else:
                statement.state = StatementState.REFUSED
                statement.failure = refusal_of(event, decision, self._base)
            statement.duration_ms = 0.0
            self._finish_statement(run, statement)

    def statement_completed(self, event: StatementCompleted) -> None:
        """A statement that ran has ended; its last items may still be on their way."""
        run = self._job.run if self._job is not None else None
        if run is None:
            return
        for statement in run.statements:
            if statement.statement_id == event.statement_id:
                statement.outcome = event.outcome
                statement.duration_ms = event.duration_ms

    def session_ended(self, reason: EndReason, detail: str) -> None:
        """The session is over, for whatever reason."""
        if self._connection is None:
            return
        self._over(reason, detail)
        run = self._job.run if self._job is not None else None
        if run is not None and run.failure is None and run.current is None and not run.statements:
            run.failure = Failure("", detail or reason.value)
        # The driver's thread sees the closed socket and ends by itself.
        self._send.close()

    def _over(self, reason: EndReason, detail: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self._grant is None:
            return
        self._owner.session_over(self.tab_id)
        self._owner.emit(
            wire.SessionEnded(
                tab_id=self.tab_id,
                session_id=self._grant.session_id,
                reason=reason,
                message=detail,
                at=datetime.now(UTC),
                rolled_back=self._shown.is_open,
                can_reopen=reason not in _FINAL_REASONS,
            )
        )
