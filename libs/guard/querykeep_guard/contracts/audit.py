"""Audit events as they leave an enforcement point, and the record that the spool chains.

Texts are whole, never cut. No event holds a secret: ``querykeep_guard.audit`` marks each field.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from querykeep_guard.contracts.session import ClientInfo, EndReason, Route


class Verdict(enum.Enum):
    """What the policy said of a statement."""

    ALLOWED = "allowed"
    MASKED = "masked"
    DENIED = "denied"
    NEEDS_APPROVAL = "needs_approval"
    NEEDS_REASON = "needs_reason"


class Outcome(enum.Enum):
    """How a statement that ran ended. ``UNKNOWN`` is written on recovery after a crash."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    KILLED = "killed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule or grant that took part in a verdict. ``effect``: grant, mask, deny, exempt, relax,
    need_approval, need_reason."""

    id: str
    name: str
    kind: str
    effect: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement may not run, for who words it himself: a code of ``policy.reasons`` with its
    arguments by name. The text of the refusal says the same in English."""

    code: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatementStarted:
    """Written before the statement is sent on, or instead of sending it when it is refused."""

    statement_id: str
    session_id: str
    started_at: datetime
    user_id: str
    username: str
    route: Route
    client: ClientInfo
    connection_id: str
    connection_name: str
    database: str
    statement: str
    kind: str
    objects: tuple[str, ...]
    verdict: Verdict
    rules: tuple[AppliedRule, ...]
    digest: str
    policy_version: int
    catalog_version: str
    error: str = ""
    error_code: str = ""
    protocol: str = "simple"
    parameters: int = 0
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class StatementCompleted:
    """Written when a statement that ran has ended."""

    statement_id: str
    session_id: str
    completed_at: datetime
    outcome: Outcome
    rows: int
    bytes: int
    duration_ms: float
    error: str = ""
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session was opened by an enforcement point."""

    session_id: str
    opened_at: datetime
    user_id: str
    username: str
    route: Route
    client: ClientInfo
    connection_id: str
    connection_name: str
    tls: bool


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A session has ended; ``detail`` is the text that the client was told."""

    session_id: str
    closed_at: datetime
    reason: EndReason
    statements: int
    rows: int
    bytes_to_client: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Someone was turned away at a listener."""

    at: datetime
    connection_id: str
    username: str
    route: Route
    client: ClientInfo
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ResultExported:
    """A person takes a stored result away as a file; recorded before its first byte is sent.

    ``rows`` counts those of the file; ``filtered``: the view left rows out.
    """

    at: datetime
    session_id: str
    statement_id: str
    user_id: str
    username: str
    route: Route
    client: ClientInfo
    connection_id: str
    connection_name: str
    format: str
    file_name: str
    rows: int
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One link of a spool's hash chain.

    ``hash`` = SHA-256 over ``prev_hash`` and the canonical JSON of the other fields; the first
    record of a spool has 32 zero bytes as ``prev_hash``. ``type`` is the class name of the event in
    this module, ``payload`` its JSON. ``event_id`` is unique for ever: the API de-duplicates by it.
    """

    spool_id: str
    sequence: int
    event_id: str
    at: datetime
    type: str
    payload: dict[str, object]
    prev_hash: bytes
    hash: bytes


AuditEvent = (
    StatementStarted
    | StatementCompleted
    | SessionOpened
    | SessionClosed
    | SignInRefused
    | ResultExported
)
