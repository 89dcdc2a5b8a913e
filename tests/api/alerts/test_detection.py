"""Bursts of refused sign-ins become one alert each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from querykeep_api.alerts.detection import KIND, THRESHOLD, WINDOW, detect_bursts
from querykeep_api.auditlog.events import ApiEvent
from querykeep_api.auditlog.ingest import append
from querykeep_api.auditlog.models import Event

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def refuse(count: int, *, name: str, address: str, at: datetime = NOW, first: int = 0) -> None:
    events = [
        (
            f"{name}-{address}-{number}",
            ApiEvent(
                at=at - timedelta(seconds=number),
                kind="sign_in.refused",
                summary="Refused.",
                actor_name=name,
                address=address,
            ),
        )
        for number in range(first, first + count)
    ]
    append(events, now=NOW)


def test_below_the_threshold_is_no_burst() -> None:
    refuse(THRESHOLD - 1, name="kim", address="10.0.0.1")
    assert detect_bursts(NOW) == []


def test_one_address_trying_many_names_is_told_once() -> None:
    for number in range(THRESHOLD):
        refuse(1, name=f"user{number}", address="10.0.0.1")
    found = detect_bursts(NOW)
    assert [(burst.by, burst.subject, burst.count) for burst in found] == [
        ("address", "10.0.0.1", THRESHOLD)
    ]
    assert detect_bursts(NOW + timedelta(seconds=30)) == []
    event = Event.objects.get(kind=KIND)
    assert event.address == "10.0.0.1"
    assert str(THRESHOLD) in event.summary


def test_one_name_tried_from_many_addresses() -> None:
    for number in range(THRESHOLD):
        refuse(1, name="admin", address=f"10.0.0.{number}")
    assert [burst.by for burst in detect_bursts(NOW)] == ["user name"]


def test_old_refusals_do_not_count() -> None:
    refuse(THRESHOLD, name="kim", address="10.0.0.1", at=NOW - WINDOW - timedelta(minutes=1))
    assert detect_bursts(NOW) == []


def test_a_new_burst_later_is_a_new_alert() -> None:
    refuse(THRESHOLD, name="kim", address="10.0.0.1")
    assert len(detect_bursts(NOW)) == 2
    later = NOW + timedelta(hours=1)
    refuse(THRESHOLD, name="kim", address="10.0.0.1", at=later, first=THRESHOLD)
    assert len(detect_bursts(later)) == 2
