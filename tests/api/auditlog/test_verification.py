"""Whoever touches the store is found at the exact place; an untouched store is whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db.models import F

from querykeep_api.auditlog.checkpoints import FULL_EVERY, make_checkpoint
from querykeep_api.auditlog.events import API_SPOOL, ApiEvent
from querykeep_api.auditlog.ingest import append, ingest
from querykeep_api.auditlog.models import Checkpoint, Event, Record, SpoolState, Statement
from querykeep_api.auditlog.projection import record_from_row
from querykeep_api.auditlog.verification import Finding, verify
from querykeep_guard.audit.chain import record_hash

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


@pytest.fixture
def store(spool, second_spool, audit_files: Path) -> Path:
    """Two spools and an API event, half of it under the first checkpoint, all under the second."""
    for each in (spool, second_spool):
        each.session()
        for number in range(5):
            each.statement(f"SELECT {number} FROM {each.spool_id.replace('-', '_')}")
    take(spool.records[:7])
    take(second_spool.records[:7])
    make_checkpoint(NOW)
    take(spool.records)
    take(second_spool.records)
    append([("made", ApiEvent(at=NOW, kind="grant.created", summary="Made."))], now=NOW)
    make_checkpoint(NOW + timedelta(minutes=1))
    return audit_files


def take(records) -> None:
    ingest(records, service="proxy", ep="proxy-1", now=NOW)


def places(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.kind, finding.place) for finding in findings}


def record_at(spool_id: str, sequence: int) -> Record:
    return Record.objects.get(spool_id=spool_id, sequence=sequence)


def test_untouched_store_is_whole(store: Path) -> None:
    report = verify()
    assert report.findings == []
    assert (report.ok, report.records, report.spools) == (True, 27, 3)
    assert (report.statements, report.events, report.checkpoints) == (10, 7, 2)
    assert report.covered_until == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("sequence", [1, 6, 13])
@pytest.mark.parametrize(
    "change",
    [
        {"payload": '{"forged": 1}'},
        {"payload": "no json"},
        {"at": NOW},
        {"type": "SignInRefused"},
        {"hash": b"h" * 32},
        {"event_id": "another"},
    ],
)
def test_changed_record(store: Path, sequence: int, change: dict[str, object]) -> None:
    Record.objects.filter(spool_id="proxy-a", sequence=sequence).update(**change)
    report = verify()
    assert ("changed", f"proxy-a#{sequence}") in places(report.findings)
    assert {f.spool_id for f in report.findings if f.spool_id} == {"proxy-a"}


def test_changed_record_with_a_fitting_hash(store: Path) -> None:
    row = record_at("proxy-a", 6)
    payload = {**json.loads(row.payload), "statement": "SELECT 'harmless'"}
    digest = record_hash(
        row.spool_id, row.sequence, row.event_id, row.at, row.type, payload, bytes(row.prev_hash)
    )
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    Record.objects.filter(pk=row.pk).update(payload=text, hash=digest)
    assert ("relinked", "proxy-a#7") in places(verify().findings)


def test_chain_computed_anew_from_a_change_on(store: Path) -> None:
    prev = bytes(record_at("proxy-a", 3).hash)
    for row in Record.objects.filter(spool_id="proxy-a", sequence__gt=3).order_by("sequence"):
        payload = json.loads(row.payload)
        payload["session_id"] = "someone-else"
        digest = record_hash(
            row.spool_id, row.sequence, row.event_id, row.at, row.type, payload, prev
        )
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        Record.objects.filter(pk=row.pk).update(payload=text, prev_hash=prev, hash=digest)
        prev = digest
    found = places(verify().findings)
    assert {("rewritten", "proxy-a#7"), ("rewritten", "proxy-a#13")} <= found


@pytest.mark.parametrize("sequence", [1, 4, 12])
def test_removed_record(store: Path, sequence: int) -> None:
    record_at("proxy-b", sequence).delete()
    found = [f for f in verify().findings if f.kind == "gap"]
    assert places(found) == {("gap", f"proxy-b#{sequence}")}


def test_inserted_record(store: Path) -> None:
    row = record_at("proxy-a", 6)
    row.pk, row.event_id = None, "inserted"
    row.save(force_insert=True)
    assert ("duplicate", "proxy-a#6") in places(verify().findings)


def test_record_inserted_by_moving_the_others_on(store: Path) -> None:
    row = record_at("proxy-a", 6)
    Record.objects.filter(spool_id="proxy-a", sequence__gte=6).update(sequence=F("sequence") + 1)
    row.pk, row.event_id = None, "inserted"
    row.save(force_insert=True)
    found = places(verify().findings)
    assert ("changed", "proxy-a#6") in found
    assert ("changed", "proxy-a#7") in found


def test_reordered_records(store: Path) -> None:
    first, second = record_at("proxy-a", 8), record_at("proxy-a", 9)
    Record.objects.filter(pk=first.pk).update(sequence=9)
    Record.objects.filter(pk=second.pk).update(sequence=8)
    found = places(verify().findings)
    assert {("changed", "proxy-a#8"), ("changed", "proxy-a#9")} <= found


@pytest.mark.parametrize("kept", [12, 9, 6, 0])
def test_truncated_tail(store: Path, kept: int) -> None:
    Record.objects.filter(spool_id="proxy-a", sequence__gt=kept).delete()
    # Whoever can delete records can hide it in the state as well.
    SpoolState.objects.filter(spool_id="proxy-a").update(acknowledged=kept, highest=kept)
    kind = "spool_removed" if kept == 0 else "tail_removed"
    found = [f for f in verify().findings if f.kind == kind]
    assert places(found) == {(kind, f"proxy-a#{kept + 1}")}
    assert "checkpoint 2" in found[0].message


def test_tail_and_its_checkpoints_removed_from_the_database(store: Path) -> None:
    Record.objects.filter(spool_id="proxy-a", sequence__gt=7).delete()
    SpoolState.objects.filter(spool_id="proxy-a").update(acknowledged=7, highest=7)
    Checkpoint.objects.filter(number=2).delete()
    found = places(verify().findings)
    assert {("tail_removed", "proxy-a#8"), ("checkpoint_removed", "checkpoint 2")} <= found
    # The next checkpoint does not paper over it.
    make_checkpoint(NOW + timedelta(minutes=2))
    found = places(verify().findings)
    assert {("tail_removed", "proxy-a#8"), ("checkpoint_removed", "checkpoint 3")} <= found


def test_whole_spool_removed_without_a_trace_in_the_database(store: Path) -> None:
    Record.objects.filter(spool_id="proxy-b").delete()
    SpoolState.objects.filter(spool_id="proxy-b").delete()
    assert ("spool_removed", "proxy-b#1") in places(verify().findings)


def test_two_spools_swapped(store: Path) -> None:
    Record.objects.filter(spool_id="proxy-a").update(spool_id="swap")
    Record.objects.filter(spool_id="proxy-b").update(spool_id="proxy-a")
    Record.objects.filter(spool_id="swap").update(spool_id="proxy-b")
    found = places(verify().findings)
    expected = {("changed", f"{name}#{n}") for name in ("proxy-a", "proxy-b") for n in range(1, 14)}
    assert expected <= found


def test_spool_that_never_sent_anything(store: Path) -> None:
    row = record_at("proxy-a", 1)
    row.pk, row.event_id, row.spool_id = None, "planted", "planted"
    row.save(force_insert=True)
    assert ("duplicate", "planted#1") in places(verify().findings)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"statement": "SELECT 'nothing'"}, "statement"),
        ({"username": "someone"}, "username"),
        ({"verdict": "denied"}, "verdict"),
        ({"rows": 0}, "rows"),
        ({"outcome": "error"}, "outcome"),
        ({"started_at": NOW}, "started_at"),
        ({"search_text": ""}, "search_text"),
        ({"has_start": False}, "has_start"),
    ],
)
def test_statement_row_edited(store: Path, change: dict[str, object], field: str) -> None:
    Statement.objects.filter(pk="proxy-a-statement-2").update(**change)
    report = verify()
    assert len(report.findings) in (1, 2)
    first = report.findings[0]
    assert first.kind == "row_changed"
    assert first.place in ("proxy-a#6", "proxy-a#7")
    assert field in first.message


def test_statement_and_event_rows_removed_or_planted(store: Path) -> None:
    Statement.objects.filter(pk="proxy-a-statement-2").delete()
    Event.objects.filter(pk="proxy-b-event-3").delete()
    Statement.objects.create(id="planted", has_start=True, started_at=NOW)
    Event.objects.create(id="planted-event", at=NOW, kind="grant.created")
    found = places(verify().findings)
    assert ("row_inserted", "statement planted") in found
    assert ("row_inserted", "event planted-event") in found
    assert ("row_removed", "proxy-b#3") in found
    assert ("row_removed", "proxy-a#7") in found or ("row_removed", "proxy-a#6") in found


def test_completion_invented_for_a_statement_that_never_ended(spool, audit_files: Path) -> None:
    take([spool.write(spool.started())])
    Statement.objects.update(outcome="ok", completed_at=NOW)
    assert places(verify().findings) == {("row_changed", "proxy-a#1")}


def test_event_row_edited(store: Path) -> None:
    Event.objects.filter(pk="made").update(summary="Something else.")
    assert places(verify().findings) == {("row_changed", f"{API_SPOOL}#1")}


def test_checkpoint_edited_in_the_database(store: Path) -> None:
    row = Checkpoint.objects.get(number=1)
    Checkpoint.objects.filter(number=1).update(body=row.body.replace("proxy-a", "proxy-x"))
    found = places(verify().findings)
    assert ("checkpoint_changed", "checkpoint 1") in found


def test_checkpoint_file_edited_or_cut(store: Path) -> None:
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(lines[0].replace(b"proxy-a", b"proxy-x") + lines[1])
    found = places(verify().findings)
    assert ("checkpoint_forged", f"{store.name}:1") in found
    store.write_bytes(lines[0])
    assert ("checkpoint_removed", "checkpoint 2") in places(verify().findings)


def test_checkpoint_of_another_installation_is_not_believed(store: Path, settings) -> None:
    key = settings.QUERYKEEP.secret_file
    key.write_text("A" * 43 + "=")
    report = verify()
    assert ("checkpoint_changed", "checkpoint 1") in places(report.findings)
    assert report.covered_until is None


def test_torn_last_line_of_the_file_does_not_stop_the_next(store: Path) -> None:
    whole = store.read_bytes()
    store.write_bytes(whole[:-20])
    make_checkpoint(NOW + timedelta(minutes=2))
    report = verify()
    assert places(report.findings) == {("checkpoint_forged", f"{store.name}:2")}


def test_since_starts_at_a_signed_head_and_still_finds_what_follows(
    spool, audit_files: Path
) -> None:
    for minute in range(FULL_EVERY + 2):
        spool.statement()
        take(spool.records[-2:])
        make_checkpoint(NOW + timedelta(minutes=minute))
    since = NOW + timedelta(minutes=FULL_EVERY, seconds=1)
    report = verify(since)
    assert report.findings == []
    assert report.covered_from == NOW + timedelta(minutes=FULL_EVERY)
    assert report.records == 2
    Record.objects.filter(sequence=len(spool.records) - 1).update(payload="{}")
    assert ("changed", f"proxy-a#{len(spool.records) - 1}") in places(verify(since).findings)


def test_what_arrived_flagged_stays_found(spool, audit_files: Path) -> None:
    spool.statement()
    spool.statement()
    take(spool.records[:2] + spool.records[3:])
    make_checkpoint(NOW)
    found = places(verify().findings)
    assert ("gap", "proxy-a#3") in found


def test_stored_record_is_the_sent_one(spool) -> None:
    spool.session()
    spool.statement("SELECT '한글', 1.5, NULL")
    take(spool.records)
    rows = Record.objects.order_by("sequence")
    assert [record_from_row(row) for row in rows] == spool.records
