"""Retention cuts whole beginnings up to a signed head, and verification still proves the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querykeep_api.auditlog.checkpoints import make_checkpoint
from querykeep_api.auditlog.ingest import ingest
from querykeep_api.auditlog.models import Event, Record, SpoolState, Statement
from querykeep_api.auditlog.retention import trim
from querykeep_api.auditlog.verification import verify

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def take(records) -> None:
    ingest(records, service="proxy", ep="proxy-1", now=NOW)


@pytest.fixture
def store(spool, audit_files: Path) -> None:
    """Seven records under a full checkpoint; the last is a start whose completion comes later."""
    spool.session()
    spool.statement("SELECT 'old'")
    spool.write(spool.started("SELECT 'reaches over'"))
    take(spool.records)
    make_checkpoint(NOW)
    spool.statement("SELECT 'new'")
    take(spool.records)
    make_checkpoint(NOW + timedelta(minutes=1))


def test_cut_and_verify(spool, store: None) -> None:
    later = NOW + timedelta(days=31)
    assert trim(later, days=32, check=lambda: None).records == 0
    trimmed = trim(later, days=30, check=lambda: None)
    assert (trimmed.records, trimmed.spools) == (6, (("proxy-a", 6),))
    assert list(
        Record.objects.filter(spool_id="proxy-a").order_by("sequence").values_list("sequence")
    ) == [(7,), (8,)]
    assert set(Statement.objects.filter(has_start=True).values_list("statement", flat=True)) == {
        "SELECT 'new'"
    }
    event = Event.objects.get()
    assert event.kind == "audit.trimmed"
    assert json.loads(event.after) == {"last_removed": {"proxy-a": "6"}}
    report = verify()
    assert report.findings == []
    # The chain goes on.
    spool.statement()
    take(spool.records[8:])
    assert verify().findings == []
    assert trim(later, days=30, check=lambda: None).records == 0


def test_completion_left_of_a_cut_statement_is_consistent(spool, audit_files: Path) -> None:
    start = spool.started("SELECT 'reaches over'")
    spool.write(start)
    take(spool.records)
    make_checkpoint(NOW)
    spool.write(spool.completed(start))
    take(spool.records)
    make_checkpoint(NOW + timedelta(minutes=1))
    assert trim(NOW + timedelta(days=31), days=30, check=lambda: None).records == 1
    row = Statement.objects.get()
    assert (row.has_start, row.outcome) == (False, "ok")
    assert verify().findings == []


def test_a_hole_that_pretends_to_be_retention(store: None) -> None:
    row = Record.objects.get(spool_id="proxy-a", sequence=4)
    Record.objects.filter(spool_id="proxy-a", sequence__lte=4).delete()
    SpoolState.objects.filter(spool_id="proxy-a").update(trimmed=4, trimmed_hash=row.hash)
    found = {(f.kind, f.place) for f in verify().findings}
    assert ("gap", "proxy-a#1") in found


def test_stop_in_between_stays_consistent(store: None) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        trim(NOW + timedelta(days=31), days=30, check=check)
    assert Record.objects.filter(spool_id="proxy-a").count() == 8
    assert verify().findings == []
    assert trim(NOW + timedelta(days=31), days=30, check=lambda: None).records == 6
    assert verify().findings == []
