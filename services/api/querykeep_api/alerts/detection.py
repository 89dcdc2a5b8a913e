"""Finds bursts of refused sign-ins among the audit events and records each burst once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max

from querykeep_api.auditlog.facade import ApiEvent, Event, append

KIND = "alert.sign_in_burst"
REFUSED = ("sign_in.refused",)
"""Refusals at listeners, and of the web UI and API."""
WINDOW = timedelta(minutes=5)
THRESHOLD = 10
"""So many refusals in the window are no typing error; a lockout starts earlier, for one name."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Many refusals from one address or for one name."""

    by: str
    subject: str
    count: int


def detect_bursts(now: datetime) -> list[Burst]:
    """Record an event for each burst that began in this window; return the new ones."""
    found: list[Burst] = []
    for field, by in (("address", "address"), ("actor_name", "user name")):
        rows = Event.objects.filter(kind__in=REFUSED, at__gte=now - WINDOW, at__lte=now)
        groups = rows.exclude(**{field: ""}).values(field)
        for row in groups.annotate(count=Count("id"), last=Max("at")):
            if row["count"] < THRESHOLD:
                continue
            burst = Burst(by, row[field], row["count"])
            if not _is_told(burst, now) and _record(burst, row["last"], now):
                found.append(burst)
    return found


def _is_told(burst: Burst, now: datetime) -> bool:
    told = Event.objects.filter(kind=KIND, subject_kind=burst.by, subject_name=burst.subject)
    return told.filter(at__gte=now - WINDOW).exists()


def _record(burst: Burst, last: datetime, now: datetime) -> bool:
    name = f"{burst.by}\n{burst.subject}\n{last.isoformat()}"
    event = ApiEvent(
        at=now,
        kind=KIND,
        summary=(
            f"{burst.count} refused sign-ins within {WINDOW.seconds // 60} minutes "
            f"by {burst.by} {burst.subject}."
        ),
        subject_kind=burst.by,
        subject_name=burst.subject,
        address=burst.subject if burst.by == "address" else "",
    )
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]
    return bool(append([(f"burst-{digest}", event)], now=now))
