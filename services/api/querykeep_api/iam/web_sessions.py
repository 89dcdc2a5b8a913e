"""Web sessions: rows with an idle and an absolute limit, found by the hash of the cookie's key."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.conf import settings

from querykeep_api.iam.models import User, WebSession
from querykeep_api.kernel import clock
from querykeep_api.kernel.policy_version import raise_version
from querykeep_api.kernel.secrets import token_hash

# How often "last seen" is written; the idle limit is far longer.
_SEEN_GRAIN = timedelta(seconds=60)


def open_session(user: User, *, address: str, program: str) -> tuple[WebSession, str]:
    """Make a session and return it with the cookie's key, which is stored as a hash only."""
    now = clock.now()
    key = secrets.token_urlsafe(32)
    session = WebSession.objects.create(
        key_hash=token_hash(key),
        user=user,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(seconds=settings.QUERYKEEP.session_absolute_s),
        address=address,
        program=program[:300],
    )
    return session, key


def resolve(key: str, *, seen: bool = True) -> WebSession | None:
    """Return the live session of a cookie's key with its active person, or None."""
    session = WebSession.objects.select_related("user").filter(key_hash=token_hash(key)).first()
    now = clock.now()
    if session is None or not is_live(session, now) or not session.user.is_active:
        return None
    if seen and now - session.last_seen_at > _SEEN_GRAIN:
        WebSession.objects.filter(pk=session.pk).update(last_seen_at=now)
        session.last_seen_at = now
    return session


def is_live(session: WebSession, now: datetime) -> bool:
    """Return whether a session has neither ended nor run into a limit."""
    return session.ended_at is None and ends_at(session) > now


def ends_at(session: WebSession) -> datetime:
    """Return when the session ends if nothing more is done in it."""
    idle = timedelta(seconds=settings.QUERYKEEP.session_idle_s)
    return min(session.expires_at, session.last_seen_at + idle)


def end_sessions(user: User, *, except_id: str = "", only_id: str = "") -> int:
    """End a person's sessions (all, all but one, or one) and tell enforcement points.

    Must run inside a transaction.
    """
    sessions = WebSession.objects.filter(user=user, ended_at=None)
    if except_id:
        sessions = sessions.exclude(pk=except_id)
    if only_id:
        sessions = sessions.filter(pk=only_id)
    ended = sessions.update(ended_at=clock.now())
    if ended:
        raise_version("user", user.pk)
    return ended
