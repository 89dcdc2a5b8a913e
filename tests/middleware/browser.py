"""A browser for tests: signs in over HTTP and speaks the editor's WebSocket, typed."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
from tests.fix_system import Account
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.frames import decode_server, encode
from querykeep_middleware.editor.shapes import (
    WHOLE_RESULT,
    ExportFormat,
    ResultView,
    RunScope,
    SessionInfo,
    StatementState,
)

M = TypeVar("M")
TIMEOUT_S = 40.0
PAGE_ROWS = wire.MAX_PAGE_ROWS


class Person:
    """Someone signed in to the web UI, over the web port."""

    def __init__(self, web: str, account: Account) -> None:
        self.web = web
        self.account = account
        self.http = httpx.Client(base_url=web, timeout=TIMEOUT_S, trust_env=False)
        answer = self.post(
            "/api/v1/auth/sign-in",
            {"username": account.username, "password": account.password},
        )
        assert answer.status_code == 200, answer.text

    def post(self, path: str, body: object) -> httpx.Response:
        """POST as the page does, with its token."""
        token = self.http.get("/api/v1/auth/csrf").json()["token"]
        return self.http.post(path, json=body, headers={"X-CSRFToken": token, "Origin": self.web})

    def close(self) -> None:
        """Close the browser."""
        self.http.close()

    def sign_out(self) -> None:
        """Sign out."""
        assert self.post("/api/v1/auth/sign-out", {}).status_code < 300

    @property
    def cookies(self) -> str:
        """What the browser sends as ``Cookie``."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    @contextmanager
    def editor(self, window_id: str = "", *, web: str = "") -> Iterator[Editor]:
        """Open (or resume) an editor window."""
        with open_socket(web or self.web, self.cookies) as socket:
            editor = Editor(socket)
            editor.open(window_id)
            yield editor


@contextmanager
def open_socket(
    web: str, cookies: str = "", *, origin: str | None = None, path: str = "/ws/editor"
) -> Iterator[ClientConnection]:
    """Open the editor's socket as a browser would."""
    with connect(
        web.replace("http", "ws", 1) + path,
        additional_headers={"Cookie": cookies} if cookies else {},
        origin=Origin(origin or web),
        max_size=None,
        proxy=None,
        open_timeout=TIMEOUT_S,
        close_timeout=2,
    ) as socket:
        yield socket


def close_code(socket: ClientConnection) -> int:
    """Read until the server closes; return its code."""
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while True:
            socket.recv(timeout=max(0.0, deadline - time.monotonic()))
    except ConnectionClosed as closed:
        # A connection that broke without a close frame has code 1006, as in browsers.
        return closed.rcvd.code if closed.rcvd is not None else 1006


class Run:
    """What a run told, in order."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.messages: list[wire.ServerMessage] = []

    def all(self, kind: type[M]) -> list[M]:
        """Every message of a type."""
        return [message for message in self.messages if isinstance(message, kind)]

    def one(self, kind: type[M]) -> M:
        """The only message of a type."""
        found = self.all(kind)
        assert len(found) == 1, self.messages
        return found[0]

    @property
    def finished(self) -> wire.RunFinished:
        """How it ended."""
        return self.one(wire.RunFinished)

    @property
    def states(self) -> list[StatementState]:
        """The states of its statements in order."""
        order = [started.statement_id for started in self.all(wire.StatementStarted)]
        states = {one.statement_id: one.state for one in self.all(wire.StatementFinished)}
        return [states[statement_id] for statement_id in order]

    @property
    def results(self) -> list[str]:
        """Ids of its results in order."""
        return [started.result_id for started in self.all(wire.ResultStarted)]


class Editor:
    """One window's socket, after ``open``."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.window: wire.WindowOpened
        self.seen: list[wire.ServerMessage] = []
        self._numbers = itertools.count(1)

    def send(self, message: wire.ClientMessage) -> str:
        """Send a request; its id is set here and returned."""
        request = str(next(self._numbers))
        self.socket.send(encode(replace(message, request=request)))
        return request

    def next(self, timeout_s: float = TIMEOUT_S) -> wire.ServerMessage:
        """Return the next message."""
        text = self.socket.recv(timeout=timeout_s)
        assert isinstance(text, str)
        message = decode_server(text)
        self.seen.append(message)
        return message

    def until(
        self, wanted: Callable[[wire.ServerMessage], bool], timeout_s: float = TIMEOUT_S
    ) -> wire.ServerMessage:
        """Read until a message fits, and return it."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self.next(max(0.0, deadline - time.monotonic()))
            if wanted(message):
                return message

    def event(self, kind: type[M], timeout_s: float = TIMEOUT_S) -> M:
        """Read until a message of a type."""
        found = self.until(lambda message: isinstance(message, kind), timeout_s)
        assert isinstance(found, kind)
        return found

    def ask(self, message: wire.ClientMessage) -> Any:
        """Send a request and return its answer."""
        request = self.send(message)
        return self.until(lambda answer: getattr(answer, "request", None) == request)

    def refused(self, message: wire.ClientMessage) -> wire.RequestFailed:
        """Send a request that must fail."""
        answer = self.ask(message)
        assert isinstance(answer, wire.RequestFailed), answer
        return answer

    def open(self, window_id: str = "") -> None:
        """Open the window."""
        answer = self.ask(wire.OpenWindow("", wire.PROTOCOL_VERSION, window_id))
        assert isinstance(answer, wire.WindowOpened), answer
        self.window = answer

    def connect(
        self, connection_id: str, tab_id: str = "t", *, auto_commit: bool = True
    ) -> SessionInfo:
        """Open a session in a tab."""
        answer = self.ask(wire.OpenSession("", tab_id, connection_id, auto_commit))
        assert isinstance(answer, wire.SessionOpened), answer
        return answer.session

    def start(self, text: str, tab_id: str = "t", *, stop_on_error: bool = True) -> str:
        """Start a run and return its id, without waiting for anything."""
        run_id = uuid.uuid4().hex
        self.send(wire.RunText("", tab_id, run_id, RunScope.ALL, text, 0, stop_on_error))
        return run_id

    def run(self, text: str, tab_id: str = "t", *, stop_on_error: bool = True) -> Run:
        """Run a text to its end."""
        before = len(self.seen)
        run_id = self.start(text, tab_id, stop_on_error=stop_on_error)
        return self.finish(run_id, before)

    def finish(self, run_id: str, before: int = 0) -> Run:
        """Read until a run has ended."""
        self.until(
            lambda message: (
                isinstance(message, wire.RequestFailed)
                or (isinstance(message, wire.RunFinished) and message.run_id == run_id)
            )
        )
        run = Run(run_id)
        run.messages = [
            message
            for message in self.seen[before:]
            if getattr(message, "run_id", None) == run_id or isinstance(message, wire.RequestFailed)
        ]
        return run

    def page(
        self,
        result_id: str,
        offset: int = 0,
        limit: int = PAGE_ROWS,
        view: ResultView = WHOLE_RESULT,
    ) -> wire.RowsPage:
        """Read a page of a result."""
        answer = self.ask(wire.FetchRows("", result_id, offset, limit, view))
        assert isinstance(answer, wire.RowsPage), answer
        return answer

    def rows(self, text: str, tab_id: str = "t") -> list[tuple[str | None, ...]]:
        """Run one query and return its rows (one page at most)."""
        run = self.run(text, tab_id)
        assert run.states == [StatementState.DONE], run.messages
        (result_id,) = run.results
        return list(self.page(result_id).rows)

    def export(
        self,
        result_id: str,
        format_: ExportFormat = ExportFormat.CSV,
        *,
        for_spreadsheet: bool = False,
        view: ResultView = WHOLE_RESULT,
    ) -> wire.ExportReady:
        """Ask for a download."""
        answer = self.ask(wire.ExportResult("", result_id, format_, for_spreadsheet, view))
        assert isinstance(answer, wire.ExportReady), answer
        return answer
