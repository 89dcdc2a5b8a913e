"""One tab's governed session: opens it and runs texts in it; ``tab_reports`` tells of that."""

from __future__ import annotations

import contextlib

import trio

from querykeep_engines.kit.driver import (
    DriverError,
    NativeConnection,
    ResultStarted,
    RowBatch,
    StatementDone,
    StatementFailed,
)
from querykeep_guard.contracts.session import ClientInfo, EndReason
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import (
    Failure,
    RunState,
    SessionInfo,
)
from querykeep_middleware.execution.runs import (
    RunModel,
    failure_of,
)
from querykeep_middleware.execution.tab_reports import Job, TabReports
from querykeep_middleware.results.store import StoredResult, StoreError
from querykeep_relay.catalogs import StaleCatalogError
from querykeep_relay.private import open_private_session

_CANCEL_AGAIN_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_BATCH_ROWS = 2048


class SessionFailedError(Exception):
    """A session cannot be opened; ``code`` is that of ``RequestFailed``."""

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step


class TabSession(TabReports):
    """Made by ``start`` in the window's nursery; ``info`` describes it to the browser."""

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
        self._job = Job(run.text, run, trio.Event())
        self._send.send_nowait(self._job)

    async def end_transaction(self, *, commit: bool) -> StatementFailed | None:
        """Commit or roll back; return how that failed, or None."""
        job = self._job = Job("COMMIT" if commit else "ROLLBACK", None, trio.Event())
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

    async def _do(self, job: Job, connection: NativeConnection) -> None:
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

    async def _do_run(self, job: Job, run: RunModel, connection: NativeConnection) -> None:
        self._owner.emit(
            wire.RunStarted(run.tab_id, run.run_id, run.scope, run.text, run.offset, run.started_at)
        )
        if not self.auto_commit and not connection.in_transaction:
            begin = self._job = Job("BEGIN", None, trio.Event())
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

    async def _stream(self, job: Job, connection: NativeConnection, text: str) -> None:
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
