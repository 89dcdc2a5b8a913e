"""One tab's governed session: opens it, runs texts in it, turns what happens into messages.

The driver works in a thread and hands each item over; the session's observer is called in the event
loop. A statement is always observed (decided, recorded) before its first item, since the driver
cannot hear of it earlier, so that the two need no other order.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import trio

from querykeep_engines.kit.driver import (
    DriverError,
    NativeConnection,
    Notice,
    ResultColumn,
    ResultStarted,
    RowBatch,
    StatementDone,
    StatementFailed,
    StreamItem,
)
from querykeep_guard.contracts.audit import StatementCompleted
from querykeep_guard.contracts.audit import StatementStarted as Recorded
from querykeep_guard.contracts.session import ClientInfo, EndReason, SessionGrant
from querykeep_guard.policy.decision import Decision
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import (
    Failure,
    HistoryEntry,
    NoticeText,
    SessionInfo,
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
from querykeep_middleware.results.store import ResultStore, StoredResult, StoreError
from querykeep_relay.private import PrivateSession, open_private_session
from querykeep_relay.services import RelayServices

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

    def session_over(self, tab_id: str, reason: EndReason) -> None:
        """A tab's session is no more."""
        ...


class SessionFailedError(Exception):
    """A session cannot be opened; ``code`` is that of ``RequestFailed``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(slots=True)
class _Job:
    """A text to run. ``run`` None: our own (BEGIN, COMMIT), not shown as a run."""

    text: str
    run: RunModel | None
    done: trio.Event
    failed: StatementFailed | None = None


class TabSession:
    """Made by ``start`` in the window's nursery; ``info`` describes it to the browser."""

    def __init__(
        self,
        services: RelayServices,
        store: ResultStore,
        owner: Owner,
        tab_id: str,
        user_id: str,
        *,
        auto_commit: bool,
    ) -> None:
        self._services = services
        self._store = store
        self._owner = owner
        self.tab_id = tab_id
        self._user_id = user_id
        self.auto_commit = auto_commit
        self._grant: SessionGrant | None = None
        self._private: PrivateSession | None = None
        self._connection: NativeConnection | None = None
        self._send, self._jobs = trio.open_memory_channel[_Job](1)
        self._job: _Job | None = None
        self._scope = trio.CancelScope()
        self._opened_at = datetime.now(UTC)
        self._transaction_since: datetime | None = None
        self._transaction_statements = 0
        self._shown = TransactionInfo(auto_commit, is_open=False)
        self._last_rows_at = 0.0
        self._ended = False
        self.over = trio.Event()

    # --- opening and closing ----------------------------------------------------------------------

    async def start(
        self,
        cookie: str,
        connection_id: str,
        client: ClientInfo,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Open the session and serve it to its end; reports when it is open.

        Raises:
            SessionFailedError: It cannot be opened (before it was reported open).
            ApiRefusedError, ApiUnavailableError: As the API client raises them.
        """
        try:
            with self._scope:
                await self._live(cookie, connection_id, client, task_status)
        finally:
            self.over.set()

    async def _live(
        self,
        cookie: str,
        connection_id: str,
        client: ClientInfo,
        task_status: trio.TaskStatus[None],
    ) -> None:
        services = self._services
        grant = await services.api.open_editor_session(cookie, connection_id, client)
        self._grant = grant
        _, known = await services.api.connections()
        version = next((one.server_version for one in known if one.id == connection_id), "")
        driver = services.engine(grant.policy.engine).driver()
        async with open_private_session(
            grant, services=services, client=client, observer=self, server_version=version
        ) as private:
            self._private = private
            try:
                connection = await trio.to_thread.run_sync(
                    driver.connect_governed, private.address, grant.policy.database
                )
            except DriverError as error:
                code = "target_sign_in" if error.stage == "authentication" else "target_unreachable"
                raise SessionFailedError(code, error.message) from None
            self._connection = connection
            try:
                task_status.started()
                async for job in self._jobs:
                    await self._do(job, connection)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(connection.close)

    def close(self) -> None:
        """End the session; what is open is rolled back."""
        if self._private is not None:
            self._private.end(EndReason.CLIENT_CLOSED, "the tab was closed")
        self._scope.cancel()
        self._over(EndReason.CLIENT_CLOSED, "the session was closed")

    @property
    def info(self) -> SessionInfo:
        """The session for the browser."""
        grant = self._opened
        spec = self._services.engine(grant.policy.engine).spec
        names = dict.fromkeys(one.privilege for one in grant.policy.grants)
        functions = sorted({name for one in grant.policy.grants for name in one.functions})
        return SessionInfo(
            session_id=grant.session_id,
            tab_id=self.tab_id,
            connection_id=grant.policy.connection_id,
            connection_name=grant.policy.connection_name,
            engine=grant.policy.engine,
            dialect=spec.dialect,
            database=grant.policy.database,
            privilege=", ".join(names),
            functions=tuple(functions),
            capabilities=tuple(sorted(spec.capabilities)),
            opened_at=self._opened_at,
            transaction=self._shown,
        )

    @property
    def _opened(self) -> SessionGrant:
        if self._grant is None:
            raise RuntimeError("the session is not open")
        return self._grant

    @property
    def may_export(self) -> bool:
        """True when a grant of the session has the export function."""
        return "export" in self.info.functions

    # --- running ----------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """True while a text runs."""
        return self._job is not None

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open."""
        return self._shown.is_open

    def submit(self, run: RunModel) -> None:
        """Run a text; the caller has checked that nothing runs."""
        self._job = _Job(run.text, run, trio.Event())
        self._send.send_nowait(self._job)

    async def end_transaction(self, *, commit: bool) -> StatementFailed | None:
        """Commit or roll back; return how that failed, or None."""
        job = self._job = _Job("COMMIT" if commit else "ROLLBACK", None, trio.Event())
        self._send.send_nowait(job)
        await job.done.wait()
        return job.failed

    def set_auto_commit(self, auto_commit: bool) -> None:
        """Switch; the caller has checked that no transaction is open."""
        self.auto_commit = auto_commit
        self._show_transaction(force=True)

    def cancel(self) -> None:
        """Cancel what runs."""
        if self._job is not None and self._job.run is not None:
            self._job.run.cancel_asked = True
        if self._private is not None:
            self._private.cancel()

    async def _do(self, job: _Job, connection: NativeConnection) -> None:
        run = job.run
        try:
            if run is not None:
                self._owner.emit(
                    wire.RunStarted(
                        run.tab_id, run.run_id, run.scope, run.text, run.offset, run.started_at
                    )
                )
                if not self.auto_commit and not connection.in_transaction:
                    begin = _Job("BEGIN", None, trio.Event())
                    self._job = begin
                    await self._stream(begin, connection)
                    self._job = job
                    if begin.failed is not None:
                        run.failure = failure_of(begin.failed)
                        return
            await self._stream(job, connection)
        finally:
            if run is not None:
                self._finish_run(run)
            self._job = None
            job.done.set()
            self._show_transaction()

    async def _stream(self, job: _Job, connection: NativeConnection) -> None:
        stored: list[StoredResult] = []

        def work() -> None:
            for item in connection.stream(job.text):
                match item:
                    case RowBatch(rows):
                        # A text whose results nobody wants to see has no store.
                        if stored:
                            self._store.append(stored[-1], rows)
                            trio.from_thread.run_sync(self._rows_came, job, stored[-1])
                    case ResultStarted(columns):
                        result = trio.from_thread.run_sync(self._result_started, job, columns)
                        if result is not None:
                            stored.append(result)
                    case _:
                        if stored and isinstance(item, StatementDone | StatementFailed):
                            self._store.finish(stored[-1])
                        trio.from_thread.run_sync(self._item, job, item)

        try:
            await trio.to_thread.run_sync(work)
        except StoreError as error:
            self._item(job, StatementFailed("53100", str(error)))
            if self._private is not None:
                self._private.cancel()
        finally:
            for result in stored:
                if not result.complete:
                    with contextlib.suppress(StoreError):
                        self._store.finish(result)

    # --- what the driver says ---------------------------------------------------------------------

    def _result_started(self, job: _Job, columns: tuple[ResultColumn, ...]) -> StoredResult | None:
        run = job.run
        if run is None or not run.statements:
            return None
        statement = run.current or run.statements[-1]
        infos = column_infos(columns, statement.masks, statement.rules)
        result = self._store.begin(
            uuid.uuid4().hex,
            self._user_id,
            [column.name for column in columns],
            [column.kind for column in columns],
        )
        statement.results.append((result, infos))
        self._owner.emit(
            wire.ResultStarted(run.run_id, statement.statement_id, result.result_id, infos)
        )
        self._last_rows_at = 0.0
        return result

    def _rows_came(self, job: _Job, result: StoredResult) -> None:
        now = time.monotonic()
        if job.run is not None and result.rows and now - self._last_rows_at >= _ROWS_EVERY_S:
            self._last_rows_at = now
            self._emit_rows(job.run, result)

    def _emit_rows(self, run: RunModel, result: StoredResult) -> None:
        self._owner.emit(
            wire.RowsAvailable(
                run.run_id, result.result_id, result.rows, result.bytes, result.complete
            )
        )

    def _item(self, job: _Job, item: StreamItem) -> None:
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
                run.failure = failure_of(failed)
            return
        for result, _ in statement.results:
            self._emit_rows(run, result)
        statement.fail(failed)
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
        start = decision.facts.start if decision else 0
        end = decision.facts.end if decision else len(run.text)
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
            statement.state = StatementState.REFUSED
            statement.failure = refusal_of(event, decision)
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
        self._owner.session_over(self.tab_id, reason)
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
