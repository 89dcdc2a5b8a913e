"""Fake peers without I/O, for tests: a client that reads messages, a server with scripted results,
and a wire that runs a session between them in pieces of any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import BackendMessage, Field, read_backend
from querykeep_engines.postgresql.wire.codes import Auth
from querykeep_engines.postgresql.wire.decode import BackendDecoder, Frame, FrontendDecoder, Run
from querykeep_engines.postgresql.wire.frontend import (
    Bind,
    Close,
    CopyData,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    Parse,
    Query,
    Sync,
    Terminate,
    read_frontend,
)
from querykeep_engines.postgresql.wire.startup import Startup, encode_startup, read_startup
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

_STATE_TEXT = "SHOW search_path"
"""What the session itself asks."""
_STARTUP = (("user", "ana"), ("database", "shop"))


@dataclass(frozen=True, slots=True)
class Result:
    """What a fake server answers to a text. ``error`` is an SQLSTATE; its message quotes ``rows``
    when there are any, as careless servers do."""

    fields: tuple[Field, ...] = ()
    rows: tuple[tuple[bytes | None, ...], ...] = ()
    tag: str = "SELECT"
    error: str = ""
    status: str = ""


class FakeClient:
    """Turns what a session sends to the client into messages."""

    def __init__(self) -> None:
        self._decoder = BackendDecoder(kit.WireLimits())
        self.messages: list[BackendMessage] = []

    @staticmethod
    def startup() -> bytes:
        """Return a start-up packet."""
        return encode_startup(_STARTUP)

    def feed(self, data: bytes) -> None:
        """Take bytes from the session."""
        self._decoder.feed(data)
        for item in self._decoder.items():
            frames = _single_frames(item) if isinstance(item, Run) else [item]
            self.messages.extend(read_backend(frame.kind, frame.payload) for frame in frames)

    def take(self) -> list[BackendMessage]:
        """Return and forget the messages so far."""
        messages, self.messages = self.messages, []
        return messages


def _single_frames(run: Run) -> list[Frame]:
    frames, pos = [], 0
    while pos < len(run.data):
        length = int.from_bytes(run.data[pos + 1 : pos + 5], "big")
        frames.append(Frame(run.kind, run.data[pos : pos + 1 + length]))
        pos += 1 + length
    return frames


@dataclass
class FakeServer:
    """A server that signs everyone in and answers texts from a table; texts that it does not know
    are syntax errors, as every refused text is.

    Attributes:
        results: Answers by text, in the order of a text's statements.
        received: All messages after start-up.
        ran: Texts that were really executed, without the session's own question.
    """

    results: Mapping[str, Sequence[Result]]
    search_path: str = '"$user", public'
    received: list[FrontendMessage] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    _decoder: FrontendDecoder = field(default_factory=lambda: FrontendDecoder(kit.WireLimits()))
    _statements: dict[str, str] = field(default_factory=dict)
    _portals: dict[str, str] = field(default_factory=dict)
    _status: str = "I"
    _started: bool = False
    _skipping: bool = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes and return the answer."""
        self._decoder.feed(data)
        if not self._started:
            payload = self._decoder.next_startup()
            if payload is None:
                return b""
            assert isinstance(read_startup(payload), Startup)
            self._started = True
            return (
                encode.authentication(Auth.OK)
                + encode.parameter_status("server_version", "15.3")
                + encode.parameter_status("client_encoding", "UTF8")
                + encode.backend_key_data(42, b"key!")
                + encode.ready_for_query("I")
            )
        answers = []
        for frame in self._decoder.frames():
            message = read_frontend(frame.kind, frame.payload)
            self.received.append(message)
            answers.append(self._answer(message))
        return b"".join(answers)

    def _answer(self, message: FrontendMessage) -> bytes:
        if isinstance(message, Sync):
            self._skipping = False
            if self._status != "T":
                self._portals.clear()
            return encode.ready_for_query(self._status)
        if self._skipping or isinstance(message, Terminate | Flush | CopyData):
            return b""
        match message:
            case Query(text=text):
                self._statements.pop("", None)
                data, _ = self._run(text)
                return data + encode.ready_for_query(self._status)
            case Parse(statement=name, text=text):
                if name and name in self._statements:
                    return self._fail("42P05")
                if self._lookup(text) is None:
                    return self._fail("42601")
                self._statements[name] = text
                return encode.PARSE_COMPLETE
            case Bind(portal=portal, statement=name):
                if name not in self._statements:
                    return self._fail("26000")
                self._portals[portal] = self._statements[name]
                return encode.BIND_COMPLETE
            case Describe(kind="P", name=name):
                if name not in self._portals:
                    return self._fail("34000")
                return self._describe(self._portals[name])
            case Describe(name=name):
                if name not in self._statements:
                    return self._fail("26000")
                return encode.parameter_description(()) + self._describe(self._statements[name])
            case Execute(portal=portal):
                if portal not in self._portals:
                    return self._fail("34000")
                data, ok = self._run(self._portals[portal], describe=False)
                self._skipping = not ok
                return data
            case Close(kind=kind, name=name):
                names = self._statements if kind == "S" else self._portals
                names.pop(name, None)
                return encode.CLOSE_COMPLETE
            case _:
                raise AssertionError(f"the fake server does not know {message!r}")

    def _fail(self, code: str) -> bytes:
        self._skipping = True
        return self._error(code, "")

    def _error(self, code: str, text: str) -> bytes:
        if self._status == "T":
            self._status = "E"
        return encode.error_response(
            (("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", f"error {code} {text}"))
        )

    def _lookup(self, text: str) -> Sequence[Result] | None:
        if text == _STATE_TEXT:
            column = Field("search_path", 0, 0, 25)
            return (Result((column,), ((self.search_path.encode(),),), "SHOW"),)
        if not text.strip():
            return ()
        return self.results.get(text)

    def _describe(self, text: str) -> bytes:
        fields = (self._lookup(text) or (Result(),))[0].fields
        return encode.row_description(fields) if fields else encode.NO_DATA

    def _run(self, text: str, *, describe: bool = True) -> tuple[bytes, bool]:
        results = self._lookup(text)
        if results is None:
            return self._error("42601", ""), False
        if not results:
            return encode.EMPTY_QUERY_RESPONSE, True
        out = []
        for result in results:
            if text != _STATE_TEXT:
                self.ran.append(text)
            if result.error:
                out.append(self._error(result.error, repr(result.rows)))
                return b"".join(out), False
            if result.fields and describe:
                out.append(encode.row_description(result.fields))
            out.extend(encode.data_row(row) for row in result.rows)
            out.append(encode.command_complete(result.tag))
            self._status = result.status or self._status
        return b"".join(out), True


class Wired:
    """A session between a fake client and a fake server.

    Args:
        session: The session under test, made for a grant without client authentication.
        server: The target.
        decide: Answers ``Decide`` (text, context).
        piece: Bytes per event; 1 shows that nothing depends on where the network cuts.
    """

    def __init__(
        self,
        session: kit.EngineSession,
        server: FakeServer,
        decide: Callable[[str, SessionContext], tuple[Decision, ...]],
        piece: int = 1 << 30,
    ) -> None:
        self.session = session
        self.server = server
        self.client = FakeClient()
        self.commands: list[kit.Command] = []
        self._decide = decide
        self._piece = piece
        self._events: deque[kit.Event] = deque()
        self.hold_server = False
        self._held: list[bytes] = []

    def send(self, data: bytes) -> list[BackendMessage]:
        """Send client bytes, let everything settle, and return what the client got."""
        for start in range(0, len(data), self._piece):
            self._events.append(kit.ClientBytes(data[start : start + self._piece]))
        self.settle()
        return self.client.take()

    def post(self, event: kit.Event) -> list[BackendMessage]:
        """Hand the session any other event."""
        self._events.append(event)
        self.settle()
        return self.client.take()

    def release(self) -> list[BackendMessage]:
        """Let the server's held answers come."""
        self.hold_server = False
        held, self._held = self._held, []
        for data in held:
            self._from_server(data)
        self.settle()
        return self.client.take()

    def settle(self) -> None:
        """Run until nothing is left to do."""
        while self._events:
            for command in self.session.handle(self._events.popleft()):
                self.commands.append(command)
                self._run(command)

    def _from_server(self, data: bytes) -> None:
        for start in range(0, len(data), self._piece):
            self._events.append(kit.ServerBytes(data[start : start + self._piece]))

    def _run(self, command: kit.Command) -> None:
        match command:
            case kit.ToClient(data=data):
                self.client.feed(data)
            case kit.ToServer(data=data):
                answer = self.server.feed(data)
                if self.hold_server:
                    self._held.append(answer)
                else:
                    self._from_server(answer)
            case kit.Connect():
                self._events.append(kit.Connected())
            case kit.Decide():
                decisions = self._decide(command.text, command.context)
                self._events.append(kit.Decided(command.request_id, decisions))
            case _:
                return
