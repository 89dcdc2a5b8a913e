"""Opens a governed session for someone who was just authenticated: SessionGrant and live row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from querykeep_api.dbam.catalogs import latest
from querykeep_api.dbam.compiler import current_policy, usable_grants
from querykeep_api.dbam.models import Connection, Grant, LiveSession, ProxyToken
from querykeep_api.dbam.standing import refusal_of_person
from querykeep_api.dbam.targets import target_of
from querykeep_api.iam.facade import Agent, User, WebSession
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import ApiError
from querykeep_guard.contracts.codec import to_json
from querykeep_guard.contracts.session import (
    ClientInfo,
    ClientVerifiers,
    Route,
    SessionGrant,
    SignInRefusal,
)

_LAST_USED_GRAIN = timedelta(minutes=1)


class SignInRefused(ApiError):
    """A person is turned away: HTTP 403 with the refusal for the enforcement point."""

    status = 403
    code = "sign_in_refused"
    title = "Sign-in refused"

    def __init__(self, refusal: SignInRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.extra = {"refusal": to_json(refusal)}


def refuse(code: str, message: str) -> SignInRefused:
    """Return the error for a refusal code of ``SignInRefusal``."""
    return SignInRefused(SignInRefusal(code, message))


def open_session(
    user: User,
    connection: Connection,
    *,
    route: Route,
    client: ClientInfo,
    ep: str,
    proxy_token: ProxyToken | None = None,
    agent: Agent | None = None,
    web_session: WebSession | None = None,
    verifiers: ClientVerifiers | None = None,
) -> SessionGrant:
    """Open a session and return its grant.

    Raises:
        SignInRefused: The person may not use the connection now.
    """
    now = clock.now()
    grants = list(usable_grants(user, connection))
    refusal = refusal_of_person(user, connection, grants, now)
    if refusal is not None:
        raise SignInRefused(refusal)
    policy = current_policy(user, connection)
    stored = latest(connection.pk)
    with transaction.atomic():
        session = LiveSession.everything.create(
            user=user,
            connection=connection,
            route=route.value,
            client_address=client.address[:64],
            client_program=_program(client),
            ep=ep[:200],
            opened_at=now,
            proxy_token=proxy_token,
            agent=agent,
            web_session=web_session,
        )
        _note_use(user, grants, proxy_token)
    return SessionGrant(
        session_id=session.pk,
        route=route,
        policy=policy,
        target=target_of(connection),
        catalog_version=stored.fingerprint if stored is not None else "",
        opened_at=now,
        client_verifiers=verifiers,
    )


def _program(client: ClientInfo) -> str:
    return f"{client.program} {client.version}".strip()[:300]


def _note_use(user: User, grants: Sequence[Grant], token: ProxyToken | None) -> None:
    """Note last use, a minute's grain: a sign-in storm writes each row once."""
    now = clock.now()

    def is_stale(at: datetime | None) -> bool:
        return at is None or now - at > _LAST_USED_GRAIN

    unused = [grant.pk for grant in grants if grant.is_dormant or is_stale(grant.last_used_at)]
    if unused:
        Grant.everything.filter(pk__in=unused).update(last_used_at=now, is_dormant=False)
    if token is not None and is_stale(token.last_used_at):
        ProxyToken.everything.filter(pk=token.pk).update(last_used_at=now)
    if is_stale(user.last_sign_in_at):
        User.everything.filter(pk=user.pk).update(last_sign_in_at=now)
