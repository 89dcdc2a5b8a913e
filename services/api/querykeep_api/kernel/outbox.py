"""The outbox: an admin event is written in the transaction of the write that it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import connection

from querykeep_api.kernel.context import current_request
from querykeep_api.kernel.models import OutboxEvent

SYSTEM_NAME = "system"


class Actor(Protocol):
    """Who did it: a user, or None for the system itself."""

    @property
    def id(self) -> str:
        """Opaque id."""

    @property
    def username(self) -> str:
        """Name for people."""


@dataclass(frozen=True, slots=True)
class SubjectRef:
    """What it was done to. ``connection_id`` where the event is about one connection."""

    kind: str
    id: str
    name: str
    connection_id: str = ""


def record(
    kind: str,
    *,
    actor: Any,
    subject: SubjectRef,
    summary: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> OutboxEvent:
    """Write an event inside the caller's transaction.

    Args:
        kind: ``area.verb`` in the past tense, such as ``grant.created``.
        actor: An ``Actor``, or None for the system.
        before: Changed fields as they were; never a secret.
        after: Changed fields as they are; never a secret.
        address: Client address; the current request's by default.

    Raises:
        RuntimeError: Called outside a transaction: a crash could then keep one without the other.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an event must be recorded in the transaction of its write")
    context = current_request()
    return OutboxEvent.objects.create(
        kind=kind,
        actor_id=actor.id if actor is not None else "",
        actor_name=actor.username if actor is not None else SYSTEM_NAME,
        subject_kind=subject.kind,
        subject_id=subject.id,
        subject_name=subject.name,
        connection_id=subject.connection_id,
        summary=summary,
        before=dict(before) if before is not None else None,
        after=dict(after) if after is not None else None,
        address=context.address if address is None else address,
        request_id=context.request_id,
    )


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of two snapshots that differ, as (before, after)."""
    keys = [key for key in after if before.get(key) != after[key]]
    return {key: before.get(key) for key in keys}, {key: after[key] for key in keys}
