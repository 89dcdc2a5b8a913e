"""Removes old records, always a whole beginning of a chain and only up to a signed head.

Verification then starts at that head: it proves that what was cut off ended where a checkpoint said
so. Rows that people search go with their records.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from querykeep_api.auditlog.checkpoints import CheckpointBody, Head, stored_checkpoints
from querykeep_api.auditlog.events import ApiEvent
from querykeep_api.auditlog.ingest import append, replace_rows
from querykeep_api.auditlog.models import AUDIT_DATABASE, Event, Record, SpoolState, Statement
from querykeep_api.auditlog.projection import record_from_row
from querykeep_api.kernel.ids import new_id
from querykeep_guard.contracts.audit import SpoolRecord

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What retention removed: number of records, and per spool the last one."""

    records: int
    spools: tuple[tuple[str, int], ...]


def trim(now: datetime, *, days: int, check: Callable[[], None]) -> Trimmed:
    """Remove records that a full checkpoint older than ``days`` covers.

    Args:
        now: The present.
        days: How long records are kept, at least 1.
        check: Called between steps; may raise to stop. What was cut so far stays consistent.
    """
    base = _base(now - timedelta(days=days))
    removed, spools = 0, []
    for head in base.heads if base is not None else ():
        check()
        removed_here = _trim_spool(head, check)
        if removed_here:
            removed += removed_here
            spools.append((head.spool_id, head.sequence))
    if removed:
        event = ApiEvent(
            at=now,
            kind="audit.trimmed",
            summary=f"{removed} audit records older than {days} days removed.",
            subject_kind="audit",
            after=json.dumps({"last_removed": {name: str(number) for name, number in spools}}),
        )
        append([(new_id(), event)], now=now)
    return Trimmed(removed, tuple(spools))


def _base(cutoff: datetime) -> CheckpointBody | None:
    found: CheckpointBody | None = None
    for checkpoint in stored_checkpoints():
        body = checkpoint.opened()
        if body.at >= cutoff:
            break
        if body.full and checkpoint.is_genuine():
            found = body
    return found


def _trim_spool(head: Head, check: Callable[[], None]) -> int:
    states = SpoolState.objects.using(AUDIT_DATABASE).filter(spool_id=head.spool_id)
    # First the mark, then the records: whatever stops this in between, verification starts at the
    # mark, and the next run removes the rest.
    states.filter(trimmed__lt=head.sequence).update(trimmed=head.sequence, trimmed_hash=head.hash)
    removed = 0
    while True:
        check()
        rows = Record.objects.using(AUDIT_DATABASE).filter(
            spool_id=head.spool_id, sequence__lte=head.sequence
        )
        batch = list(rows.order_by("sequence", "id")[:_BATCH])
        if not batch:
            return removed
        with transaction.atomic(using=AUDIT_DATABASE):
            _remove(batch)
        removed += len(batch)


def _remove(batch: list[Record]) -> None:
    subjects = sorted({row.subject for row in batch if row.subject})
    ids = [row.event_id for row in batch]
    Record.objects.using(AUDIT_DATABASE).filter(pk__in=[row.pk for row in batch]).delete()
    Event.objects.using(AUDIT_DATABASE).filter(pk__in=ids).delete()
    Statement.objects.using(AUDIT_DATABASE).filter(pk__in=subjects).delete()
    # A statement or session that reaches over the cut is made anew from what is left of it.
    left: dict[str, list[SpoolRecord]] = defaultdict(list)
    for row in Record.objects.using(AUDIT_DATABASE).filter(subject__in=subjects):
        left[row.subject].append(record_from_row(row))
    replace_rows(list(left.values()))
