"""Takes records in: idempotent, in any order, and nothing is ever dropped.

A record whose hash, link or place is wrong is stored with a flag and raises a finding, which is
itself an event in the chain ``api``. The answer tells each spool how far nothing is missing, so
that it may trim. Everything happens in one transaction of the audit database, serialized per spool.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from django.db import IntegrityError, models, transaction

from querykeep_api.auditlog.events import API_SPOOL, ApiEvent
from querykeep_api.auditlog.models import AUDIT_DATABASE, Event, Record, SpoolState, Statement
from querykeep_api.auditlog.projection import (
    END_FIELDS,
    EVENT_FIELDS,
    ID_LIMIT,
    START_FIELDS,
    payload_text,
    project,
    readable_event,
    record_from_row,
    storable,
    subject_of,
)
from querykeep_guard.audit.chain import GENESIS_HASH, is_intact, record_hash
from querykeep_guard.contracts.audit import SpoolRecord
from querykeep_guard.contracts.codec import to_json

T = TypeVar("T")

_CHUNK = 400
"""Values in one ``IN (…)``: below SQLite's oldest limit of 999 variables."""
_ATTEMPTS = 4
_MAX_SEQUENCE = 2**63 - 1
_STATE_FIELDS = ("ep", "acknowledged", "head_hash", "highest", "last_seen_at")


class RefusedRecordError(ValueError):
    """A record that no chain can hold: an id too long, a place below 1, or the API's own spool."""


@dataclass(slots=True)
class _Spool:
    """One spool while a batch is taken in: its locked state and what is known of its places."""

    state: SpoolState
    hashes: dict[int, bytes] = field(default_factory=dict)
    stored_ahead: bool = False


@dataclass(frozen=True, slots=True)
class _Finding:
    spool_id: str
    sequence: int
    kind: str
    message: str
    sent: str = ""


def ingest(
    records: Sequence[SpoolRecord], *, service: str, ep: str, now: datetime
) -> dict[str, int]:
    """Store a batch of an enforcement point and return, per spool, how far nothing is missing.

    Args:
        records: Of one or several spools, in any order; those already stored are passed over.
        service: Name of the service that sent them (``proxy``, ``middleware``).
        ep: The process that sent them.
        now: Time of arrival.

    Raises:
        RefusedRecordError: A record cannot be stored anywhere; nothing of the batch is stored.
    """
    for record in records:
        _check(record)
    return _with_retries(records, service, ep, now)


def append(events: Sequence[tuple[str, ApiEvent]], *, now: datetime) -> int:
    """Chain events of the API itself and return how many were new.

    Args:
        events: Pairs of event id and event; an id already stored is passed over.
        now: Time of the links.
    """
    with transaction.atomic(using=AUDIT_DATABASE):
        return _append(events, now)


def _check(record: SpoolRecord) -> None:
    for name in ("spool_id", "event_id", "type"):
        value = getattr(record, name)
        limit = 64 if name == "type" else ID_LIMIT
        if not value or len(value) > limit or storable(value) != value:
            raise RefusedRecordError(
                f"{name} of record {record.sequence} is empty, too long (limit {limit}) or no text"
            )
    if record.spool_id == API_SPOOL:
        raise RefusedRecordError(f"spool {API_SPOOL!r} belongs to the API alone")
    if not 1 <= record.sequence <= _MAX_SEQUENCE:
        raise RefusedRecordError(f"sequence {record.sequence} of {record.spool_id} is out of range")


def _with_retries(
    records: Sequence[SpoolRecord], service: str, ep: str, now: datetime
) -> dict[str, int]:
    for attempt in range(_ATTEMPTS):
        try:
            with transaction.atomic(using=AUDIT_DATABASE):
                return _store(records, service, ep, now)
        except IntegrityError:
            # Another request stored the same event id from another spool at the same moment: the
            # next round sees it and treats it as stored already.
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _store(records: Sequence[SpoolRecord], service: str, ep: str, now: datetime) -> dict[str, int]:
    spools = _lock_spools({r.spool_id for r in records}, service, ep, now)
    known = _known_hashes([r.event_id for r in records])
    findings: list[_Finding] = []
    fresh: dict[str, SpoolRecord] = {}
    for record in sorted(records, key=lambda r: (r.spool_id, r.sequence)):
        earlier = known.get(record.event_id)
        if record.event_id in fresh:
            earlier = fresh[record.event_id].hash
        if earlier is None:
            fresh[record.event_id] = record
        elif earlier != record.hash:
            findings.append(_conflict(record))
    for spool in spools.values():
        if service and spool.state.service != service:
            findings.append(
                _Finding(
                    spool.state.spool_id,
                    1,  # one finding per spool, however many batches follow
                    "foreign",
                    f"service {service!r} sent records of a spool of {spool.state.service!r}",
                )
            )
    _write(list(fresh.values()), spools, findings, now)
    for spool_id, spool in spools.items():
        mine = [r for r in records if r.spool_id == spool_id]
        if all(r.event_id not in fresh for r in mine):
            _give_up_gap(spool, min(r.sequence for r in mine), findings)
    for spool in spools.values():
        spool.state.ep = ep[:ID_LIMIT]
        spool.state.last_seen_at = now
        spool.state.save(using=AUDIT_DATABASE, update_fields=_STATE_FIELDS)
    if findings:
        _append([_finding_event(f, now) for f in findings], now)
    return {spool_id: spool.state.acknowledged for spool_id, spool in spools.items()}


def _append(events: Sequence[tuple[str, ApiEvent]], now: datetime) -> int:
    spools = _lock_spools({API_SPOOL}, "api", "api", now)
    spool = spools[API_SPOOL]
    known = _known_hashes([event_id for event_id, _ in events])
    sequence, prev_hash = spool.state.acknowledged, bytes(spool.state.head_hash)
    records: list[SpoolRecord] = []
    for event_id, event in events:
        if event_id in known:
            continue
        sequence += 1
        payload = to_json(event)
        name = ApiEvent.__name__
        digest = record_hash(API_SPOOL, sequence, event_id, now, name, payload, prev_hash)
        records.append(
            SpoolRecord(API_SPOOL, sequence, event_id, now, name, payload, prev_hash, digest)
        )
        known[event_id] = prev_hash = digest
    findings: list[_Finding] = []
    _write(records, spools, findings, now)
    spool.state.last_seen_at = now
    spool.state.save(using=AUDIT_DATABASE, update_fields=_STATE_FIELDS)
    return len(records)


def _lock_spools(ids: set[str], service: str, ep: str, now: datetime) -> dict[str, _Spool]:
    """Lock the states in order of id; the spool ``api`` is always locked last, by ``_append``."""
    states = SpoolState.objects.using(AUDIT_DATABASE)
    states.bulk_create(
        [
            SpoolState(
                spool_id=spool_id,
                service=service[:64],
                ep=ep[:ID_LIMIT],
                head_hash=GENESIS_HASH,
                trimmed_hash=GENESIS_HASH,
                first_seen_at=now,
                last_seen_at=now,
            )
            for spool_id in sorted(ids)
        ],
        ignore_conflicts=True,
    )
    locked = states.select_for_update().filter(spool_id__in=ids).order_by("spool_id")
    return {state.spool_id: _Spool(state) for state in locked}


def _known_hashes(event_ids: Sequence[str]) -> dict[str, bytes]:
    known: dict[str, bytes] = {}
    rows = Record.objects.using(AUDIT_DATABASE)
    for start in range(0, len(event_ids), _CHUNK):
        part = event_ids[start : start + _CHUNK]
        for event_id, digest in rows.filter(event_id__in=part).values_list("event_id", "hash"):
            known[event_id] = bytes(digest)
    return known


def _write(
    records: list[SpoolRecord],
    spools: dict[str, _Spool],
    findings: list[_Finding],
    now: datetime,
) -> None:
    """Insert new records with their flags, move the acknowledgements on, and project."""
    by_spool: dict[str, list[SpoolRecord]] = defaultdict(list)
    for record in records:
        by_spool[record.spool_id].append(record)
    rows: list[Record] = []
    for spool_id, mine in by_spool.items():
        spool = spools[spool_id]
        _load_places(spool, mine)
        rows.extend(_row(record, spool, findings, now) for record in mine)
        _acknowledge(spool, findings)
    subjects = sorted({row.subject for row in rows if row.subject})
    earlier = _records_of(subjects)
    Record.objects.using(AUDIT_DATABASE).bulk_create(rows)
    _project(records, rows, earlier)


def _load_places(spool: _Spool, records: list[SpoolRecord]) -> None:
    """Learn the hashes of the places that the new records touch or follow."""
    state = spool.state
    spool.stored_ahead = state.highest > state.acknowledged
    spool.hashes[state.acknowledged] = bytes(state.head_hash)
    wanted = {r.sequence for r in records if r.sequence <= state.highest}
    wanted |= {r.sequence - 1 for r in records if r.sequence - 1 <= state.highest}
    wanted -= {0, state.acknowledged}
    for part in _chunks(sorted(wanted)):
        found = Record.objects.using(AUDIT_DATABASE).filter(
            spool_id=state.spool_id, sequence__in=part
        )
        for sequence, digest in found.order_by("-id").values_list("sequence", "hash"):
            spool.hashes[sequence] = bytes(digest)


def _row(record: SpoolRecord, spool: _Spool, findings: list[_Finding], now: datetime) -> Record:
    state = spool.state
    flags: list[str] = []

    def found(kind: str, message: str) -> None:
        flags.append(kind)
        findings.append(_Finding(record.spool_id, record.sequence, kind, message))

    try:
        intact = is_intact(record)
    except UnicodeEncodeError:
        intact = False
    if not intact:
        found("changed", "its hash does not fit its content")
    taken = record.sequence in spool.hashes or record.sequence <= state.trimmed
    if taken:
        found("duplicate", "another record stands at this place already")
    else:
        before = spool.hashes.get(record.sequence - 1)
        if before is not None and before != record.prev_hash:
            found("relinked", "does not continue the record before it")
        spool.hashes[record.sequence] = record.hash
    event = readable_event(record)
    if event is None:
        found("unreadable", f"its {record.type} has a shape that this version does not know")
    state.highest = max(state.highest, record.sequence)
    return Record(
        spool_id=record.spool_id,
        sequence=record.sequence,
        event_id=record.event_id,
        at=record.at,
        type=record.type,
        payload=payload_text(record.payload),
        prev_hash=record.prev_hash,
        hash=record.hash,
        subject=subject_of(event) if event is not None else "",
        flag=" ".join(flags),
        received_at=now,
    )


def _acknowledge(spool: _Spool, findings: list[_Finding]) -> None:
    state = spool.state
    began_at = state.acknowledged
    _advance(spool)
    while spool.stored_ahead and state.acknowledged > began_at:
        # A gap was filled: what arrived early may continue here.
        reached = state.acknowledged
        ahead = Record.objects.using(AUDIT_DATABASE).filter(
            spool_id=state.spool_id, sequence__gt=reached
        )
        places = ahead.order_by("sequence", "id").values_list("sequence", "hash")
        for offset, (sequence, digest) in enumerate(places.iterator(), start=1):
            if sequence > reached + offset:
                break
            spool.hashes.setdefault(sequence, bytes(digest))
        _advance(spool)
        if state.acknowledged == reached:
            break
    if state.highest > state.acknowledged:
        missing = state.acknowledged + 1
        message = f"record {missing} is missing; later ones up to {state.highest} arrived"
        findings.append(_Finding(state.spool_id, missing, "gap", message))
    elif spool.stored_ahead:
        message = f"the missing records from {began_at + 1} on have arrived"
        findings.append(_Finding(state.spool_id, began_at + 1, "gap_closed", message))


def _give_up_gap(spool: _Spool, first: int, findings: list[_Finding]) -> None:
    """Pass over a gap whose records do not exist any more.

    A sender sends from its oldest record on, and again until it is acknowledged. When all that it
    has is stored already and still does not close the gap, nobody has the missing records: the
    audit database lost them, or the sender did. Waiting for ever would fill the spool and stop all
    work; the finding and the hole in the chain stay.
    """
    state = spool.state
    if first <= state.acknowledged + 1:
        return
    missing = f"{state.acknowledged + 1}–{first - 1}"
    message = f"records {missing} are lost: their sender does not have them any more"
    findings.append(_Finding(state.spool_id, state.acknowledged + 1, "lost", message))
    state.acknowledged = first - 1
    rows = Record.objects.using(AUDIT_DATABASE).filter(spool_id=state.spool_id, sequence__gte=first)
    for sequence, digest in rows.order_by("sequence", "id").values_list("sequence", "hash"):
        if sequence > state.acknowledged + 1:
            break
        if sequence == state.acknowledged + 1:
            state.acknowledged, state.head_hash = sequence, bytes(digest)


def _advance(spool: _Spool) -> None:
    state = spool.state
    while state.acknowledged + 1 in spool.hashes:
        state.acknowledged += 1
        state.head_hash = spool.hashes[state.acknowledged]


def _records_of(subjects: Sequence[str]) -> dict[str, list[SpoolRecord]]:
    earlier: dict[str, list[SpoolRecord]] = defaultdict(list)
    for part in _chunks(subjects):
        for row in Record.objects.using(AUDIT_DATABASE).filter(subject__in=part):
            earlier[row.subject].append(record_from_row(row))
    return earlier


def _project(
    records: list[SpoolRecord], rows: list[Record], earlier: dict[str, list[SpoolRecord]]
) -> None:
    groups: dict[str, list[SpoolRecord]] = {}
    for record, row in zip(_in_order_of(rows, records), rows, strict=True):
        key = row.subject or f"\x00{row.event_id}"
        groups.setdefault(key, list(earlier.get(row.subject, ()))).append(record)
    replace_rows(list(groups.values()))


def replace_rows(groups: Sequence[list[SpoolRecord]]) -> None:
    """Write the searchable rows that groups of records make, one group per subject."""
    statements: list[Statement] = []
    events: list[Event] = []
    for group in groups:
        made = project(group)
        if made.statement is not None:
            statements.append(made.statement)
        events.extend(made.events)
    for has_start, has_end, fields in (
        (True, True, START_FIELDS + END_FIELDS),
        (True, False, START_FIELDS),
        (False, True, END_FIELDS),
    ):
        # Only the columns that these records know: a start and a completion that arrive in two
        # transactions at once then complete each other instead of overwriting.
        part = [s for s in statements if s.has_start == has_start and bool(s.outcome) == has_end]
        _upsert(Statement, part, fields)
    _upsert(Event, events, EVENT_FIELDS)


def _in_order_of(rows: list[Record], records: list[SpoolRecord]) -> Iterable[SpoolRecord]:
    by_id = {record.event_id: record for record in records}
    return (by_id[row.event_id] for row in rows)


def _upsert(model: type[models.Model], rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    if rows:
        model._default_manager.using(AUDIT_DATABASE).bulk_create(
            rows, update_conflicts=True, unique_fields=["id"], update_fields=list(fields)
        )


def _conflict(record: SpoolRecord) -> _Finding:
    return _Finding(
        record.spool_id,
        record.sequence,
        "conflict",
        f"event {record.event_id} is stored already with another content",
        sent=json.dumps(to_json(record), sort_keys=True),
    )


def _finding_event(finding: _Finding, now: datetime) -> tuple[str, ApiEvent]:
    """Build a finding's event; its id follows from the fault, so that a re-sent batch raises it
    once."""
    name = f"{finding.spool_id}\n{finding.sequence}\n{finding.kind}\n{finding.sent}"
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    event = ApiEvent(
        at=now,
        kind=f"chain.{finding.kind}",
        summary=f"Audit chain {finding.spool_id}, record {finding.sequence}: {finding.message}.",
        subject_kind="spool",
        subject_id=finding.spool_id,
        subject_name=f"{finding.spool_id}#{finding.sequence}",
        after=finding.sent,
    )
    return f"finding-{digest}", event


def _chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
