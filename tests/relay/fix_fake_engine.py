"""A tiny engine with a line protocol, to test the relay's shell without a database's protocol.

Client: ``TLS`` · ``login USER PASSWORD`` · ``cancel KEY`` · any other line is a statement. Answers:
``go`` (TLS), ``ready KEY``, ``row …``, ``done``, ``refused …``, ``bye REASON``.
Target: gets ``hello``, then statements; ``rows N BYTES``, ``wait``, ``ddl`` have a meaning there.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from querykeep_engines.kit.driver import DriverError
from querykeep_engines.kit.session import (
    Audit,
    CancelAtTarget,
    CancelRequested,
    CatalogChanged,
    ClientBytes,
    ClientConnected,
    Close,
    Closed,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Decide,
    Decided,
    EndRequested,
    Event,
    Prove,
    Ready,
    RegisterCancelKey,
    RequestCancel,
    ServerBytes,
    SessionConfig,
    Side,
    SignedIn,
    SignInFailed,
    StartTls,
    TlsStarted,
    ToClient,
    ToServer,
)
from querykeep_engines.kit.spec import EngineSpec
from querykeep_guard.contracts.audit import (
    Outcome,
    StatementCompleted,
    StatementStarted,
)
from querykeep_guard.contracts.catalog import Catalog, Column, Relation
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import EndReason, SessionGrant, Target
from querykeep_guard.sql.facts import (
    Effect,
    RelationName,
    SessionContext,
    StatementFacts,
    StatementSyntaxError,
)


class FakeSession:
    """Follows the seam's rules: Audit before ToServer, EndRequested answered with Close."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._grant: SessionGrant | None = config.grant
        self._client_buffer = b""
        self._server_buffer = b""
        self._running: StatementStarted | None = None
        self._rows = 0
        self._request = 0
        self._deciding = False
        self._ready = False
        self._waits_for_tls = False

    @property
    def running(self) -> StatementStarted | None:
        return self._running

    @property
    def idle(self) -> bool:
        return self._running is None

    def handle(self, event: Event) -> list[Command]:
        match event:
            case ClientConnected():
                return [Connect()] if self._config.grant and not self._config.client_auth else []
            case ClientBytes(data=data):
                self._client_buffer += data
                return self._lines()
            case ServerBytes(data=data):
                return self._from_server(data)
            case TlsStarted(channel_binding=binding):
                self._waits_for_tls = False
                return [ToClient(b"secure %d\n" % len(binding))]
            case SignedIn(grant=grant):
                self._grant = grant
                return [Connect()]
            case SignInFailed(refusal=refusal):
                text = f"refused {refusal.code}\n".encode()
                return [ToClient(text), Close(EndReason.PROTOCOL_ERROR, refusal.message)]
            case Connected():
                return [ToServer(b"hello\n")]
            case ConnectFailed(stage=stage, message=message):
                text = f"unreachable {stage}\n".encode()
                return [ToClient(text), Close(EndReason.TARGET_UNREACHABLE, message)]
            case Decided(decisions=decisions):
                self._deciding = False
                commands: list[Command] = []
                for decision in decisions:
                    commands += self._decided(decision)
                return commands + self._lines()
            case CancelRequested():
                return [CancelAtTarget(b"native")] if self._running else []
            case EndRequested(reason=reason, message=message):
                return [
                    *self._complete(Outcome.KILLED),
                    ToClient(f"bye {reason.value}\n".encode()),
                    Close(reason, message),
                ]
            case Closed(side=Side.CLIENT):
                commands = [CancelAtTarget(b"native")] if self._running else []
                return [
                    *commands,
                    *self._complete(Outcome.CANCELLED),
                    Close(EndReason.CLIENT_CLOSED),
                ]
            case Closed():
                return [*self._complete(Outcome.UNKNOWN), Close(EndReason.TARGET_CLOSED)]
            case _:
                return []

    def _lines(self) -> list[Command]:
        commands: list[Command] = []
        while not self._deciding and not self._waits_for_tls and b"\n" in self._client_buffer:
            line, self._client_buffer = self._client_buffer.split(b"\n", 1)
            commands += self._line(line.decode("utf-8", "replace"))
        if len(self._client_buffer) > 1_000_000_000 // 10:
            commands.append(Close(EndReason.PROTOCOL_ERROR, "a line without end"))
        return commands

    def _line(self, line: str) -> list[Command]:
        words = line.split(" ")
        if line == "TLS":
            if self._client_buffer:
                return [Close(EndReason.PROTOCOL_ERROR, "bytes before TLS")]
            self._waits_for_tls = True
            return [ToClient(b"go\n"), StartTls(Side.CLIENT)]
        if words[0] == "cancel":
            return [RequestCancel(words[1].encode()), Close(EndReason.CLIENT_CLOSED)]
        if words[0] == "login" and not self._ready:
            return [Prove(words[1], "native_password", words[2].encode())]
        if not self._ready:
            return [ToClient(b"garbage\n"), Close(EndReason.PROTOCOL_ERROR, "garbage")]
        if words[0] == "boom":
            raise RuntimeError(line)
        self._request += 1
        self._deciding = True
        context = SessionContext("fake", "fake", "1", "db")
        return [Decide(self._request, line, context)]

    def _decided(self, decision) -> list[Command]:
        assert self._grant is not None
        subject = self._grant.policy.subject
        text = decision.facts.text
        started = StatementStarted(
            statement_id=self._config.new_id(),
            session_id=self._grant.session_id,
            started_at=self._config.now()[0],
            user_id=subject.user_id,
            username=subject.username,
            route=self._config.route,
            client=_client(self._config),
            connection_id=self._config.connection.id,
            connection_name=self._config.connection.name,
            database="db",
            statement=text,
            kind=decision.facts.kind.value,
            objects=decision.facts.objects,
            verdict=decision.verdict,
            rules=decision.rules,
            digest=decision.facts.digest,
            policy_version=self._grant.policy.version,
            catalog_version="",
        )
        if not decision.may_run:
            return [Audit(started), ToClient(f"refused {decision.message}\n".encode())]
        self._running, self._rows = started, 0
        commands: list[Command] = [Audit(started), ToServer(text.encode() + b"\n")]
        if text.startswith("ddl"):
            commands.append(CatalogChanged("ddl"))
        return commands

    def _from_server(self, data: bytes) -> list[Command]:
        if not self._ready:
            self._server_buffer += data
            if b"\n" not in self._server_buffer:
                return []
            self._ready = True
            key = self._config.new_id().encode()
            return [RegisterCancelKey(key), Ready(b"native"), ToClient(b"ready " + key + b"\n")]
        self._rows += data.count(b"row ")
        commands: list[Command] = []
        self._server_buffer = (self._server_buffer + data)[-16:]
        if self._server_buffer.endswith(b"done\n"):
            commands = self._complete(Outcome.OK)
        elif self._server_buffer.endswith(b"cancelled\n"):
            commands = self._complete(Outcome.CANCELLED)
        return [*commands, ToClient(data)]

    def _complete(self, outcome: Outcome) -> list[Command]:
        running, self._running = self._running, None
        if running is None:
            return []
        self._server_buffer = b""
        return [
            Audit(
                StatementCompleted(
                    running.statement_id,
                    running.session_id,
                    self._config.now()[0],
                    outcome,
                    self._rows,
                    0,
                    0.0,
                )
            )
        ]


def _client(config: SessionConfig):
    from querykeep_guard.contracts.session import ClientInfo

    return ClientInfo(address=config.client_address, program="fake")


class FakeAnalyzer:
    """``SELECT``-like facts for anything but ``syntax`` and ``drop``; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def analyze(self, text, context, catalog):
        self.calls += 1
        if text.startswith("syntax"):
            raise StatementSyntaxError("syntax error at the start", 0)
        kind = StatementKind.DROP if text.startswith("drop") else StatementKind.SELECT
        return (
            StatementFacts(
                text=text,
                start=0,
                end=len(text),
                kind=kind,
                effects=frozenset({Effect.READ}),
                digest="d-" + text.split(" ")[0],
                reads=(RelationName("public", "t"),),
                objects=("public.t",),
                literals_matter=False,
            ),
        )

    def shape(self, text, context):
        return text.split(" ")[0]


class FakeWatch:
    """Asks its driver each time."""

    def __init__(self, driver: FakeDriver, target: Target) -> None:
        self._driver, self._target = driver, target

    def fingerprint(self) -> str:
        """As the driver says."""
        return self._driver.fingerprint(self._target)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class FakeDriver:
    """The target's schema and the cancels that it got."""

    fingerprints: list[str] = field(default_factory=lambda: ["f1"])
    crawls: int = 0
    cancelled: list[bytes] = field(default_factory=list)
    cancel_seen: threading.Event = field(default_factory=threading.Event)
    unreachable: bool = False
    stopped: list[tuple[Target, bytes, float]] = field(default_factory=list)

    def watch(self, target: Target) -> FakeWatch:
        """Keep asking for the fingerprint."""
        return FakeWatch(self, target)

    def fingerprint(self, target: Target) -> str:
        self._reach()
        return self.fingerprints[-1]

    def crawl(self, target: Target) -> Catalog:
        self._reach()
        self.crawls += 1
        return make_catalog(self.fingerprints[-1])

    def cancel(self, target: Target, native_id: bytes) -> None:
        self.cancelled.append(native_id)
        self.cancel_seen.set()

    def stop_left_running(self, target: Target, native_id: bytes, age_s: float) -> None:
        self.stopped.append((target, native_id, age_s))

    def _reach(self) -> None:
        if self.unreachable:
            raise DriverError("tcp", "connection refused")


def make_catalog(fingerprint: str) -> Catalog:
    return Catalog(
        engine="fake",
        flavour="fake",
        server_version="1",
        database="db",
        fingerprint=fingerprint,
        crawled_at=datetime.now(UTC),
        relations=(Relation("public", "t", "table", (Column("a", "integer", 1),)),),
        schemas=("public",),
    )


class FakeEngine:
    """What ``registry.engine`` would return."""

    spec = EngineSpec("fake", "Fake", "fake", 1, frozenset(), "fake", "fake", "", "")

    def __init__(self) -> None:
        self.fake_driver = FakeDriver()
        self.fake_analyzer = FakeAnalyzer()

    def analyzer(self):
        return self.fake_analyzer

    def session(self, config: SessionConfig) -> FakeSession:
        return FakeSession(config)

    def driver(self):
        return self.fake_driver
