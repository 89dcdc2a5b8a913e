"""Live sessions: heartbeats, ends and cancels asked for, silent enforcement points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from querykeep_api.dbam.models import EnforcementPoint, LiveSession
from querykeep_api.dbam.standing import DELETED, End, standing, with_relations
from querykeep_api.iam.facade import User, WebSession
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Forbidden
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.policy_version import Change, changes_since, raise_version
from querykeep_guard.contracts.session import EndReason, Route

SILENT_AFTER = timedelta(seconds=30)
SILENT = "ep_silent"
LOST = "lost"
REVIVABLE = (SILENT, LOST)
"""Ends that we only inferred: a report that names the session again takes them back. A late
heartbeat, written before the session opened, must not end it."""
# A grant is given before the enforcement point can list its session: until then it is not missed.
_UNLISTED_GRACE = timedelta(seconds=20)
_SEEN_GRAIN = timedelta(seconds=2)
_WEB_SEEN_GRAIN = timedelta(seconds=60)
_SHOWN_STATEMENT_CHARS = 20_000
_KEPT_ENDED = timedelta(days=1)


ROUTES_OF: Mapping[str, tuple[str, ...]] = {
    "middleware": (Route.EDITOR.value, Route.REQUEST.value),
    "proxy": (Route.AGENT.value, Route.AGENTLESS.value),
}
"""The sessions that each service runs: it is told of no others, and reports on no others."""


def sessions_of(service: str) -> QuerySet[LiveSession]:
    """Return the sessions that a service may ask about."""
    return LiveSession.everything.filter(route__in=ROUTES_OF[service])


@dataclass(frozen=True, slots=True)
class SessionReport:
    """A live session as its enforcement point tells it."""

    id: str
    state: str = "idle"
    statement_id: str | None = ""
    statement: str | None = ""
    since: datetime | None = None
    rows: int = 0
    bytes: int = 0
    client_program: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session that ended at its enforcement point."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What an enforcement point reports every 500 ms."""

    ep: str
    kind: str = ""
    address: str = ""
    since: int = 0
    sessions: tuple[SessionReport, ...] = ()
    ended: tuple[SessionEnded, ...] = ()


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """What it is told."""

    version: int
    changes: tuple[Change, ...]
    end: tuple[tuple[str, End], ...]
    cancel: tuple[str, ...]


def take_heartbeat(beat: Heartbeat, *, service: str) -> HeartbeatAnswer:
    """Take a report: refresh rows, close ended ones, and say what must change.

    Raises:
        Forbidden: The enforcement point belongs to another service.
    """
    now = clock.now()
    _note_enforcement_point(beat, service, now)
    if beat.ended:
        close_sessions(service, beat.ended)
    version, changes = changes_since(beat.since)
    rows = {
        row.pk: row
        for row in sessions_of(service).filter(
            Q(ep=beat.ep, ended_at=None) | Q(pk__in=[item.id for item in beat.sessions])
        )
    }
    ended_now = {item.id for item in beat.ended}
    _refresh(beat, rows, now)
    end: dict[str, End] = {}
    cancel: list[str] = []
    for report in beat.sessions:
        row = rows.get(report.id)
        if report.id in ended_now:
            continue
        if row is None:
            end[report.id] = End(EndReason.REVOKED, DELETED)
        elif row.ended_at is not None and row.ended_reason not in REVIVABLE:
            end[report.id] = End(EndReason.KILLED, "The session was closed.")
        elif row.end_reason:
            end[report.id] = End(EndReason(row.end_reason), row.end_message)
        elif row.cancel_requested_at is not None:
            cancel.append(report.id)
    if cancel:
        LiveSession.everything.filter(pk__in=cancel).update(cancel_requested_at=None)
    if changes:
        listed = [item.id for item in beat.sessions if item.id not in end]
        end.update(ends_of(listed, changes))
    return HeartbeatAnswer(version, changes, tuple(end.items()), tuple(cancel))


def ends_of(session_ids: Sequence[str], changes: Iterable[Change]) -> dict[str, End]:
    """Return those sessions that the changes concern and that must end."""
    sessions = LiveSession.everything.filter(pk__in=session_ids)
    kinds = {change.kind for change in changes}
    if "all" not in kinds:
        concerned = Q(pk__in=[])
        for change in changes:
            match change.kind:
                case "user":
                    concerned |= Q(user_id=change.id)
                case "connection":
                    concerned |= Q(connection_id=change.id)
                case "session":
                    concerned |= Q(pk=change.id)
        sessions = sessions.filter(concerned)
    now = clock.now()
    found = {}
    for session in with_relations(sessions):
        end = standing(session, now)
        if end is not None:
            found[session.pk] = end
    return found


def close_sessions(service: str, ended: Iterable[SessionEnded]) -> None:
    """Note sessions that ended at their enforcement point."""
    now = clock.now()
    with transaction.atomic():
        for item in ended:
            sessions_of(service).filter(
                Q(ended_at=None) | Q(ended_reason__in=REVIVABLE), pk=item.id
            ).update(ended_at=now, ended_reason=item.reason[:40], ended_detail=item.detail)


@transaction.atomic
def do_end_session(session: LiveSession, *, reason: str, acting_user: User | None) -> None:
    """Ask for the end of a session; its enforcement point hears of it within a second."""
    who = acting_user.username if acting_user is not None else "the system"
    message = f"Your session was ended by {who}" + (f": {reason}" if reason else ".")
    LiveSession.everything.filter(pk=session.pk).update(
        end_reason=EndReason.KILLED.value, end_message=message
    )
    raise_version("session", session.pk)
    record(
        "session.end_requested",
        actor=acting_user,
        subject=session_subject(session),
        summary=f"Ended the session of {session.user.username} on {session.connection.name}",
        after={"reason": reason},
    )


@transaction.atomic
def do_cancel_statement(session: LiveSession, *, acting_user: User | None) -> None:
    """Ask for the cancel of what a session runs."""
    LiveSession.everything.filter(pk=session.pk).update(cancel_requested_at=clock.now())
    raise_version("session", session.pk)
    record(
        "session.cancel_requested",
        actor=acting_user,
        subject=session_subject(session),
        summary=f"Cancelled a statement of {session.user.username} on {session.connection.name}",
    )


def session_subject(session: LiveSession) -> SubjectRef:
    """Return how events name a session."""
    return SubjectRef("session", session.pk, session.user.username, session.connection_id)


def do_close_silent_sessions() -> int:
    """Close the rows of enforcement points that have been silent for 30 s; return how many."""
    limit = clock.now() - SILENT_AFTER
    speaking = EnforcementPoint.objects.filter(last_seen_at__gt=limit).values("ep")
    silent = LiveSession.everything.filter(ended_at=None, opened_at__lt=limit).exclude(
        ep__in=speaking
    )
    if not silent.exists():
        return 0
    return silent.update(
        ended_at=clock.now(),
        ended_reason=SILENT,
        ended_detail="Its enforcement point does not answer.",
    )


def do_forget_ended_sessions() -> int:
    """Delete rows that ended a day ago (the audit log keeps them) and dead enforcement points."""
    old = clock.now() - _KEPT_ENDED
    EnforcementPoint.objects.filter(last_seen_at__lt=old).delete()
    return LiveSession.everything.filter(ended_at__lt=old).delete()[0]


def _note_enforcement_point(beat: Heartbeat, service: str, now: datetime) -> None:
    known = EnforcementPoint.objects.filter(pk=beat.ep).first()
    if known is not None and known.kind not in ("", service):
        raise Forbidden(f"The enforcement point {beat.ep} belongs to the {known.kind}.")
    if known is not None and known.last_seen_at > now - _SEEN_GRAIN:
        return
    EnforcementPoint.objects.update_or_create(
        ep=beat.ep,
        defaults={
            "kind": service,
            "address": beat.address[:200],
            "last_seen_at": now,
        },
    )


def _refresh(beat: Heartbeat, rows: Mapping[str, LiveSession], now: datetime) -> None:
    listed = {item.id for item in beat.sessions}
    changed = [
        (rows[item.id], changes)
        for item in beat.sessions
        if item.id in rows and (changes := _changes(rows[item.id], item))
    ]
    lost = [
        pk
        for pk, row in rows.items()
        if pk not in listed and row.ended_at is None and now - row.opened_at > _UNLISTED_GRACE
    ]
    if not changed and not lost:
        return
    with transaction.atomic():
        for row, changes in changed:
            LiveSession.everything.filter(pk=row.pk).update(**changes)
            for name, value in changes.items():
                setattr(row, name, value)
        if lost:
            LiveSession.everything.filter(pk__in=lost, ended_at=None).update(
                ended_at=now, ended_reason=LOST, ended_detail="Its process does not know it."
            )
        busy = [
            row.web_session_id
            for row, _ in changed
            if row.web_session_id is not None and row.state != "idle"
        ]
        if busy:
            WebSession.objects.filter(
                pk__in=busy, ended_at=None, last_seen_at__lt=now - _WEB_SEEN_GRAIN
            ).update(last_seen_at=now)


def _changes(row: LiveSession, report: SessionReport) -> dict[str, object]:
    told: dict[str, object] = {
        "state": report.state[:20],
        "statement_id": (report.statement_id or "")[:64],
        "statement_since": report.since,
        "rows": report.rows,
        "bytes": report.bytes,
    }
    if report.client_program:
        told["client_program"] = report.client_program[:300]
    changes = {name: value for name, value in told.items() if getattr(row, name) != value}
    if "statement_id" in changes:
        changes["statement"] = (report.statement or "")[:_SHOWN_STATEMENT_CHARS].replace("\x00", "")
    if row.ended_at is not None and row.ended_reason in REVIVABLE:
        changes.update(ended_at=None, ended_reason="", ended_detail="")  # it was only cut off
    return changes
