"""Opens a governed session for someone who was just authenticated: SessionGrant and live row."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from querykeep_api.dbam.catalogs import latest
from querykeep_api.dbam.compiler import compile_policy, usable_grants
from querykeep_api.dbam.models import Connection, LiveSession, ProxyToken
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
    refusal = refusal_of_person(user, connection, now)
    if refusal is not None:
        raise SignInRefused(refusal)
    policy = compile_policy(user, connection)
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
        _note_use(user, connection, proxy_token)
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


def _note_use(user: User, connection: Connection, token: ProxyToken | None) -> None:
    """Note last use, a minute's grain: a sign-in storm writes each row once."""
    now = clock.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_GRAIN)
    usable_grants(user, connection).filter(stale).update(last_used_at=now, is_dormant=False)
    if token is not None:
        ProxyToken.everything.filter(stale, pk=token.pk).update(last_used_at=now)
    if user.last_sign_in_at is None or now - user.last_sign_in_at > _LAST_USED_GRAIN:
        User.everything.filter(pk=user.pk).update(last_sign_in_at=now)
