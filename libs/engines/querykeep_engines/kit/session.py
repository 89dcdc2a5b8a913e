"""The sans-IO seam between an engine's session and the relay's shell.

A session is a pure state machine: ``handle(event)`` returns commands at once; it never blocks,
reads no clock and makes no randomness. The shell (``querykeep_relay``) runs the commands in order
and waits for each: an ``Audit`` is in the spool before the ``ToServer`` behind it is sent, and
``ToClient`` waits for a slow reader, which is all the backpressure there is. Events are in the past
tense, commands imperative.

    shell                                   session
      │ ClientBytes(b"Q…select…")              │
      │───────────────────────────────────────▶│
      │                        Decide(7, text) │
      │◀───────────────────────────────────────│
      │ Decided(7, decisions)                  │
      │───────────────────────────────────────▶│
      │        Audit(started), ToServer(b"Q…") │
      │◀───────────────────────────────────────│
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from querykeep_guard.contracts.audit import AuditEvent, StatementStarted
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
    SignInRefusal,
)
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext


class Side(enum.Enum):
    """An end of the pipe."""

    CLIENT = "client"
    SERVER = "server"


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientConnected:
    """The client's transport is there. MySQL greets on it; PostgreSQL waits."""


@dataclass(frozen=True, slots=True)
class ClientBytes:
    """Bytes came from the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ServerBytes:
    """Bytes came from the target."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """The handshake that ``StartTls`` asked for is done. ``channel_binding`` is the
    ``tls-server-end-point`` hash of our own (CLIENT) or the target's (SERVER) certificate."""

    side: Side
    channel_binding: bytes = b""


@dataclass(frozen=True, slots=True)
class Challenged:
    """Answer to ``Challenge``: what to send to the client (SCRAM: server-first-message)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Answer to ``Prove``: the API knows the client and opened a session. ``data`` is what the
    mechanism sends last (SCRAM: server-final-message)."""

    grant: SessionGrant
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SignInFailed:
    """Answer to ``Challenge`` or ``Prove``: turned away, for a reason that may be told."""

    refusal: SignInRefusal


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection to the target that ``Connect`` asked for stands."""


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The target could not be reached (``dns``, ``tcp``, ``tls``, ``timeout``)."""

    stage: str
    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A side closed its transport (end of stream or reset)."""

    side: Side


@dataclass(frozen=True, slots=True)
class Decided:
    """Answer to ``Decide``: one decision per statement of the text, in order; or a syntax error,
    as one decision with ``denied_by == "syntax"``."""

    request_id: int
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The session's policy was replaced; decisions and mask plans made before are void for what
    has not yet been sent on."""

    policy: SessionPolicy


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The session must end now (revoked, killed, drained, limit). The session answers with what its
    protocol can say, ``Audit(StatementCompleted…killed)`` for what runs, then ``Close``."""

    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Someone asked to cancel the running statement: the client by its protocol's own means, or an
    admin (``by_admin``) or a time limit (``time_limit``)."""

    by_admin: bool = False
    time_limit: bool = False


Event = (
    ClientConnected
    | ClientBytes
    | ServerBytes
    | TlsStarted
    | Challenged
    | SignedIn
    | SignInFailed
    | Connected
    | ConnectFailed
    | Closed
    | Decided
    | PolicyChanged
    | EndRequested
    | CancelRequested
)


_UNKNOWN_CLIENT = ClientInfo(address="")


# --- commands -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send to the client; waits until the transport took it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ToServer:
    """Send to the target; waits until the transport took it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Start TLS on a side (as server towards the client, as client towards the target). The shell
    answers ``TlsStarted`` or ends the session. No byte may be buffered in the session for that side
    (it refuses with a protocol error if there is one)."""

    side: Side


@dataclass(frozen=True, slots=True)
class Challenge:
    """Ask for the challenge of a mechanism. ``mechanism``: ``SCRAM-SHA-256`` or
    ``SCRAM-SHA-256-PLUS`` (``data`` = client-first-message-bare, with ``gs2_header`` and, for PLUS,
    the expected ``channel_binding``)."""

    username: str
    mechanism: str
    data: bytes
    gs2_header: bytes = b"n,,"
    channel_binding: bytes = b""
    client: ClientInfo = _UNKNOWN_CLIENT
    database: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Prove:
    """Pass the client's proof on. SCRAM: ``data`` = client-final-message of the last challenge.
    ``mysql_native_password`` and ``caching_sha2_password``: ``data`` = the response, ``nonce`` =
    the 20 bytes of our greeting. The shell fills ``client.address``."""

    username: str
    mechanism: str
    data: bytes
    nonce: bytes = b""
    client: ClientInfo = _UNKNOWN_CLIENT
    database: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the transport to the granted target; answered by ``Connected`` or ``ConnectFailed``."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Judge a text under a context; answered by ``Decided``. The session takes no further client
    byte while one is open (it buffers within its limits, and pauses the client beyond them)."""

    request_id: int
    text: str
    context: SessionContext
    protocol: str = "simple"


@dataclass(frozen=True, slots=True)
class Audit:
    """Write an event to the spool; durable before the next command runs. When the spool is full the
    shell answers with ``EndRequested(SPOOL_FULL)`` and drops the commands behind a
    ``StatementStarted``, so that nothing runs unrecorded."""

    event: AuditEvent


@dataclass(frozen=True, slots=True)
class PauseClient:
    """Stop reading from the client until ``ResumeClient``."""


@dataclass(frozen=True, slots=True)
class ResumeClient:
    """Read from the client again."""


@dataclass(frozen=True, slots=True)
class RegisterCancelKey:
    """Make ``key`` (opaque bytes that the client was given) find this session."""

    key: bytes


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """This transport only carries a cancel request for the session behind ``key``."""

    key: bytes


@dataclass(frozen=True, slots=True)
class CancelAtTarget:
    """Cancel what this session runs at the target, over a connection of its own:
    ``engine.driver.cancel(target, native_id)``. Never waits for the answer."""

    native_id: bytes


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """DDL ran or a name was missing: re-read the catalog before the next decision on this
    connection (all sessions of it in this process)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Sign-in is complete at both ends; the session is live."""

    native_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close both transports; the session is over."""

    reason: EndReason
    detail: str = ""


Command = (
    ToClient
    | ToServer
    | StartTls
    | Challenge
    | Prove
    | Connect
    | Decide
    | Audit
    | PauseClient
    | ResumeClient
    | RegisterCancelKey
    | RequestCancel
    | CancelAtTarget
    | CatalogChanged
    | Ready
    | Close
)


class RemoteProtocolError(Exception):
    """The peer broke the protocol or a limit. Raised by decoders, caught by the session, which
    answers in the engine's own code and closes."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds on what a peer may make us hold, in bytes. ``client_message_bytes``: largest message
    from a client (a 50 MB statement passes); ``server_message_bytes``: largest single row or
    message from a target (PostgreSQL itself allows 1 GiB); ``startup_bytes``: as libpq's own bound;
    ``pipeline_messages``: messages held while a decision is open."""

    client_message_bytes: int = 64 * 1024 * 1024
    server_message_bytes: int = 1024 * 1024 * 1024
    startup_bytes: int = 10_000
    pipeline_messages: int = 10_000
    pipeline_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What the shell passes in. ``grant`` is set when the client was authenticated already (editor
    socket, or the agent's redeemed ticket); ``client_auth`` then says whether the client must still
    prove its local password against ``grant.client_verifiers`` (the shell answers ``Challenge`` and
    ``Prove`` from those). ``random_bytes`` and ``new_id`` are the only randomness; ``now`` gives
    (UTC datetime, monotonic seconds)."""

    connection: ConnectionInfo
    route: Route
    client_address: str
    random_bytes: Callable[[int], bytes]
    new_id: Callable[[], str]
    now: Callable[[], tuple[datetime, float]]
    grant: SessionGrant | None = None
    client_auth: bool = True
    client_tls_available: bool = True
    client_tls_required: bool = False
    limits: WireLimits = WireLimits()


class EngineSession(Protocol):
    """Client side and server side of one governed session, back to back."""

    def handle(self, event: Event) -> list[Command]:
        """Take one event, return what to do, in order. Never raises for what a peer sent: a
        protocol error becomes an engine error message and ``Close``."""
        ...

    @property
    def running(self) -> StatementStarted | None:
        """The statement that runs now, for live-session lists and time limits."""
        ...

    @property
    def idle(self) -> bool:
        """True at a point where ending the session loses no running work: no statement runs and no
        transaction is open."""
        ...
