"""Proves that the audit store holds what was recorded, or says exactly where it does not.

Three comparisons: each chain with itself, each chain with the signed checkpoints (database and
file), and the rows that people search with the records they were made from. What no checkpoint
covers yet is said in ``covered_until``. Reads only; a finding never stops the walk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db.models import Exists, OuterRef

from querykeep_api.auditlog.checkpoints import (
    CheckpointBody,
    Head,
    filed_checkpoints,
    root_of,
    stored_checkpoints,
)
from querykeep_api.auditlog.models import AUDIT_DATABASE, Event, Record, SpoolState, Statement
from querykeep_api.auditlog.projection import (
    END_FIELDS,
    EVENT_FIELDS,
    START_FIELDS,
    differences,
    project,
    readable_event,
    record_from_row,
    subject_of,
)
from querykeep_guard.audit.chain import ChainFinding, verify_records
from querykeep_guard.contracts.audit import SpoolRecord
from querykeep_guard.contracts.codec import ContractError

_BATCH = 200
_RECHECKS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. ``kind``: changed, gap, relinked, duplicate, wrong_start, tail_removed, rewritten,
    spool_removed, row_changed, row_removed, row_inserted, checkpoint_changed, checkpoint_removed,
    checkpoint_forged, unreadable. ``place`` names what is at fault for a person."""

    kind: str
    place: str
    message: str
    spool_id: str = ""
    sequence: int = 0
    event_id: str = ""


@dataclass(slots=True)
class VerifyReport:
    """What a walk found and what it covered; ``covered_until`` is the time of the newest genuine
    checkpoint: a tail removed after it would not show."""

    ok: bool = True
    records: int = 0
    spools: int = 0
    statements: int = 0
    events: int = 0
    checkpoints: int = 0
    covered_from: datetime | None = None
    covered_until: datetime | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Note a fault."""
        self.ok = False
        self.findings.append(finding)


@dataclass(slots=True)
class _Signed:
    """What the checkpoints say of one spool: sequence → (hash, number of the checkpoint)."""

    heads: dict[int, tuple[bytes, int]] = field(default_factory=dict)


def verify(since: datetime | None = None) -> VerifyReport:
    """Walk every chain and compare everything with everything.

    Args:
        since: Start at the last complete checkpoint before this time; what stands before it is
            taken from its signed heads. None: from the first record.

    Raises:
        RootKeyError: There is no root key, so that no signature can be checked.
    """
    report = VerifyReport()
    states = {s.spool_id: s for s in SpoolState.objects.using(AUDIT_DATABASE)}
    bases, signed = _check_checkpoints(report, since)
    for state in states.values():
        if since is None and state.trimmed:
            head = Head(state.spool_id, state.trimmed, bytes(state.trimmed_hash))
            bases[state.spool_id] = head
            _check_trim(report, head, signed)
    spool_ids = sorted({*states, *signed})
    for spool_id in spool_ids:
        upper = states[spool_id].highest if spool_id in states else 0
        heads = signed.get(spool_id, _Signed())
        _check_spool(report, spool_id, bases.get(spool_id), heads, upper)
    _check_foreign_spools(report, set(spool_ids))
    _check_orphans(report, since)
    report.spools = len(spool_ids)
    return report


def _check_checkpoints(
    report: VerifyReport, since: datetime | None
) -> tuple[dict[str, Head], dict[str, _Signed]]:
    """Check all checkpoints and return where to start and what must stand where."""
    path: Path = settings.QUERYKEEP.checkpoint_file
    filed: dict[int, bytes] = {}
    for line_number, line in enumerate(filed_checkpoints(path), start=1):
        if line is None or not line.is_genuine():
            message = "is no checkpoint that this installation signed"
            report.add(Finding("checkpoint_forged", f"{path.name}:{line_number}", message))
            continue
        filed[line.opened().number] = line.hash
    stored: set[int] = set()
    walk = _CheckpointWalk(report, since)
    for checkpoint in stored_checkpoints():
        try:
            body = checkpoint.opened()
        except ContractError as error:
            report.add(Finding("checkpoint_changed", "checkpoint", f"cannot be read: {error}"))
            continue
        place = f"checkpoint {body.number}"
        if not checkpoint.is_genuine():
            report.add(Finding("checkpoint_changed", place, "its signature does not fit"))
            continue
        if filed.get(body.number, checkpoint.hash) != checkpoint.hash:
            report.add(Finding("checkpoint_changed", place, "differs from the file"))
        if body.number not in filed:
            report.add(Finding("checkpoint_removed", place, f"is missing in {path.name}"))
        stored.add(body.number)
        walk.take(body, checkpoint.hash)
    for number in sorted(set(filed) - stored):
        message = "stands in the file but not in the database"
        report.add(Finding("checkpoint_removed", f"checkpoint {number}", message))
    for line in filed_checkpoints(path):
        if line is not None and line.is_genuine() and line.opened().number not in stored:
            walk.note(line.opened())
    return walk.bases, walk.signed


class _CheckpointWalk:
    """Follows the checkpoints in order: their links, their roots, and the heads they name."""

    def __init__(self, report: VerifyReport, since: datetime | None) -> None:
        self.report = report
        self.since = since
        self.bases: dict[str, Head] = {}
        self.signed: dict[str, _Signed] = defaultdict(_Signed)
        self._heads: dict[str, Head] = {}
        self._previous: tuple[int, bytes] | None = None
        self._in_step = False

    def take(self, body: CheckpointBody, digest: bytes) -> None:
        """Check one checkpoint against the one before it."""
        place = f"checkpoint {body.number}"
        number, link = self._previous or (0, bytes(32))
        if body.number != number + 1:
            message = f"checkpoints {number + 1}–{body.number - 1} are missing in the database"
            self.report.add(Finding("checkpoint_removed", place, message))
            self._in_step = False
        elif body.previous != link:
            message = "does not continue the checkpoint before it"
            self.report.add(Finding("checkpoint_changed", place, message))
        self._previous = (body.number, digest)
        if body.full:
            self._heads, self._in_step = {}, True
        self._heads.update({head.spool_id: head for head in body.heads})
        if self._in_step and root_of(self._heads) != body.root:
            message = "its root does not fit the heads of the checkpoints up to it"
            self.report.add(Finding("checkpoint_changed", place, message))
        self.note(body)
        if self.since is not None and body.full and body.at <= self.since:
            self.bases = dict(self._heads)
            self.report.covered_from = body.at

    def note(self, body: CheckpointBody) -> None:
        """Remember what a genuine checkpoint says."""
        self.report.checkpoints += 1
        if self.report.covered_until is None or body.at > self.report.covered_until:
            self.report.covered_until = body.at
        for head in body.heads:
            if head.sequence:
                places = self.signed[head.spool_id].heads
                places.setdefault(head.sequence, (head.hash, body.number))


def _check_spool(
    report: VerifyReport, spool_id: str, base: Head | None, signed: _Signed, upper: int
) -> None:
    """Walk one chain from ``base`` on, up to where it stood when verification began."""
    start = base.sequence if base else 0
    last = start
    pending: list[SpoolRecord] = []
    agreed = start

    def records() -> Iterator[SpoolRecord]:
        nonlocal last, agreed
        rows = Record.objects.using(AUDIT_DATABASE).filter(
            spool_id=spool_id, sequence__gt=start, sequence__lte=max(upper, max_head)
        )
        for row in rows.order_by("sequence", "id").iterator(chunk_size=_BATCH):
            try:
                record = record_from_row(row)
            except ContractError:
                record = SpoolRecord(
                    row.spool_id, row.sequence, row.event_id, row.at, row.type,
                    {"": row.payload}, bytes(row.prev_hash), bytes(row.hash),
                )  # fmt: skip
            report.records += 1
            last = max(last, row.sequence)
            head = signed.heads.get(row.sequence)
            if head is not None:
                if head[0] == record.hash:
                    agreed = row.sequence
                else:
                    message = (
                        f"checkpoint {head[1]} was signed over another record; records "
                        f"{agreed + 1}–{row.sequence} were computed anew"
                    )
                    report.add(_place(spool_id, row.sequence, "rewritten", message, row.event_id))
            pending.append(record)
            if len(pending) >= _BATCH:
                _check_rows(report, pending)
                pending.clear()
            yield record

    max_head = max(signed.heads, default=0)
    if base is None:
        found: Iterator[ChainFinding] = verify_records(records())
    else:
        found = verify_records(records(), after_sequence=base.sequence, after_hash=base.hash)
    for fault in found:
        report.add(_place(spool_id, fault.sequence, fault.kind, fault.message))
    _check_rows(report, pending)
    end = max(upper, max_head)
    if last < end:
        witness = signed.heads.get(max_head)
        if witness is not None and max_head > last:
            said = f"checkpoint {witness[1]} was signed when record {max_head} was there"
        else:
            said = f"record {end} had been stored"
        kind = "spool_removed" if last == 0 else "tail_removed"
        place = f"records {last + 1}–{end}" if end > last + 1 else f"record {end}"
        report.add(_place(spool_id, last + 1, kind, f"{place} removed from the end: {said}"))


def _check_rows(report: VerifyReport, records: list[SpoolRecord]) -> None:
    """Compare the searchable rows of these records with what all their records say."""
    suspects = _differing(records, report)
    for _ in range(_RECHECKS):
        # A completion may have arrived between the two reads; a real difference stays.
        if not suspects:
            return
        chosen = [r for r in records if _subject(r) in suspects or r.event_id in suspects]
        suspects = _differing(chosen, None)
    for finding in suspects.values():
        report.add(finding)


def _differing(records: list[SpoolRecord], report: VerifyReport | None) -> dict[str, Finding]:
    subjects = {s for s in map(_subject, records) if s}
    groups: dict[str, list[SpoolRecord]] = defaultdict(list)
    for row in Record.objects.using(AUDIT_DATABASE).filter(subject__in=subjects):
        try:
            groups[row.subject].append(record_from_row(row))
        except ContractError:
            continue  # reported as changed by the walk of its own chain
    for record in records:
        subject = _subject(record)
        if not subject:
            groups[f"\x00{record.event_id}"] = [record]
        elif all(r.event_id != record.event_id for r in groups[subject]):
            groups[subject].append(record)
    made = [project(group) for group in groups.values()]
    statements = {m.statement.id: m.statement for m in made if m.statement is not None}
    events = {event.id: event for m in made for event in m.events}
    mine = {r.event_id for r in records}
    events = {key: event for key, event in events.items() if key in mine}
    if report is not None:
        report.events += len(events)
        report.statements += sum(r.type == "StatementStarted" for r in records)
    found: dict[str, Finding] = {}
    stored = Statement.objects.using(AUDIT_DATABASE).in_bulk(list(statements))
    by_statement = {_subject(r): r for r in records}
    for key, expected in statements.items():
        about = by_statement.get(key)
        if about is not None:
            _compare(found, about, key, stored.get(key), expected, START_FIELDS + END_FIELDS)
    rows = Event.objects.using(AUDIT_DATABASE).in_bulk(list(events))
    by_event = {r.event_id: r for r in records}
    for key, event in events.items():
        _compare(found, by_event[key], key, rows.get(key), event, EVENT_FIELDS)
    return found


def _compare(
    found: dict[str, Finding],
    record: SpoolRecord,
    key: str,
    row: Statement | Event | None,
    expected: Statement | Event,
    fields: tuple[str, ...],
) -> None:
    what = "statement" if isinstance(expected, Statement) else "event"
    if row is None:
        message = f"{what} {key} stands in its record but not among the searchable rows"
        kind = "row_removed"
    else:
        names = differences(row, expected, fields)
        if not names:
            return
        message = f"{what} {key} is not what its records say: {', '.join(names)}"
        kind = "row_changed"
    found[key] = _place(record.spool_id, record.sequence, kind, message, record.event_id)


def _check_trim(report: VerifyReport, head: Head, signed: dict[str, _Signed]) -> None:
    """The cut that retention made must be one that a checkpoint named; anything else is a hole."""
    known = signed.get(head.spool_id, _Signed()).heads.get(head.sequence)
    if known is None or known[0] != head.hash:
        message = f"records 1–{head.sequence} are gone and no checkpoint names where they ended"
        report.add(_place(head.spool_id, 1, "gap", message))


def _check_foreign_spools(report: VerifyReport, known: set[str]) -> None:
    rows = Record.objects.using(AUDIT_DATABASE).exclude(spool_id__in=known)
    for spool_id in rows.order_by("spool_id").values_list("spool_id", flat=True).distinct():
        report.add(_place(spool_id, 1, "duplicate", "records of a spool that never sent any"))


def _check_orphans(report: VerifyReport, since: datetime | None) -> None:
    """Find searchable rows that no record speaks of."""
    has_record = Record.objects.using(AUDIT_DATABASE).filter(subject=OuterRef("id"))
    statements = Statement.objects.using(AUDIT_DATABASE).filter(~Exists(has_record))
    has_event = Record.objects.using(AUDIT_DATABASE).filter(event_id=OuterRef("id"))
    events = Event.objects.using(AUDIT_DATABASE).filter(~Exists(has_event))
    if since is not None:
        statements = statements.filter(started_at__gte=since)
        events = events.filter(at__gte=since)
    for key in statements.values_list("id", flat=True).iterator(chunk_size=_BATCH):
        message = "no record speaks of it"
        report.add(Finding("row_inserted", f"statement {key}", message, event_id=key))
    for key in events.values_list("id", flat=True).iterator(chunk_size=_BATCH):
        report.add(Finding("row_inserted", f"event {key}", "no record speaks of it", event_id=key))


def _subject(record: SpoolRecord) -> str:
    event = readable_event(record)
    return subject_of(event) if event is not None else ""


def _place(spool_id: str, sequence: int, kind: str, message: str, event_id: str = "") -> Finding:
    return Finding(kind, f"{spool_id}#{sequence}", message, spool_id, sequence, event_id)
