"""What each service's key opens: its own part, and nothing of the other's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.internal.conftest import CLIENT, Shop

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

PROXY_ONLY = (
    ("POST", "signin/challenge"),
    ("POST", "signin/prove"),
    ("POST", "tickets"),
    ("POST", "tickets/redeem"),
    ("GET", "agent-connections"),
)
MIDDLEWARE_ONLY = (
    ("POST", "sessions/editor"),
    ("POST", "web-sessions/resolve"),
    ("POST", "agent-logins"),
    ("GET", f"agent-logins/{'0' * 32}"),
    ("POST", "agent-tokens"),
    ("POST", "agent-tokens/revoke"),
    ("POST", "jobs/report"),
)
SHARED = (
    ("GET", "connections"),
    ("POST", "heartbeat"),
    ("POST", "policies"),
    ("GET", "connections/x/catalog"),
    ("PUT", "connections/x/catalog"),
    ("GET", "connections/x/target"),
    ("POST", "audit/records"),
)


def test_the_tables_name_every_internal_path(internal_urls: None) -> None:
    from django.urls import get_resolver

    def paths(patterns: Any, before: str = "") -> set[str]:
        found: set[str] = set()
        for item in patterns:
            path = before + str(item.pattern)
            found |= paths(item.url_patterns, path) if hasattr(item, "url_patterns") else {path}
        return found

    named = {path.replace("0" * 32, "<str:login_id>") for _, path in PROXY_ONLY + MIDDLEWARE_ONLY}
    named |= {path.replace("/x/", "/<str:connection_id>/") for _, path in SHARED}
    served = paths(get_resolver().url_patterns)
    assert {path.removeprefix("internal/v1/") for path in served} == named


def test_each_key_opens_its_own_part_only(internal: Any) -> None:
    for calls, foreign in ((PROXY_ONLY, "middleware"), (MIDDLEWARE_ONLY, "proxy")):
        for method, path in calls:
            assert internal(foreign)(method, path, {}).status_code == 403, (foreign, path)
    for method, path in PROXY_ONLY + MIDDLEWARE_ONLY + SHARED:
        assert internal("tool")(method, path, {}).status_code == 403, path


def test_no_credentials_of_people_open_the_internal_api(internal_urls: None, as_owner: Any) -> None:
    for method, path in PROXY_ONLY + MIDDLEWARE_ONLY + SHARED:
        assert as_owner(method, f"/internal/v1/{path}", {}).status_code == 401, path


def editor_session(internal: Any, shop: Shop) -> str:
    from querykeep_api.iam import web_sessions

    _, key = web_sessions.open_session(shop.user, address="10.0.0.9", program="browser")
    opened = internal("middleware")(
        "POST",
        "sessions/editor",
        {"cookie": key, "connection_id": shop.connection.pk, "client": CLIENT, "ep": "runner-1"},
    )
    session_id: str = opened.json()["grant"]["session_id"]
    return session_id


def test_a_service_asks_about_its_own_sessions_only(internal: Any, shop: Shop) -> None:
    session = editor_session(internal, shop)
    target = f"connections/{shop.connection.pk}/target"
    asked = {"sessions": [session]}
    assert session in internal("middleware")("POST", "policies", asked).json()["policies"]
    assert internal("middleware")("GET", target).status_code == 200
    foreign = internal("proxy")("POST", "policies", asked).json()
    assert foreign["policies"] == {}
    assert internal("proxy")("GET", target).status_code == 403


def test_a_service_speaks_for_its_own_enforcement_points_only(internal: Any, shop: Shop) -> None:
    from querykeep_api.dbam.models import LiveSession

    session = editor_session(internal, shop)
    beat = {"ep": "runner-1", "kind": "middleware", "sessions": [{"id": session}]}
    assert internal("middleware")("POST", "heartbeat", beat).status_code == 200
    assert internal("proxy")("POST", "heartbeat", beat).status_code == 403
    other = {"ep": "proxy-1", "ended": [{"id": session, "reason": "killed"}], "sessions": []}
    assert internal("proxy")("POST", "heartbeat", other).status_code == 200
    assert LiveSession.everything.get(pk=session).ended_at is None
