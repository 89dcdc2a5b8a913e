"""Whether a live session may go on, and why not. Used when a session opens, when its policy is
asked for, and at each heartbeat after a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from querykeep_api.dbam.compiler import usable_grants
from querykeep_api.dbam.models import Connection, Grant, LiveSession
from querykeep_api.dbam.patterns import allowed_hours
from querykeep_api.iam.facade import User, is_live
from querykeep_guard.contracts.policy import GrantScope
from querykeep_guard.contracts.session import EndReason, Route, SignInRefusal
from querykeep_guard.policy.index import is_grant_active

DELETED = "The connection or your account was deleted."


@dataclass(frozen=True, slots=True)
class End:
    """Why a session must end, with the text that its client is told."""

    reason: EndReason
    message: str


def with_relations(sessions: QuerySet[LiveSession]) -> QuerySet[LiveSession]:
    """Return the sessions with everything that ``standing`` looks at."""
    return sessions.select_related("user", "connection", "agent", "web_session", "proxy_token")


def standing(session: LiveSession, now: datetime) -> End | None:
    """Return why a session must end, or None."""
    if session.end_reason:
        return End(EndReason(session.end_reason), session.end_message)
    if not session.connection.is_enabled:
        return End(
            EndReason.CONNECTION_DISABLED,
            f"The connection {session.connection.name} was disabled by an administrator.",
        )
    if not session.user.is_active:
        return End(EndReason.USER_DISABLED, "Your account was deactivated.")
    return _credential(session, now) or _grants(session, now)


def refusal_of_person(
    user: User, connection: Connection, grants: Sequence[Grant], now: datetime
) -> SignInRefusal | None:
    """Return why an authenticated person may not open a session now, or None; ``grants`` are his
    usable ones."""
    if not user.is_active:
        return SignInRefusal("locked", "Your account is deactivated. Ask an administrator.")
    if user.is_locked(now):
        return SignInRefusal(
            "locked", "Your account is locked after wrong passwords. Ask an administrator."
        )
    if not connection.is_enabled:
        return SignInRefusal(
            "connection_disabled", f"The connection {connection.name} is disabled."
        )
    if not grants:
        return SignInRefusal(
            "no_grant",
            f"You have no grant on {connection.name} that holds now. Ask for access first.",
        )
    if not _any_in_hours(grants, now):
        return SignInRefusal(
            "outside_hours", f"Your access to {connection.name} does not include this hour."
        )
    return None


def _credential(session: LiveSession, now: datetime) -> End | None:
    if session.route == Route.AGENTLESS.value:
        token = session.proxy_token
        if token is None:
            return End(EndReason.TOKEN_REVOKED, "Your proxy token was revoked.")
        if token.expires_at is not None and token.expires_at <= now:
            return End(EndReason.EXPIRED, "Your proxy token has expired.")
    if session.route == Route.AGENT.value:
        agent = session.agent
        if agent is None or agent.revoked_at is not None:
            return End(EndReason.TOKEN_REVOKED, "Your agent was signed out or revoked.")
    if session.route == Route.EDITOR.value:
        web = session.web_session
        if web is None or not is_live(web, now):
            return End(EndReason.REVOKED, "Your web session has ended: sign in again.")
    return None


def _grants(session: LiveSession, now: datetime) -> End | None:
    user, connection = session.user, session.connection
    if usable_grants(user, connection).exists():
        return None
    # What had run out before the session began never carried it.
    ran_out = Grant.of_person(user.pk).filter(
        connection=connection, valid_until__lte=now, valid_until__gt=session.opened_at
    )
    if ran_out.exists():
        return End(EndReason.EXPIRED, f"Your access to {connection.name} has run out.")
    return End(EndReason.REVOKED, f"Your access to {connection.name} was revoked.")


def _any_in_hours(grants: Sequence[Grant], now: datetime) -> bool:
    return any(
        is_grant_active(
            GrantScope(
                id=grant.pk, privilege="", kinds=frozenset(), hours=allowed_hours(grant.hours)
            ),
            now,
        )
        for grant in grants
    )
