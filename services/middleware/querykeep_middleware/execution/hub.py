"""All windows of the runner, and what they share: services, store, keeper, downloads."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from querykeep_engines.kit.driver import GOVERNED_PROGRAM
from querykeep_guard.contracts.audit import ResultExported
from querykeep_guard.contracts.session import ClientInfo, Route
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import ExportFormat, ResultView
from querykeep_middleware.execution.keeper import Keeper
from querykeep_middleware.execution.peer import Peer
from querykeep_middleware.execution.rights import NotReadableError, ResultRights
from querykeep_middleware.execution.tab_session import TabSession
from querykeep_middleware.execution.window import Window, new_window_id
from querykeep_middleware.link import Hello
from querykeep_middleware.results.preview import Preview, preview
from querykeep_middleware.results.store import (
    ResultStore,
    Row,
    StoredResult,
    StoreError,
    rows_of,
)
from querykeep_middleware.results.views import Views
from querykeep_relay.services import RelayServices

_LOG = logging.getLogger(__name__)
_MAX_WINDOWS_PER_PERSON = 20
_SESSIONS_WAIT_S = 15 * 60.0
_SWEEP_S = 30.0
# The hourly job cleans and reports; this is for the time that nobody asks.
_CLEAN_GRACE_S = 2 * 3600.0
_DOWNLOAD_S = 60.0
_READ_THREADS = 4
_WINDOW_ID_CHARS = 64
_MAX_DOWNLOADS = 20


@dataclass(frozen=True, slots=True)
class Offered:
    """A download that may be fetched once, until ``until`` (monotonic)."""

    user_id: str
    result: StoredResult
    view: ResultView
    format: ExportFormat
    for_spreadsheet: bool
    file_name: str
    until: float


class Hub:
    """Made once by the runner."""

    def __init__(
        self,
        services: RelayServices,
        store: ResultStore,
        keeper: Keeper,
        nursery: trio.Nursery,
        *,
        keep_s: float,
    ) -> None:
        self.services = services
        self.store = store
        self.keeper = keeper
        self.rights = ResultRights(services, store)
        self._views = Views(store)
        self._nursery = nursery
        self._keep_s = keep_s
        self._windows: dict[str, Window] = {}
        self._downloads: dict[str, Offered] = {}
        self._readers = trio.CapacityLimiter(_READ_THREADS)

    # --- windows ----------------------------------------------------------------------------------

    async def open_window(self, message: wire.OpenWindow, peer: Peer) -> Window:
        """Open or resume a window for a browser and tell it the whole state."""
        hello = peer.hello
        asked = message.window_id[:_WINDOW_ID_CHARS]
        window = self._windows.get(asked)
        if window is not None and window.user_id == hello.user_id:
            window.join(peer, message.request, resumed=True)
            return window
        owner = await trio.to_thread.run_sync(self.keeper.owner, asked) if asked else None
        window_id = asked if owner == hello.user_id else new_window_id()
        tabs, active, known = await trio.to_thread.run_sync(
            self.keeper.open_window, window_id, hello.user_id
        )
        self._make_room(hello.user_id)
        window = Window(
            self,
            window_id,
            hello.user_id,
            hello.username,
            {tab.tab_id: tab for tab in tabs},
            active,
        )
        self._windows[window_id] = window
        window.join(peer, message.request, resumed=known)
        return window

    def _make_room(self, user_id: str) -> None:
        own = [window for window in self._windows.values() if window.user_id == user_id]
        unwatched = sorted(
            (window for window in own if window.left_at is not None),
            key=lambda window: window.left_at or 0.0,
        )
        for window in unwatched[: max(0, len(own) - _MAX_WINDOWS_PER_PERSON + 1)]:
            window.forget()
            del self._windows[window.window_id]

    async def sweep(self) -> None:
        """End sessions of windows that nobody looks at, forget windows and old results."""
        while True:
            await trio.sleep(_SWEEP_S)
            now = time.monotonic()
            for window in list(self._windows.values()):
                if window.left_at is None:
                    continue
                if now - window.left_at > self._keep_s:
                    window.forget()
                    del self._windows[window.window_id]
                elif now - window.left_at > _SESSIONS_WAIT_S:
                    window.close_sessions()
            self.clean(_CLEAN_GRACE_S)
            self._downloads = {
                token: one for token, one in self._downloads.items() if one.until > now
            }

    def clean(self, grace_s: float = 0.0) -> tuple[int, int]:
        """Remove results past their time (and a grace); return (how many, bytes freed)."""
        old = self.store.older_than(self._keep_s + grace_s)
        for result in old:
            self.forget_result(result.result_id)
        return len(old), sum(result.bytes for result in old)

    def close(self) -> None:
        """The runner ends: end every session."""
        for window in self._windows.values():
            window.close_sessions()

    # --- for windows ------------------------------------------------------------------------------

    async def start(
        self, session: TabSession, cookie: str, connection_id: str, client: ClientInfo
    ) -> None:
        """Open a session; it lives in the hub's nursery. Raises as ``TabSession.start``."""
        await self._nursery.start(self._guarded, session, cookie, connection_id, client)

    async def _guarded(
        self,
        session: TabSession,
        cookie: str,
        connection_id: str,
        client: ClientInfo,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run a session so that its fault, once it is open, ends itself and nothing else."""
        opened = False

        class Status:
            """Notes that the session is open, and passes that on."""

            def started(self, value: None = None) -> None:
                nonlocal opened
                opened = True
                task_status.started(value)

        try:
            await session.start(cookie, connection_id, client, Status())
        except* Exception as group:
            if not opened:
                raise _only(group) from None
            _LOG.exception("an editor session ended by a fault")
            session.close()
        if not opened:
            raise RuntimeError("the session ended before it was open")

    def in_background(self, call: Callable[..., Any], *args: object) -> None:
        """Do something quick and blocking in a thread; a fault is logged."""
        self._nursery.start_soon(self._background, call, args)

    def in_background_task(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a task that may outlive the request which began it."""
        self._nursery.start_soon(task, *args)

    async def _background(self, call: Callable[..., Any], args: tuple[object, ...]) -> None:
        try:
            await trio.to_thread.run_sync(call, *args)
        except Exception:
            _LOG.exception("a background task failed")

    async def page(
        self, result: StoredResult, view: ResultView, offset: int, limit: int
    ) -> tuple[Preview, int]:
        """Read a page of a result for the browser, and how many rows the view has."""

        def read() -> tuple[Preview, int]:
            table, total = self._views.page(result, view, offset, limit)
            return preview(table, wire.CELL_PREVIEW_CHARACTERS), total

        return await trio.to_thread.run_sync(read, limiter=self._readers)

    async def rows(
        self, result: StoredResult, view: ResultView, offset: int, limit: int
    ) -> list[Row]:
        """Read a few rows whole."""
        table, _ = await trio.to_thread.run_sync(
            self._views.page, result, view, offset, limit, limiter=self._readers
        )
        return rows_of(table)

    def forget_result(self, result_id: str) -> None:
        """Remove a stored result."""
        self.rights.forget(result_id)
        self.in_background(self.store.remove, result_id)

    @property
    def views(self) -> Views:
        """For exports."""
        return self._views

    def offer_download(
        self,
        user_id: str,
        result: StoredResult,
        view: ResultView,
        format_: ExportFormat,
        for_spreadsheet: bool,
        file_name: str,
    ) -> str:
        """Return the token of a download."""
        own = [name for name, one in self._downloads.items() if one.user_id == user_id]
        for name in own[: max(0, len(own) - _MAX_DOWNLOADS + 1)]:
            del self._downloads[name]
        token = secrets.token_urlsafe(24)
        until = time.monotonic() + _DOWNLOAD_S
        self._downloads[token] = Offered(
            user_id, result, view, format_, for_spreadsheet, file_name, until
        )
        return token

    async def take_download(self, hello: Hello) -> Offered | None:
        """Return what a token stands for, once, to the person who made it, after it was recorded.

        Raises:
            SpoolFullError, OSError: It was not recorded, so nothing may be sent.
        """
        offered = self._downloads.get(hello.token)
        if offered is None or offered.user_id != hello.user_id:
            return None
        del self._downloads[hello.token]
        if offered.until <= time.monotonic():
            return None
        try:
            policy = self.rights.check(offered.result)
            session_id, statement_id = self.rights.origin(offered.result)
            _, rows = await self.page(offered.result, offered.view, 0, 1)
        except (StoreError, NotReadableError):
            return None
        if not self.rights.may_export(offered.result):
            return None
        sequence = self.services.spool.append(
            ResultExported(
                at=self.services.now(),
                session_id=session_id,
                statement_id=statement_id,
                user_id=hello.user_id,
                username=hello.username,
                route=Route.EDITOR,
                client=ClientInfo(address=hello.address, program=GOVERNED_PROGRAM),
                connection_id=policy.connection_id,
                connection_name=policy.connection_name,
                format=offered.format.value,
                file_name=offered.file_name,
                rows=rows,
                filtered=rows != offered.result.rows,
            )
        )
        if policy.audit_durability == "machine":
            await self.services.spool.synced(sequence)
        return offered


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
