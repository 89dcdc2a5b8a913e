"""Tickets: a once-only permit of 30 seconds, bound to person, connection and agent key."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from querykeep_api.dbam.compiler import usable_grants
from querykeep_api.dbam.models import Connection, Ticket
from querykeep_api.dbam.opening import SignInRefused, open_session, refuse
from querykeep_api.dbam.standing import refusal_of_person
from querykeep_api.iam.facade import agent_of_access_token, verify_signature
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import NotSignedIn
from querykeep_api.kernel.ids import random_text
from querykeep_api.kernel.secrets import token_hash
from querykeep_guard.contracts.codec import from_json, to_json
from querykeep_guard.contracts.session import (
    ClientInfo,
    ClientVerifiers,
    Route,
    SessionGrant,
)

TICKET_TIME = timedelta(seconds=30)
CLOCK_SKEW_S = 60
_TICKET_BITS = 256


def make_ticket(
    *,
    access_token: str,
    connection_ref: str,
    verifiers: ClientVerifiers,
    timestamp: str,
    signature: bytes,
) -> tuple[str, datetime, Connection]:
    """Return (ticket, its end, connection) for an agent that asks for a session.

    Raises:
        NotSignedIn: The access token or the agent's proof does not hold.
        SignInRefused: The person may not use the connection now (or there is none of that name:
            the two are not told apart).
    """
    agent = agent_of_access_token(access_token)
    message = f"querykeep-establish\n{connection_ref}\n{timestamp}\n{token_hash(access_token)}"
    if agent is None or not _is_recent(timestamp):
        raise _agent_over()
    if not verify_signature(agent.agent_key, message, signature):
        raise _agent_over()
    connection = Connection.everything.filter(
        Q(pk=connection_ref) | Q(name_key=connection_ref.casefold())
    ).first()
    now = clock.now()
    if connection is None:
        raise refuse("no_grant", f"You have no grant on {connection_ref} that holds now.")
    grants = list(usable_grants(agent.user, connection))
    refusal = refusal_of_person(agent.user, connection, grants, now)
    if refusal is not None:
        raise SignInRefused(refusal)
    ticket = random_text(_TICKET_BITS)
    Ticket.objects.create(
        ticket_hash=token_hash(ticket),
        user=agent.user,
        agent=agent,
        connection=connection,
        verifiers=to_json(verifiers),
        expires_at=now + TICKET_TIME,
    )
    return ticket, now + TICKET_TIME, connection


def redeem_ticket(*, ticket: str, signature: bytes, client: ClientInfo, ep: str) -> SessionGrant:
    """Open the session of a ticket, once across all workers.

    Raises:
        SignInRefused: ``ticket_invalid`` for every fault of the ticket, or the person may not use
            the connection any more.
    """
    row = (
        Ticket.objects.select_related("user", "agent", "connection")
        .filter(ticket_hash=token_hash(ticket))
        .first()
    )
    if row is None or row.agent.revoked_at is not None:
        raise _invalid()
    if not verify_signature(row.agent.agent_key, f"querykeep-ticket\n{ticket}", signature):
        raise _invalid()
    now = clock.now()
    redeemed = Ticket.objects.filter(pk=row.pk, redeemed_at=None, expires_at__gt=now).update(
        redeemed_at=now
    )
    if not redeemed:
        raise _invalid()
    return open_session(
        row.user,
        row.connection,
        route=Route.AGENT,
        client=client,
        ep=ep,
        agent=row.agent,
        verifiers=from_json(ClientVerifiers, row.verifiers),
    )


def _is_recent(timestamp: str) -> bool:
    try:
        sent = float(timestamp)
    except ValueError:
        return False
    return abs(clock.now().timestamp() - sent) <= CLOCK_SKEW_S


def _agent_over() -> NotSignedIn:
    return NotSignedIn(
        "The agent's sign-in does not hold any more. Run 'qk login' again.", code="bad_agent_token"
    )


def _invalid() -> SignInRefused:
    return refuse("ticket_invalid", "The ticket is unknown, used or too old. Connect again.")
