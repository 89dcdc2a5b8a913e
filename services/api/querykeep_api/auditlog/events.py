"""What the API itself records: administration, sign-ins to the web UI, tokens, chain findings.

An ``ApiEvent`` travels in the chain of the spool ``api`` like any event of an enforcement point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from querykeep_guard.audit.chain import EVENT_TYPES
from querykeep_guard.contracts.audit import AuditEvent, SpoolRecord
from querykeep_guard.contracts.codec import ContractError, from_json

API_SPOOL = "api"
"""The spool that only the API writes; a service that sends records for it is refused."""


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """One event of the API. ``before`` and ``after`` are canonical JSON texts, empty when nothing
    changed; none of the fields may hold a secret: the writer of the outbox row sees to that."""

    at: datetime
    kind: str
    summary: str
    actor_id: str = ""
    actor_name: str = ""
    subject_kind: str = ""
    subject_id: str = ""
    subject_name: str = ""
    connection_id: str = ""
    connection_name: str = ""
    address: str = ""
    before: str = ""
    after: str = ""


AnyEvent = AuditEvent | ApiEvent


def event_of(record: SpoolRecord) -> AnyEvent:
    """Return the typed event inside a record.

    Raises:
        ContractError: Unknown type, or a payload of another shape.
    """
    if record.type == ApiEvent.__name__:
        return from_json(ApiEvent, record.payload)
    cls = EVENT_TYPES.get(record.type)
    if cls is None:
        raise ContractError(f"SpoolRecord.type: {record.type!r} is not an audit event")
    event: AuditEvent = from_json(cls, record.payload)
    return event
