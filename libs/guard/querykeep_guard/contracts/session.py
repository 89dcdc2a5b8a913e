"""What the API hands to an enforcement point (proxy or middleware) when a session opens."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from querykeep_guard.contracts.policy import SessionPolicy


class Route(enum.Enum):
    """The road by which a statement came."""

    EDITOR = "editor"
    AGENT = "agent"
    AGENTLESS = "agentless"
    REQUEST = "request"


class TlsMode(enum.Enum):
    """TLS towards a target, named as libpq names it."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a session's database stands and the stored account for it. Never logged; ``password``
    and ``client_key_pem`` are secrets that live for one session only."""

    engine: str
    flavour: str
    host: str
    port: int
    database: str
    username: str
    password: str
    tls_mode: TlsMode = TlsMode.PREFER
    ca_pem: str = ""
    client_cert_pem: str = ""
    client_key_pem: str = ""
    connect_timeout_s: float = 10.0

    def __repr__(self) -> str:
        """Show the address only: a target in a log line or traceback gives no secret away."""
        return f"Target({self.engine}://{self.host}:{self.port}/{self.database})"


CLIENT_TEXT_CHARS = 256
"""Longest text that a client tells of itself and that is kept: it stands in every audit record."""


def client_text(text: str) -> str:
    """Return what a client tells of itself as it may be kept and shown.

    Cut to ``CLIENT_TEXT_CHARS``; line ends, NUL, directions of writing, lone surrogates and
    whatever else does not print are escaped, so that nobody writes lines of a log by his name.
    """
    if len(text) > CLIENT_TEXT_CHARS:
        text = text[: CLIENT_TEXT_CHARS - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Who is at the other end, as far as it can be known; every field is untrusted text but
    ``address``, which is the peer's true address."""

    address: str
    program: str = ""
    version: str = ""
    host_name: str = ""
    user_name: str = ""

    def kept(self, address: str) -> ClientInfo:
        """Return this as it may be kept, with the peer's true address."""
        return ClientInfo(
            address=address,
            program=client_text(self.program),
            version=client_text(self.version),
            host_name=client_text(self.host_name),
            user_name=client_text(self.user_name),
        )


@dataclass(frozen=True, slots=True)
class ClientVerifiers:
    """What proves that a local client knows a one-time password, without the password.

    Same forms as the API stores for proxy tokens. ``scram_*``: RFC 5802 with SHA-256;
    ``native_stage2`` = SHA1(SHA1(password)); ``caching_stage2`` = SHA256(SHA256(password)).
    """

    scram_salt: bytes
    scram_iterations: int
    scram_stored_key: bytes
    scram_server_key: bytes
    native_stage2: bytes
    caching_stage2: bytes

    def __repr__(self) -> str:
        """Never show verifier bytes."""
        return "ClientVerifiers(…)"


@dataclass(frozen=True, slots=True)
class SessionGrant:
    """A session that the API has just authenticated and opened."""

    session_id: str
    route: Route
    policy: SessionPolicy
    target: Target
    catalog_version: str
    opened_at: datetime
    client_verifiers: ClientVerifiers | None = None
    contract: int = 1


class EndReason(enum.Enum):
    """Why a session ended; told to the client where the protocol can, and always audited."""

    CLIENT_CLOSED = "client_closed"
    TARGET_CLOSED = "target_closed"
    TARGET_UNREACHABLE = "target_unreachable"
    REVOKED = "revoked"
    USER_DISABLED = "user_disabled"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a reason, not a secret
    CONNECTION_DISABLED = "connection_disabled"
    KILLED = "killed"
    EXPIRED = "expired"
    OUTSIDE_HOURS = "outside_hours"
    OUTSIDE_ZONE = "outside_zone"
    IDLE = "idle"
    SESSION_LIMIT = "session_limit"
    LEASE_OVER = "lease_over"
    DRAINED = "drained"
    PROTOCOL_ERROR = "protocol_error"
    RESULT_MISMATCH = "result_mismatch"
    SPOOL_FULL = "spool_full"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class SignInRefusal:
    """Why the API refused a sign-in or a session.

    ``code`` is one of ``bad_credentials`` (unknown user and wrong password alike), ``locked``,
    ``outside_zone``, ``outside_hours``, ``no_grant``, ``tls_required``, ``connection_disabled``,
    ``unknown_database``, ``policy_unreachable``, ``ticket_invalid``.
    """

    code: str
    message: str

    @property
    def end_reason(self) -> EndReason:
        """Why a session that is refused ended; with wrong credentials the client may come again."""
        return _END_REASONS.get(self.code, EndReason.CLIENT_CLOSED)


_END_REASONS = {
    "locked": EndReason.USER_DISABLED,
    "outside_zone": EndReason.OUTSIDE_ZONE,
    "outside_hours": EndReason.OUTSIDE_HOURS,
    "no_grant": EndReason.REVOKED,
    "connection_disabled": EndReason.CONNECTION_DISABLED,
    "policy_unreachable": EndReason.LEASE_OVER,
}


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What a listener must know of a connection before anyone has signed in."""

    id: str
    name: str
    engine: str
    flavour: str
    database: str
    port: int
    server_version: str
    tls_required: bool = False
    enabled: bool = True
