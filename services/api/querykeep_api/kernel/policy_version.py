"""The policy version: raised with each write that can change what someone may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.db import connection, transaction
from django.db.models import F

from querykeep_api.kernel import hints
from querykeep_api.kernel.models import PolicyChange, PolicyVersion

ChangeKind = Literal["user", "connection", "session", "all"]

# More changes than this are told as one "all": an enforcement point then asks for every session.
MAX_CHANGES = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One change after a version."""

    kind: str
    id: str


def raise_version(kind: ChangeKind, subject_id: str = "") -> int:
    """Count one policy change inside the caller's transaction and hint at it after commit.

    Raises:
        RuntimeError: Called outside a transaction: the version could then be seen before the write.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a policy version must be raised in the transaction of its write")
    if not PolicyVersion.objects.filter(pk=1).update(value=F("value") + 1):
        PolicyVersion.objects.create(pk=1, value=1)
    version = PolicyVersion.objects.values_list("value", flat=True).get(pk=1)
    PolicyChange.objects.create(version=version, kind=kind, subject_id=subject_id)
    transaction.on_commit(lambda: hints.publish(version, kind, subject_id))
    return version


def current_version() -> int:
    """Return the current policy version (0 before the first change)."""
    value = PolicyVersion.objects.filter(pk=1).values_list("value", flat=True).first()
    return value or 0


def changes_since(version: int) -> tuple[int, tuple[Change, ...]]:
    """Return (current version, changes after ``version``), each subject once.

    A caller from before the oldest kept change, or with a version of another installation, is told
    ``all``.
    """
    current = current_version()
    if version == current:
        return current, ()
    if version > current:
        return current, (Change("all", ""),)
    rows = list(
        PolicyChange.objects.filter(version__gt=version, version__lte=current)
        .order_by("version")
        .values_list("kind", "subject_id")[: MAX_CHANGES + 1]
    )
    if len(rows) != current - version or len(rows) > MAX_CHANGES:
        return current, (Change("all", ""),)
    return current, tuple(Change(kind, subject) for kind, subject in dict.fromkeys(rows))
