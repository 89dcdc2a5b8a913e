"""Ingest: idempotent, in any order, flags and findings instead of loss."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from querykeep_api.auditlog.events import API_SPOOL, ApiEvent
from querykeep_api.auditlog.ingest import RefusedRecordError, append, ingest
from querykeep_api.auditlog.models import Event, Record, SpoolState, Statement
from querykeep_api.auditlog.verification import verify
from querykeep_guard.audit.chain import make_record
from querykeep_guard.contracts.audit import Outcome, ResultExported, SpoolRecord
from querykeep_guard.contracts.session import Route

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def take(records: list[SpoolRecord]) -> dict[str, int]:
    return ingest(records, service="proxy", ep="proxy-1", now=NOW)


def test_statement_is_merged_from_start_and_completion(spool) -> None:
    start = spool.started("SELECT name\nFROM customers")
    assert take([spool.write(start)]) == {"proxy-a": 1}
    row = Statement.objects.get()
    assert (row.has_start, row.outcome, row.statement) == (True, "", start.statement)
    assert take([spool.write(spool.completed(start))]) == {"proxy-a": 2}
    row = Statement.objects.get()
    assert (row.outcome, row.rows, row.bytes, row.duration_ms) == ("ok", 7, 2**40, 12.5)
    assert row.started_at == start.started_at
    assert row.client_program == "psql"


def test_completion_before_start(spool) -> None:
    start = spool.started()
    first, second = spool.write(start), spool.write(spool.completed(start))
    assert take([second]) == {"proxy-a": 0}
    assert Statement.objects.get().has_start is False
    assert take([first]) == {"proxy-a": 2}
    row = Statement.objects.get()
    assert (row.has_start, row.outcome) == (True, "ok")
    assert list(Event.objects.order_by("at", "id").values_list("kind", flat=True)) != []
    assert set(Event.objects.values_list("kind", flat=True)) == {"chain.gap", "chain.gap_closed"}


def test_real_outcome_beats_the_one_of_recovery(spool) -> None:
    start = spool.started()
    spool.write(start)
    spool.write(spool.completed(start, outcome=Outcome.UNKNOWN, completed_at=start.started_at))
    spool.write(spool.completed(start, outcome=Outcome.ERROR, error="division by zero"))
    take(spool.records)
    row = Statement.objects.get()
    assert (row.outcome, row.failure) == ("error", "division by zero")


def test_an_export_is_an_event_about_its_statement(spool, audit_files) -> None:
    start = spool.started()
    spool.write(start)
    spool.write(
        ResultExported(
            at=start.started_at,
            session_id=start.session_id,
            statement_id=start.statement_id,
            user_id="user-1",
            username="analyst",
            route=Route.EDITOR,
            client=start.client,
            connection_id="connection-1",
            connection_name="shop-postgresql",
            format="csv",
            file_name="result.csv",
            rows=2**40,
            filtered=True,
        )
    )
    assert take(spool.records) == {"proxy-a": 2}
    row = Event.objects.get(kind="result.exported")
    assert (row.actor_name, row.subject_kind, row.subject_id) == (
        "analyst",
        "statement",
        start.statement_id,
    )
    assert json.loads(row.after)["rows"] == 2**40
    assert verify().ok


def test_sent_again_changes_nothing(spool) -> None:
    spool.session()
    spool.statement()
    assert take(spool.records) == {"proxy-a": 5}
    before = list(Record.objects.values_list("id", "hash"))
    assert take(spool.records) == {"proxy-a": 5}
    assert list(Record.objects.values_list("id", "hash")) == before
    assert set(Event.objects.values_list("kind", flat=True)) == {
        "session.opened",
        "session.closed",
        "sign_in.refused",
    }
    closed = Event.objects.get(kind="session.closed")
    assert (closed.actor_name, closed.connection_name) == ("analyst", "shop-postgresql")


def test_concurrent_overlapping_batches(spool) -> None:
    for number in range(60):
        spool.statement(f"SELECT {number}")
    records = spool.records
    batches = [records[start : start + 30] for start in range(0, 120, 15)] * 2
    random.Random(4).shuffle(batches)
    failures: list[BaseException] = []
    gate = threading.Barrier(4)

    def post(mine: list[list[SpoolRecord]]) -> None:
        try:
            gate.wait()
            for batch in mine:
                take(batch)
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=post, args=(batches[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Record.objects.exclude(spool_id=API_SPOOL).count() == 120
    assert SpoolState.objects.get(spool_id="proxy-a").acknowledged == 120
    assert Statement.objects.filter(has_start=True, outcome="ok").count() == 60
    assert take(records[-1:]) == {"proxy-a": 120}


def test_gap_is_acknowledged_up_to_it_and_told_once(spool) -> None:
    for _ in range(3):
        spool.statement()
    assert take(spool.records[:2] + spool.records[3:]) == {"proxy-a": 2}
    assert take(spool.records[4:5] + spool.records[:1]) == {"proxy-a": 2}
    finding = Event.objects.get(kind="chain.gap")
    assert finding.subject_name == "proxy-a#3"
    assert take(spool.records[2:3]) == {"proxy-a": 6}
    assert Event.objects.filter(kind="chain.gap_closed").count() == 1


def test_gap_that_its_sender_cannot_fill_does_not_block_it(spool) -> None:
    for _ in range(3):
        spool.statement()
    assert take(spool.records[:2] + spool.records[3:]) == {"proxy-a": 2}
    assert take(spool.records[3:]) == {"proxy-a": 6}
    assert Event.objects.get(kind="chain.lost").subject_name == "proxy-a#3"
    spool.statement()
    assert take(spool.records[6:]) == {"proxy-a": 8}
    # Should the record turn up after all, it takes its place.
    assert take(spool.records[2:3]) == {"proxy-a": 8}
    assert Record.objects.get(spool_id="proxy-a", sequence=3).flag == ""


def test_changed_record_is_stored_with_a_flag_and_a_finding(spool) -> None:
    spool.statement()
    start = spool.started("SELECT 2")
    record = spool.write(start)
    forged = replace(record, payload={**record.payload, "statement": "SELECT 3"})
    assert take([*spool.records[:2], forged]) == {"proxy-a": 3}
    assert Record.objects.get(event_id=record.event_id).flag == "changed"
    assert Event.objects.get(kind="chain.changed").subject_name == "proxy-a#3"
    assert Statement.objects.filter(statement="SELECT 3").exists()


def test_record_that_does_not_continue_its_chain(spool) -> None:
    spool.statement()
    event = spool.started()
    broken = make_record("proxy-a", 3, "other", NOW, event, bytes(32))
    assert take([*spool.records, broken]) == {"proxy-a": 3}
    assert Record.objects.get(event_id="other").flag == "relinked"


def test_second_record_at_one_place_is_kept_too(spool) -> None:
    spool.statement()
    take(spool.records)
    rival = make_record(
        "proxy-a", 2, "rival", NOW, spool.started("SELECT 'rival'"), spool.records[0].hash
    )
    assert take([rival]) == {"proxy-a": 2}
    assert Record.objects.get(event_id="rival").flag == "duplicate"
    assert Statement.objects.filter(statement="SELECT 'rival'").exists()


def test_known_event_with_other_content_is_kept_in_the_finding(spool) -> None:
    spool.statement()
    take(spool.records)
    other = replace(spool.records[0], hash=b"x" * 32)
    assert take([other]) == {"proxy-a": 2}
    finding = Event.objects.get(kind="chain.conflict")
    assert spool.records[0].event_id in finding.after


def test_unreadable_payload_is_stored_and_told(spool) -> None:
    spool.statement()
    payload = {"something": "newer", "n": float("nan")}
    strange = replace(spool.records[0], sequence=3, event_id="new", payload=payload)
    strange = replace(strange, type="SomethingNewer")
    assert take([*spool.records, strange]) == {"proxy-a": 3}
    flags = Record.objects.get(event_id="new").flag.split()
    assert "unreadable" in flags
    assert Event.objects.filter(kind="chain.unreadable").count() == 1


@pytest.mark.parametrize(
    "text",
    [
        "NUL \x00 inside",
        "lone \ud800 surrogate",
        "한글 그대로 🙂",
        "x" * 200_000 + " padded DROP TABLE t",
    ],
)
def test_any_text_is_kept_whole(spool, text: str) -> None:
    start = spool.started()
    record = spool.write(start)
    # A hash over a lone surrogate cannot exist, so such a payload arrives with another's hash.
    record = replace(record, payload={**record.payload, "statement": text})
    take([record])
    row = Statement.objects.get()
    assert len(row.statement) == len(text)
    assert row.statement[-8:] == text[-8:] or "\x00" in text or "\ud800" in text
    assert len(Record.objects.get(spool_id="proxy-a").payload) > len(text)


def test_number_beyond_the_column_is_stored_as_unreadable(spool) -> None:
    start = spool.started()
    spool.write(start)
    spool.write(spool.completed(start, rows=2**70))
    assert take(spool.records) == {"proxy-a": 2}
    assert "unreadable" in Record.objects.get(sequence=2, spool_id="proxy-a").flag
    assert Statement.objects.get().outcome == ""


def test_the_apis_own_spool_is_closed_to_services(spool) -> None:
    spool.spool_id = API_SPOOL
    spool.statement()
    with pytest.raises(RefusedRecordError, match="belongs to the API"):
        take(spool.records)
    assert Record.objects.count() == 0


def test_api_events_are_chained_once() -> None:
    event = ApiEvent(at=NOW, kind="grant.created", summary="Grant made.", actor_name="admin")
    assert append([("e1", event), ("e2", event)], now=NOW) == 2
    assert append([("e2", event), ("e3", event)], now=NOW + timedelta(seconds=1)) == 1
    rows = list(Record.objects.filter(spool_id=API_SPOOL).order_by("sequence"))
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert bytes(rows[2].prev_hash) == bytes(rows[1].hash)
    assert Event.objects.filter(kind="grant.created").count() == 3


def test_spool_of_another_service_raises_a_finding(spool) -> None:
    spool.statement()
    take(spool.records[:1])
    done = ingest(spool.records, service="middleware", ep="m-1", now=NOW)
    assert done == {"proxy-a": 2}
    spool.statement()
    ingest(spool.records[2:], service="middleware", ep="m-1", now=NOW)
    assert Event.objects.filter(kind="chain.foreign").count() == 1
