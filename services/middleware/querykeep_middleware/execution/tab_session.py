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
from typing import TYPE_CHECKING, Protocol

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
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import (
    Failure,
    HistoryEntry,
    NoticeText,
    RunState,
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
from querykeep_middleware.results.store import StoredResult, StoreError
from querykeep_relay.catalogs import StaleCatalogError
from querykeep_relay.private import PrivateSession, open_private_session

if TYPE_CHECKING:
    from querykeep_middleware.execution.hub import Hub

_ROWS_EVERY_S = 0.1
_CANCEL_AGAIN_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_BATCH_ROWS = 2048
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


class SessionFailedError(Exception):
    """A session cannot be opened; ``code`` is that of ``RequestFailed``."""

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step


@dataclass(slots=True)
class _Job:
    """A text to run. ``run`` None: our own (BEGIN, COMMIT), not shown as a run. ``base``: where the
    part that runs now began in the run's text."""

    text: str
    run: RunModel | None
    done: trio.Event
    failed: StatementFailed | None = None
    base: int = 0


class TabSession:
    """Made by ``start`` in the window's nursery; ``info`` describes it to the browser."""

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
        self._send, self._jobs = trio.open_memory_channel[_Job](1)
        self._job: _Job | None = None
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
            self._send.close()
            self._leave_no_job()
            self.over.set()

    def _leave_no_job(self) -> None:
        """Whoever waits for a text that will not run any more is told so."""
        job = self._job
        if job is not None and not job.done.is_set():
            job.failed = StatementFailed("", "the session ended")
            if job.run is not None and job.run.state is RunState.RUNNING:
                job.run.failure = Failure("", "the session ended before the text was run")
                self._finish_run(job.run)
            job.done.set()

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
        self._server_version = version
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
                raise _session_failed(error) from None
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

    # --- running ----------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """True once the session is over."""
        return self._ended

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
        run = self._run
        if run is None or run.cancel_asked:
            return
        run.cancel_asked = True
        self._hub.in_background_task(self._insist, run)

    async def _insist(self, run: RunModel) -> None:
        """A cancel that reaches a server before its statement does is lost there: ask again."""
        for pause_s in _CANCEL_AGAIN_S:
            if self._run is not run or self._private is None:
                return
            self._private.cancel()
            await trio.sleep(pause_s)

    async def _do(self, job: _Job, connection: NativeConnection) -> None:
        run = self._run = job.run
        try:
            if run is not None:
                await self._do_run(job, run, connection)
            else:
                await self._stream(job, connection, job.text)
        finally:
            if run is not None:
                self._finish_run(run)
            self._job = self._run = None
            job.done.set()
            self._show_transaction()

    async def _do_run(self, job: _Job, run: RunModel, connection: NativeConnection) -> None:
        self._owner.emit(
            wire.RunStarted(run.tab_id, run.run_id, run.scope, run.text, run.offset, run.started_at)
        )
        if not self.auto_commit and not connection.in_transaction:
            begin = self._job = _Job("BEGIN", None, trio.Event())
            await self._stream(begin, connection, begin.text)
            self._job = job
            if begin.failed is not None:
                run.failure = failure_of(begin.failed, -1)
                return
        parts = [(0, run.text)]
        if not run.stop_on_error:
            parts = await self._parts(run.text)
        for base, text in parts:
            if run.cancel_asked or self._ended or (job.failed is not None and job.failed.fatal):
                return
            job.base = base
            await self._stream(job, connection, text)

    async def _parts(self, text: str) -> list[tuple[int, str]]:
        """Split a text into its statements, each with its place.

        Only to run them one by one: each is analyzed anew and decided by itself, so that a wrong
        cut can refuse, but allow nothing. A text that cannot be taken apart is one part.
        """
        grant = self._opened
        context = SessionContext(
            engine=grant.policy.engine,
            flavour=grant.target.flavour,
            server_version=self._server_version,
            database=grant.policy.database,
        )
        try:
            catalog = await self._services.catalogs.current(grant.policy.connection_id)
            analyzer = self._services.engine(grant.policy.engine).analyzer()
            facts = await trio.to_thread.run_sync(analyzer.analyze, text, context, catalog)
        except (StatementSyntaxError, StaleCatalogError):
            return [(0, text)]
        return [(one.start, text[one.start : one.end]) for one in facts] or [(0, text)]

    async def _stream(self, job: _Job, connection: NativeConnection, text: str) -> None:
        stored: list[StoredResult] = []

        def work() -> None:
            for item in connection.stream(text, batch_rows=_BATCH_ROWS):
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
        self._hub.rights.bind(result, self._opened.session_id, policy, statement.decision, catalog)
        statement.results.append((result, infos))
        self._owner.emit(
            wire.ResultStarted(run.run_id, statement.statement_id, result.result_id, infos)
        )
        self._last_rows_at = 0.0
        return result

    def _rows_came(self, job: _Job, result: StoredResult) -> None:
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


def _session_failed(error: DriverError) -> SessionFailedError:
    if error.stage in ("authentication", "permission", "database"):
        return SessionFailedError(
            "target_sign_in",
            error.message,
            "Ask the owner of the connection to test its stored account.",
        )
    return SessionFailedError(
        "target_unreachable", error.message, "Try again, or ask the owner of the connection."
    )
