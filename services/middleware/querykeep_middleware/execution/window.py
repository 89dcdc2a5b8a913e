"""One editor window: what a browser asks is done here; it outlives the browser's socket."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

import trio

from querykeep_engines.kit.driver import GOVERNED_PROGRAM
from querykeep_guard.contracts.session import ClientInfo
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import CellAddress, HistoryEntry, TabState
from querykeep_middleware.execution.peer import Peer
from querykeep_middleware.execution.rights import NotReadableError
from querykeep_middleware.execution.runs import RunModel, outlived
from querykeep_middleware.execution.tab_session import SessionFailedError, TabSession
from querykeep_middleware.results.store import ResultGoneError, StoredResult, StoreError
from querykeep_relay.api_client import ApiProblemError, ApiRefusedError, ApiUnavailableError

if TYPE_CHECKING:
    from querykeep_middleware.execution.hub import Hub

_LOG = logging.getLogger(__name__)
_MAX_TABS = 100
_MAX_SESSIONS = 20
_MAX_HISTORY = 500
_MAX_CELL_CHARACTERS = 32_000_000


class RequestError(Exception):
    """A request cannot be carried out; becomes ``RequestFailed``."""

    def __init__(
        self, code: str, message: str, *, next_step: str = "", retry: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.retry = retry


@dataclass(slots=True)
class Window:
    """State of a window. ``left_at`` is when its last browser went (monotonic), None while one is
    there."""

    hub: Hub
    window_id: str
    user_id: str
    username: str
    tabs: dict[str, TabState]
    active_tab: str
    sessions: dict[str, TabSession] = field(default_factory=dict)
    runs: list[RunModel] = field(default_factory=list)
    opening: set[str] = field(default_factory=set)
    peer: Peer | None = None
    left_at: float | None = None

    # --- Owner ------------------------------------------------------------------------------------

    def emit(self, message: wire.ServerMessage) -> None:
        """Send an event to the browser, if one is there."""
        if self.peer is not None:
            self.peer.send(message)

    def remember(self, entry: HistoryEntry) -> None:
        """Keep a history entry."""
        self.hub.in_background(self.hub.keeper.remember, self.user_id, entry)

    def session_over(self, tab_id: str) -> None:
        """A tab's session is no more."""
        self.sessions.pop(tab_id, None)

    # --- browsers come and go ---------------------------------------------------------------------

    def join(self, peer: Peer, request: str, *, resumed: bool) -> None:
        """A browser opened this window; one that had it before is told and let go."""
        if self.peer is not None and self.peer is not peer:
            self.peer.send(wire.WindowTaken(datetime.now(UTC)))
            self.peer.finish(4409)
        self.peer, self.left_at = peer, None
        peer.send(
            wire.WindowOpened(
                request=request,
                protocol=wire.PROTOCOL_VERSION,
                window_id=self.window_id,
                resumed=resumed,
                username=self.username,
                tabs=tuple(self.tabs.values()),
                active_tab=self.active_tab,
                sessions=tuple(session.info for session in self.sessions.values()),
                runs=tuple(run.snapshot() for run in self.runs),
            )
        )

    def leave(self, peer: Peer) -> None:
        """A browser went; the window stays."""
        if self.peer is peer:
            self.peer, self.left_at = None, time.monotonic()

    def close_sessions(self) -> None:
        """End every session."""
        for session in list(self.sessions.values()):
            session.close()

    def forget(self) -> None:
        """End every session and remove every result."""
        self.close_sessions()
        for run in self.runs:
            self._forget_results(run)

    # --- requests ---------------------------------------------------------------------------------

    async def handle(self, message: wire.ClientMessage, peer: Peer) -> None:
        """Carry out a request and answer it, exactly once."""
        try:
            answer = await self._answer(message, peer)
        except RequestError as error:
            answer = wire.RequestFailed(
                message.request, error.code, error.message, error.next_step, error.retry
            )
        except ApiRefusedError as error:
            answer = wire.RequestFailed(message.request, error.refusal.code, error.refusal.message)
        except ApiUnavailableError:
            answer = wire.RequestFailed(
                message.request, "internal", "the API does not answer", "Try again.", retry=True
            )
        except ApiProblemError as error:
            answer = wire.RequestFailed(message.request, error.code, error.detail)
        except ResultGoneError as error:
            answer = wire.RequestFailed(message.request, "expired", str(error))
        except StoreError as error:
            answer = wire.RequestFailed(message.request, "bad_request", str(error))
        except NotReadableError as error:
            answer = wire.RequestFailed(
                message.request, "not_allowed", error.message, retry=error.retry
            )
        except Exception:
            _LOG.exception("a request of an editor window failed")
            answer = wire.RequestFailed(
                message.request, "internal", "an internal error of Querykeep", retry=True
            )
        peer.send(answer)

    async def _answer(self, message: wire.ClientMessage, peer: Peer) -> wire.ServerMessage:
        match message:
            case wire.OpenWindow():
                raise RequestError("bad_request", "the window is open already")
            case wire.OpenSession():
                return await self._open_session(message, peer)
            case wire.CloseSession():
                self._session(message.tab_id).close()
            case wire.RunText():
                self._run(message)
            case wire.CancelRun():
                self._session(message.tab_id).cancel()
            case wire.SetAutoCommit():
                self._set_auto_commit(message)
            case wire.EndTransaction():
                await self._end_transaction(message)
            case wire.FetchRows():
                return await self._fetch_rows(message, peer)
            case wire.FetchCell():
                return await self._fetch_cell(message)
            case wire.CloseResult():
                self._close_result(message.result_id)
            case wire.ExportResult():
                return self._export(message)
            case wire.SaveTab():
                return await self._save_tab(message)
            case wire.RemoveTab():
                await self._remove_tab(message.tab_id)
            case wire.ArrangeTabs():
                await self._arrange(message)
            case wire.ListHistory():
                return await self._history(message)
            case wire.Ping():
                return wire.Pong(message.request)
            case _:
                assert_never(message)
        return wire.RequestDone(message.request)

    def _session(self, tab_id: str) -> TabSession:
        session = self.sessions.get(tab_id)
        if session is None:
            raise RequestError(
                "no_session", "this tab is not connected", next_step="Choose a connection."
            )
        return session

    async def _open_session(self, message: wire.OpenSession, peer: Peer) -> wire.SessionOpened:
        tab_id = message.tab_id
        if tab_id in self.opening:
            raise RequestError("busy", "this tab is being connected already")
        self.opening.add(tab_id)
        try:
            before = self.sessions.get(tab_id)
            if before is not None:
                before.close()
                await before.over.wait()
            if len(self.sessions) + len(self.opening) > _MAX_SESSIONS:
                raise RequestError(
                    "too_large", f"at most {_MAX_SESSIONS} tabs can be connected at once"
                )
            session = await self._opened(message, peer)
            return wire.SessionOpened(message.request, session.info)
        finally:
            self.opening.discard(tab_id)

    async def _opened(self, message: wire.OpenSession, peer: Peer) -> TabSession:
        session = TabSession(
            self.hub, self, message.tab_id, self.user_id, auto_commit=message.auto_commit
        )
        client = ClientInfo(address=peer.hello.address, program=GOVERNED_PROGRAM)
        try:
            await self.hub.start(session, peer.hello.cookie, message.connection_id, client)
        except SessionFailedError as error:
            raise RequestError(
                error.code, error.message, next_step=error.next_step, retry=True
            ) from None
        if session.ended:
            raise RequestError("no_session", "the session ended as it was opened", retry=True)
        self.sessions[message.tab_id] = session
        return session

    def _run(self, message: wire.RunText) -> None:
        if any(run.run_id == message.run_id for run in self.runs):
            return
        if len(message.text) > wire.MAX_TEXT_CHARACTERS:
            raise RequestError("too_large", "the text is too long to run")
        session = self._session(message.tab_id)
        if session.is_busy:
            raise RequestError("busy", "this tab is still running a statement")
        run = RunModel(
            run_id=message.run_id,
            tab_id=message.tab_id,
            scope=message.scope,
            text=message.text,
            offset=message.offset,
            stop_on_error=message.stop_on_error,
            started_at=datetime.now(UTC),
            started_monotonic=time.monotonic(),
        )
        self.runs.append(run)
        for old in outlived(self.runs):
            self._forget_results(old)
            self.runs.remove(old)
        session.submit(run)

    def _forget_results(self, run: RunModel) -> None:
        for statement in run.statements:
            for result, _ in statement.results:
                self.hub.forget_result(result.result_id)

    def _set_auto_commit(self, message: wire.SetAutoCommit) -> None:
        session = self._session(message.tab_id)
        if session.is_busy:
            raise RequestError("busy", "this tab is still running a statement")
        if session.in_transaction:
            raise RequestError(
                "transaction_open",
                "a transaction is open",
                next_step="Commit or roll back first.",
            )
        session.set_auto_commit(message.auto_commit)

    async def _end_transaction(self, message: wire.EndTransaction) -> None:
        session = self._session(message.tab_id)
        if session.is_busy:
            raise RequestError("busy", "this tab is still running a statement")
        failed = await session.end_transaction(commit=message.commit)
        if failed is not None:
            raise RequestError("internal", failed.message)

    # --- results ----------------------------------------------------------------------------------

    def _readable(self, result_id: str) -> StoredResult:
        result = self.hub.store.get(result_id, self.user_id)
        self.hub.rights.check(result)
        return result

    async def _fetch_rows(self, message: wire.FetchRows, peer: Peer) -> wire.RowsPage:
        if not 0 < message.limit <= wire.MAX_PAGE_ROWS or message.offset < 0:
            raise RequestError("bad_request", f"limit is 1 to {wire.MAX_PAGE_ROWS}, offset from 0")
        async with peer.pages:
            await peer.room()
            result = self._readable(message.result_id)
            complete = result.complete
            page, total = await self.hub.page(result, message.view, message.offset, message.limit)
        return wire.RowsPage(
            message.request,
            message.result_id,
            message.offset,
            tuple(page.rows),
            tuple(CellAddress(row, column) for row, column in page.cut),
            total,
            complete,
        )

    async def _fetch_cell(self, message: wire.FetchCell) -> wire.CellValue:
        result = self._readable(message.result_id)
        if message.row < 0 or not 0 <= message.column < len(result.names):
            raise RequestError("bad_request", "there is no such cell")
        rows = await self.hub.rows(result, message.view, message.row, 1)
        if not rows:
            raise RequestError("not_found", "there is no such row")
        value = rows[0][message.column]
        if value is not None and len(value) > _MAX_CELL_CHARACTERS:
            raise RequestError(
                "too_large",
                f"the cell has {len(value):,} characters, more than can be shown",
                next_step="Export the result.",
            )
        return wire.CellValue(message.request, value)

    def _close_result(self, result_id: str) -> None:
        with contextlib.suppress(ResultGoneError):
            self.hub.store.get(result_id, self.user_id)
            self.hub.forget_result(result_id)

    def _export(self, message: wire.ExportResult) -> wire.ExportReady:
        result = self.hub.store.get(message.result_id, self.user_id)
        policy = self.hub.rights.check(result)
        if not self.hub.rights.may_export(result):
            raise RequestError(
                "not_allowed",
                f"no privilege with export that you hold on {policy.connection_name} now covers "
                "this statement",
                next_step="Ask the owner of the connection for a privilege with export.",
            )
        name = f"result-{datetime.now(UTC):%Y%m%d-%H%M%S}.{message.format.value}"
        token = self.hub.offer_download(
            self.user_id, result, message.view, message.format, message.for_spreadsheet, name
        )
        return wire.ExportReady(message.request, f"/editor/exports/{token}", name)

    # --- tabs and history -------------------------------------------------------------------------

    async def _save_tab(self, message: wire.SaveTab) -> wire.TabSaved:
        tab = message.tab
        if len(tab.text) > wire.MAX_TAB_CHARACTERS:
            raise RequestError("too_large", "the text of a tab is too long to be kept")
        if tab.tab_id not in self.tabs and len(self.tabs) >= _MAX_TABS:
            raise RequestError("too_large", f"a window holds at most {_MAX_TABS} tabs")
        kept = self.tabs.get(tab.tab_id)
        if kept is None or tab.revision >= kept.revision:
            self.tabs[tab.tab_id] = tab
        revision = await trio.to_thread.run_sync(self.hub.keeper.save_tab, self.window_id, tab)
        return wire.TabSaved(message.request, tab.tab_id, revision)

    async def _remove_tab(self, tab_id: str) -> None:
        session = self.sessions.get(tab_id)
        if session is not None:
            session.close()
        for run in [run for run in self.runs if run.tab_id == tab_id]:
            self._forget_results(run)
            self.runs.remove(run)
        self.tabs.pop(tab_id, None)
        await trio.to_thread.run_sync(self.hub.keeper.remove_tab, self.window_id, tab_id)

    async def _arrange(self, message: wire.ArrangeTabs) -> None:
        order = [tab_id for tab_id in message.tab_ids if tab_id in self.tabs]
        rest = [tab_id for tab_id in self.tabs if tab_id not in order]
        self.tabs = {tab_id: self.tabs[tab_id] for tab_id in (*order, *rest)}
        self.active_tab = message.active_tab
        await trio.to_thread.run_sync(
            self.hub.keeper.arrange, self.window_id, list(self.tabs), message.active_tab
        )

    async def _history(self, message: wire.ListHistory) -> wire.HistoryPage:
        limit = max(1, min(message.limit, _MAX_HISTORY))
        entries, before = await trio.to_thread.run_sync(
            lambda: self.hub.keeper.history(
                self.user_id,
                connection_id=message.connection_id,
                search=message.search,
                before=message.before,
                limit=limit,
            )
        )
        return wire.HistoryPage(message.request, tuple(entries), before)


def new_window_id() -> str:
    """Return an id that cannot be guessed."""
    return uuid.uuid4().hex
