"""What other apps of the service may use of dbam; nothing else of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from querykeep_api.dbam.actions.grants import (
    do_note_expired_grants,
    do_put_dormant_grants_to_sleep,
    do_report_dormant_grants,
    names_of_dormant_grants,
)
from querykeep_api.dbam.catalogs import do_store_catalog, payload_of
from querykeep_api.dbam.compiler import compile_policy
from querykeep_api.dbam.live import (
    Heartbeat,
    do_close_silent_sessions,
    do_forget_ended_sessions,
    sessions_of,
    take_heartbeat,
)
from querykeep_api.dbam.models import Connection, Grant, Ticket
from querykeep_api.dbam.opening import SignInRefused, open_session
from querykeep_api.dbam.probing import CrawlResult, crawl_connection, probe_connection
from querykeep_api.dbam.seeding import (
    do_seed_connection,
    do_seed_grant,
    do_seed_proxy_token,
    do_seed_rule,
)
from querykeep_api.dbam.signin import Proof, access_connection, make_challenge, prove
from querykeep_api.dbam.standing import DELETED, End, standing, with_relations
from querykeep_api.dbam.targets import connection_info, target_of
from querykeep_api.dbam.tickets import make_ticket, redeem_ticket
from querykeep_api.iam.facade import User
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Forbidden
from querykeep_engines.registry import specs
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import ConnectionInfo, EndReason, Target

__all__ = [
    "Connection",
    "CrawlResult",
    "Heartbeat",
    "Proof",
    "SignInRefused",
    "access_connection",
    "agent_connections",
    "catalog_payload",
    "connection_info",
    "connection_infos",
    "crawl_connection",
    "do_clean_up_sessions",
    "do_close_silent_sessions",
    "do_note_expired_grants",
    "do_put_dormant_grants_to_sleep",
    "do_report_dormant_grants",
    "do_seed_connection",
    "do_seed_grant",
    "do_seed_proxy_token",
    "do_seed_rule",
    "do_store_catalog",
    "enabled_connections",
    "make_challenge",
    "make_ticket",
    "names_of_dormant_grants",
    "open_session",
    "policies_of",
    "probe_connection",
    "prove",
    "redeem_ticket",
    "take_heartbeat",
    "target_for_watch",
]


def enabled_connections() -> list[Connection]:
    """Return the connections that jobs crawl and probe."""
    return list(Connection.everything.filter(is_enabled=True).order_by("name_key"))


def connection_infos() -> tuple[ConnectionInfo, ...]:
    """Return every connection as listeners know it (disabled ones too: they say why)."""
    rows = Connection.everything.order_by("proxy_port")
    return tuple(connection_info(connection) for connection in rows)


def catalog_payload(connection_id: str, fingerprint: str = "") -> tuple[str, bytes] | None:
    """Return (fingerprint, JSON) of a connection's newest catalog, or of the one asked for."""
    return payload_of(connection_id, fingerprint)


def target_for_watch(connection_id: str, *, service: str) -> Target:
    """Return a connection's target while a session of that service is live there.

    Raises:
        NotFound: No such connection.
        Forbidden: No session is live there.
    """
    connection = access_connection(connection_id)
    if not sessions_of(service).filter(connection=connection, ended_at=None).exists():
        raise Forbidden(
            f"No session is live on {connection.name}: its account is not given out.",
            code="no_live_session",
        )
    return target_of(connection)


def policies_of(
    session_ids: Sequence[str], *, service: str
) -> tuple[dict[str, SessionPolicy], dict[str, End]]:
    """Return fresh policies by session id, and why others must end.

    Sessions of one person on one connection share one compilation.
    """
    now = clock.now()
    found = {
        session.pk: session
        for session in with_relations(sessions_of(service).filter(pk__in=session_ids))
    }
    policies: dict[str, SessionPolicy] = {}
    ended: dict[str, End] = {}
    compiled: dict[tuple[str, str], SessionPolicy] = {}
    for session_id in session_ids:
        session = found.get(session_id)
        end = End(EndReason.REVOKED, DELETED) if session is None else standing(session, now)
        if session is None or end is not None:
            ended[session_id] = end or End(EndReason.REVOKED, DELETED)
            continue
        key = (session.user_id, session.connection_id)
        if key not in compiled:
            compiled[key] = compile_policy(session.user, session.connection)
        policies[session_id] = compiled[key]
    return policies, ended


def agent_connections(user: User) -> list[dict[str, Any]]:
    """Return the connections that a person may open through the agent."""
    now_usable = (
        Grant.holding(user.pk)
        .filter(connection__is_enabled=True)
        .select_related("connection", "privilege")
        .order_by("connection__name_key", "id")
    )
    found: dict[str, dict[str, Any]] = {}
    for grant in now_usable:
        connection = grant.connection
        spec = specs()[connection.engine]
        entry = found.setdefault(
            connection.pk,
            {
                "id": connection.pk,
                "name": connection.name,
                "engine": connection.engine,
                "database": connection.database,
                "label": spec.label,
                "cli": spec.cli,
                "url": spec.url,
                "jdbc": spec.jdbc,
                "privilege": grant.privilege.name,
            },
        )
        if grant.privilege.name not in entry["privilege"].split(", "):
            entry["privilege"] += f", {grant.privilege.name}"
    return list(found.values())


def do_clean_up_sessions() -> dict[str, int]:
    """Close silent sessions, forget old ones and used tickets; return the counts."""
    return {
        "silent_sessions_closed": do_close_silent_sessions(),
        "ended_sessions_forgotten": do_forget_ended_sessions(),
        "tickets_forgotten": Ticket.objects.filter(expires_at__lt=clock.now()).delete()[0],
    }
