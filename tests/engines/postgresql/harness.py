"""A small blocking shell around PostgresqlSession, so that real clients meet a real server.

It does what the relay does, one thread per connection, with decisions made by a function that the
test gives. Nothing of it is used outside these tests.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import select
import socket
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from querykeep_engines.kit import scram
from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.session import PostgresqlSession
from querykeep_engines.postgresql.wire.startup import encode_cancel
from querykeep_guard.contracts.audit import (
    AuditEvent,
    SessionClosed,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.policy import (
    GrantScope,
    MaskerSpec,
    SessionPolicy,
    StatementKind,
    Subject,
)
from querykeep_guard.contracts.session import (
    ConnectionInfo,
    Route,
    SessionGrant,
    SignInRefusal,
    Target,
    TlsMode,
)
from querykeep_guard.policy.decision import ColumnMask, Decision, MaskPlan
from querykeep_guard.sql.facts import ColumnName, Effect, SessionContext, StatementFacts

PASSWORD = "client-token"
ITERATIONS = 4096
SALT = b"0123456789abcdef"
DecideFunction = Callable[[str, SessionContext], tuple[Decision, ...]]

_KINDS = {
    "select": StatementKind.SELECT,
    "values": StatementKind.SELECT,
    "with": StatementKind.SELECT,
    "table": StatementKind.SELECT,
    "insert": StatementKind.INSERT,
    "update": StatementKind.UPDATE,
    "delete": StatementKind.DELETE,
    "truncate": StatementKind.TRUNCATE,
    "set": StatementKind.SET,
    "reset": StatementKind.SET,
    "discard": StatementKind.SET,
    "show": StatementKind.SHOW,
    "begin": StatementKind.TRANSACTION,
    "start": StatementKind.TRANSACTION,
    "commit": StatementKind.TRANSACTION,
    "end": StatementKind.TRANSACTION,
    "rollback": StatementKind.TRANSACTION,
    "savepoint": StatementKind.TRANSACTION,
    "release": StatementKind.TRANSACTION,
    "declare": StatementKind.DECLARE_CURSOR,
    "fetch": StatementKind.FETCH,
    "move": StatementKind.FETCH,
    "close": StatementKind.CLOSE_CURSOR,
    "prepare": StatementKind.PREPARE,
    "execute": StatementKind.EXECUTE,
    "deallocate": StatementKind.DEALLOCATE,
    "listen": StatementKind.NOTIFY,
    "notify": StatementKind.NOTIFY,
    "lock": StatementKind.LOCK,
    "vacuum": StatementKind.MAINTENANCE,
}


STATEMENT = re.compile(r"""(?:[^;'"]+|'[^']*'?|"[^"]*"?)+""")


def split(text: str) -> list[str]:
    """Split at semicolons outside quotes; enough for the texts of these tests."""
    return [part for part in STATEMENT.findall(text) if part.strip()]


def facts_of(text: str) -> StatementFacts:
    """Return crude facts: kind by first word."""
    words = text.lower().split()
    kind = _KINDS.get(words[0], StatementKind.CREATE)
    effects = {Effect.READ}
    if words[0] == "copy":
        kind = StatementKind.COPY_IN if " from stdin" in text.lower() else StatementKind.COPY_OUT
    if words[0] in ("create", "alter", "drop"):
        effects.add(Effect.DDL)
    if kind is StatementKind.SET:
        effects.add(Effect.SESSION)
    names: tuple[tuple[str, str], ...] = ()
    if words[0] in ("prepare", "declare", "deallocate", "close") and len(words) > 1:
        names = ((words[0], words[1].strip('"')),)
    functions = ("set_config",) if "set_config" in text else ()
    return StatementFacts(
        text=text,
        start=0,
        end=len(text),
        kind=kind,
        effects=frozenset(effects),
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        names=names,
        functions=functions,
    )


def allow(text: str, plan: MaskPlan | None = None) -> Decision:
    """Return a decision that allows one statement."""
    verdict = Verdict.MASKED if plan and plan.masks else Verdict.ALLOWED
    return Decision(verdict, facts_of(text), plan or MaskPlan(None), (), ())


def deny(text: str, message: str = "refused by test", by: str = "table") -> Decision:
    """Return a decision that refuses one statement."""
    return Decision(
        Verdict.DENIED, facts_of(text), MaskPlan(None), (), (), message=message, denied_by=by
    )


def allow_all(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    """Allow everything."""
    return tuple(allow(part) for part in split(text))


def mask(ordinal: int, kind: str = "full") -> ColumnMask:
    """Return a mask of one output column."""
    return ColumnMask(ordinal, MaskerSpec(kind), ("r",), ("rule",), (ColumnName("", "t", "c"),))


def session_policy(**changes: object) -> SessionPolicy:
    """Return a policy with one grant over everything."""
    policy = SessionPolicy(
        version=1,
        subject=Subject("u1", "ana", "Ana"),
        connection_id="c1",
        connection_name="shop-postgresql",
        engine="postgresql",
        database="shop",
        grants=(GrantScope("g1", "all", frozenset(StatementKind)),),
    )
    return replace(policy, **changes)  # type: ignore[arg-type] # keyword names are the fields


@dataclass
class Governed:
    """A listener whose connections are governed sessions.

    Attributes:
        target: Where sessions lead.
        decide: The policy of the test.
        events: All audit events, in order.
        contexts: The context of each decision.
    """

    target: Target
    decide: DecideFunction = allow_all
    policy: SessionPolicy = field(default_factory=session_policy)
    client_auth: bool = False
    server_tls: ssl.SSLContext | None = None
    binding: bytes = b""
    client_tls: ssl.SSLContext | None = None
    chunk: int = 65536
    refuse: SignInRefusal | None = None
    events: list[AuditEvent] = field(default_factory=list)
    contexts: list[tuple[str, SessionContext]] = field(default_factory=list)
    commands: list[kit.Command] = field(default_factory=list)
    keys: dict[bytes, Shell] = field(default_factory=dict)
    shells: list[Shell] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            shell = Shell(self, client)
            self.shells = [*(other for other in self.shells if other.wake_read >= 0), shell]
            threading.Thread(target=shell.run, daemon=True).start()

    def close(self) -> None:
        """Stop listening and end every session."""
        self.listener.close()
        for shell in self.shells:
            shell.stop()

    def note(self, event: AuditEvent) -> None:
        """Keep an audit event."""
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], limit_s: float = 20.0) -> None:
        """Wait until the events fulfil a condition."""
        with self.changed:
            assert self.changed.wait_for(condition, limit_s), self.events

    def started(self) -> list[StatementStarted]:
        """Return statements recorded before they ran or in place of running."""
        return [event for event in self.events if isinstance(event, StatementStarted)]

    def completed(self) -> list[StatementCompleted]:
        """Return completions."""
        return [event for event in self.events if isinstance(event, StatementCompleted)]

    def closings(self) -> list[SessionClosed]:
        """Return ends of sessions."""
        return [event for event in self.events if isinstance(event, SessionClosed)]

    def grant(self) -> SessionGrant:
        """Return a fresh grant."""
        return SessionGrant(
            session_id=uuid.uuid4().hex,
            route=Route.AGENTLESS,
            policy=self.policy,
            target=self.target,
            catalog_version="v1",
            opened_at=datetime.now(UTC),
        )


class Shell:
    """Runs one session's commands over blocking sockets."""

    def __init__(self, governed: Governed, client: socket.socket) -> None:
        self.governed = governed
        self.client = client
        self.server: socket.socket | None = None
        self.inbox: deque[kit.Event] = deque([kit.ClientConnected()])
        self.wake_read, self.wake_write = os.pipe()
        self.open = True
        self.paused = False
        self.scram: dict[str, bytes] = {}
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = PostgresqlSession(
            kit.SessionConfig(
                connection=ConnectionInfo(
                    "c1", "shop-postgresql", "postgresql", "postgresql", "shop", 0, "15"
                ),
                route=Route.AGENTLESS,
                client_address="127.0.0.1",
                random_bytes=os.urandom,
                new_id=lambda: uuid.uuid4().hex,
                now=lambda: (datetime.now(UTC), time.monotonic()),
                grant=None if governed.client_auth else governed.grant(),
                client_auth=governed.client_auth,
                client_tls_available=governed.server_tls is not None,
            )
        )

    def post(self, event: kit.Event) -> None:
        """Hand the session an event from another thread."""
        self.inbox.append(event)
        with contextlib.suppress(OSError):
            os.write(self.wake_write, b"x")

    def stop(self) -> None:
        """Close both sides."""
        self.open = False
        with contextlib.suppress(OSError):
            os.write(self.wake_write, b"x")

    def run(self) -> None:
        """Run until the session is over."""
        try:
            while self.open:
                self._events()
                if self.open:
                    self._wait()
        finally:
            for side in (self.client, self.server):
                if side is not None:
                    side.close()
            for end in (self.wake_read, self.wake_write):
                os.close(end)
            self.wake_read = self.wake_write = -1
            with self.governed.changed:
                self.governed.changed.notify_all()

    def _events(self) -> None:
        while self.inbox and self.open:
            for command in self.session.handle(self.inbox.popleft()):
                self._command(command)

    def _wait(self) -> None:
        sides: list[socket.socket | int] = [self.wake_read]
        if not self.paused:
            sides.append(self.client)
        if self.server is not None:
            sides.append(self.server)
        for side in sides:
            if isinstance(side, ssl.SSLSocket) and side.pending():
                self._read(side)
                return
        for side in select.select(sides, [], [], 30)[0]:
            if isinstance(side, int):
                os.read(side, 100)
            else:
                self._read(side)

    def _read(self, side: socket.socket) -> None:
        try:
            data = side.recv(self.governed.chunk)
        except OSError:
            data = b""
        name = kit.Side.CLIENT if side is self.client else kit.Side.SERVER
        if not data:
            self.inbox.append(kit.Closed(name))
        elif name is kit.Side.CLIENT:
            self.inbox.append(kit.ClientBytes(data))
        else:
            self.inbox.append(kit.ServerBytes(data))

    def _command(self, command: kit.Command) -> None:
        governed = self.governed
        governed.commands.append(command) if not isinstance(
            command, kit.ToClient | kit.ToServer
        ) else None
        match command:
            case kit.ToClient(data=data):
                self._send(self.client, data)
            case kit.ToServer(data=data):
                if self.server is not None:
                    self._send(self.server, data)
            case kit.Decide():
                governed.contexts.append((command.text, command.context))
                decisions = governed.decide(command.text, command.context)
                self.inbox.append(kit.Decided(command.request_id, decisions))
            case kit.Audit(event=event):
                governed.note(event)
            case kit.Connect():
                self._connect()
            case kit.StartTls(side=side):
                self._tls(side)
            case kit.RegisterCancelKey(key=key):
                governed.keys[key] = self
            case kit.RequestCancel(key=key):
                if key in governed.keys:
                    governed.keys[key].post(kit.CancelRequested())
            case kit.CancelAtTarget(native_id=native_id):
                self._cancel(native_id)
            case kit.Challenge():
                self._challenge(command)
            case kit.Prove():
                self._prove(command)
            case kit.PauseClient():
                self.paused = True
            case kit.ResumeClient():
                self.paused = False
            case kit.Close():
                self.open = False

    @staticmethod
    def _send(side: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):
            side.sendall(data)

    def _connect(self) -> None:
        target = self.governed.target
        try:
            self.server = socket.create_connection((target.host, target.port), 10)
        except OSError as error:
            self.inbox.append(kit.ConnectFailed("tcp", str(error)))
            return
        self.server.settimeout(None)
        self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbox.append(kit.Connected())

    def _tls(self, side: kit.Side) -> None:
        if side is kit.Side.CLIENT:
            assert self.governed.server_tls is not None
            self.client = self.governed.server_tls.wrap_socket(self.client, server_side=True)
            self.inbox.append(kit.TlsStarted(side, self.governed.binding))
        else:
            assert self.governed.client_tls is not None
            assert self.server is not None
            wrapped = self.governed.client_tls.wrap_socket(self.server)
            certificate = wrapped.getpeercert(binary_form=True) or b""
            self.server = wrapped
            self.inbox.append(kit.TlsStarted(side, hashlib.sha256(certificate).digest()))

    def _cancel(self, native_id: bytes) -> None:
        pid = int.from_bytes(native_id[:4], "big", signed=True)
        address = (self.governed.target.host, self.governed.target.port)
        with socket.create_connection(address, 10) as sock:
            sock.sendall(encode_cancel(pid, native_id[4:]))
            sock.recv(1)

    def _challenge(self, command: kit.Challenge) -> None:
        nonce = base64.b64encode(os.urandom(18))
        first = scram.server_first(command.data, nonce, SALT, ITERATIONS)
        self.scram = {
            "bare": command.data,
            "first": first,
            "header": command.gs2_header,
            "binding": command.channel_binding,
        }
        self.inbox.append(kit.Challenged(first))

    def _prove(self, command: kit.Prove) -> None:
        if self.governed.refuse is not None:
            self.inbox.append(kit.SignInFailed(self.governed.refuse))
            return
        verifiers = scram.make_verifiers(PASSWORD, SALT, ITERATIONS)
        try:
            final = scram.verify_client_final(
                command.data,
                client_first_bare=self.scram["bare"],
                server_first_message=self.scram["first"],
                gs2_header=self.scram["header"],
                channel_binding=self.scram["binding"],
                stored_key=verifiers.scram_stored_key,
                server_key=verifiers.scram_server_key,
            )
        except scram.ScramError:
            self.inbox.append(kit.SignInFailed(SignInRefusal("bad_credentials", "no")))
            return
        self.inbox.append(kit.SignedIn(self.governed.grant(), final))


@contextlib.contextmanager
def governed_by(
    target: Target, decide: DecideFunction = allow_all, **options: object
) -> Iterator[Governed]:
    """Run a governed listener for the length of a with block."""
    server = Governed(target, decide, **options)  # type: ignore[arg-type] # options are its fields
    try:
        yield server
    finally:
        server.close()


def plain_target(host: str, port: int, user: str, password: str, database: str) -> Target:
    """Return a target without TLS."""
    return Target("postgresql", "postgresql", host, port, database, user, password, TlsMode.DISABLE)
