"""Heartbeats: what changed, what must end, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.internal.conftest import Shop
from tests.api.internal.test_signin import scram

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


class Point:
    """An enforcement point with one agentless session."""

    def __init__(self, call: Any, shop: Shop) -> None:
        self.call = call
        answer = scram(call, shop.connection.pk, shop.token.username, shop.password)
        assert answer.status_code == 200, answer.content
        self.session_id = answer.json()["grant"]["session_id"]
        self.version = answer.json()["grant"]["policy"]["version"]

    def beat(self, **session: Any) -> Any:
        answer = self.call(
            "POST",
            "heartbeat",
            {
                "ep": "proxy-1",
                "kind": "proxy",
                "address": "127.0.0.1:9000",
                "since": self.version,
                "sessions": [
                    {
                        "id": self.session_id,
                        "state": "idle",
                        "statement_id": None,
                        "statement": None,
                        "since": None,
                        "rows": 0,
                        "bytes": 0,
                        "client_program": "",
                        **session,
                    }
                ],
                "ended": [],
            },
        )
        assert answer.status_code == 200, answer.content
        data = answer.json()
        self.version = data["version"]
        return data

    def ends(self) -> dict[str, str]:
        return {item["session_id"]: item["reason"] for item in self.beat()["end"]}


@pytest.fixture
def point(internal: Any, shop: Shop) -> Point:
    return Point(internal(), shop)


def test_nothing_changed(point: Point) -> None:
    answer = point.beat()
    assert answer["changes"] == []
    assert answer["end"] == []


def test_deleted_grant_ends_the_session(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.grants import do_delete_grant

    do_delete_grant(shop.grant, acting_user=None)
    answer = point.beat()
    assert answer["changes"] == [{"kind": "connection", "id": shop.connection.pk}]
    assert answer["end"][0]["reason"] == "revoked"
    assert "shop" in answer["end"][0]["message"]


def test_an_older_grant_that_ran_out_is_not_why_a_session_ends(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.grants import do_delete_grant
    from querykeep_api.dbam.models import Grant
    from querykeep_api.kernel.ids import new_id

    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = Grant.of_person(shop.user.pk).get(pk=shop.grant.pk)
    old.pk, old.valid_until = new_id(), yesterday
    old.save(force_insert=True)
    do_delete_grant(shop.grant, acting_user=None)
    assert point.ends() == {point.session_id: "revoked"}


def test_deleted_token_ends_the_session(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.tokens import do_delete_proxy_token

    do_delete_proxy_token(shop.token, acting_user=None)
    assert point.ends() == {point.session_id: "token_revoked"}


def test_renewed_token_ends_the_session(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.tokens import do_renew_proxy_token

    do_renew_proxy_token(shop.token, acting_user=None)
    assert point.ends() == {point.session_id: "token_revoked"}


def test_deactivated_person_ends_the_session(point: Point, shop: Shop) -> None:
    from querykeep_api.iam.actions import do_change_user

    changes = {"is_active": False, "deactivation_reason": "left"}
    do_change_user(shop.user, changes, acting_user=None)
    assert point.ends() == {point.session_id: "user_disabled"}


def test_disabled_and_deleted_connection_end_the_session(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.connections import (
        do_change_connection,
        do_delete_connection,
    )

    do_change_connection(shop.connection, {"is_enabled": False}, acting_user=None)
    assert point.ends() == {point.session_id: "connection_disabled"}
    do_delete_connection(shop.connection, acting_user=None)
    assert point.session_id in point.ends()


def test_end_and_cancel_by_an_administrator(point: Point, shop: Shop, settings: Any) -> None:
    from querykeep_api.dbam.live import do_cancel_statement, do_end_session
    from querykeep_api.dbam.models import LiveSession

    session = LiveSession.everything.get(pk=point.session_id)
    do_cancel_statement(session, acting_user=None)
    assert point.beat()["cancel"] == [point.session_id]
    assert point.beat()["cancel"] == []
    do_end_session(session, reason="maintenance", acting_user=None)
    answer = point.beat()
    assert answer["end"][0]["reason"] == "killed"
    assert "maintenance" in answer["end"][0]["message"]


def test_a_rule_changes_the_policy_but_ends_nothing(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.actions.rules import do_create_rule
    from querykeep_api.dbam.models import MaskingRule

    do_create_rule(
        MaskingRule,
        {
            "name": "PII",
            "objects_json": [{"schema": "*", "table": "c", "column": "e"}],
            "masker": {"kind": "full", "params": {}},
            "everyone": True,
        },
        acting_user=None,
    )
    answer = point.beat()
    assert answer["changes"] == [{"kind": "all", "id": ""}]
    assert answer["end"] == []
    fresh = point.call("POST", "policies", {"sessions": [point.session_id, "unknown"]}).json()
    assert fresh["policies"][point.session_id]["masking_rules"][0]["code"] == "M-1"
    assert fresh["ended"]["unknown"]["reason"] == "revoked"


def test_a_version_from_elsewhere_asks_for_everything(point: Point) -> None:
    point.version = 10_000_000
    assert point.beat()["changes"] == [{"kind": "all", "id": ""}]


def test_state_is_shown_and_ended_sessions_go(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.models import LiveSession

    point.beat(
        state="running",
        statement_id="s1",
        statement="SELECT 1",
        since="2026-03-01T09:00:00Z",
        rows=7,
        bytes=70,
    )
    session = LiveSession.everything.get(pk=point.session_id)
    assert (session.state, session.statement, session.rows) == ("running", "SELECT 1", 7)
    body = {
        "ep": "proxy-1",
        "since": point.version,
        "sessions": [],
        "ended": [{"id": point.session_id, "reason": "client_closed", "detail": "bye"}],
    }
    assert point.call("POST", "heartbeat", body).status_code == 200
    session.refresh_from_db()
    assert session.ended_at is not None
    assert session.ended_reason == "client_closed"


def test_target_is_given_only_while_a_session_lives(point: Point, shop: Shop) -> None:
    from querykeep_api.dbam.models import LiveSession

    path = f"connections/{shop.connection.pk}/target"
    assert point.call("GET", path).json()["password"] == "target password"
    LiveSession.everything.all().delete()
    assert point.call("GET", path).status_code == 403


def test_silent_enforcement_point_loses_its_sessions(point: Point, shop: Shop) -> None:
    from datetime import timedelta

    from querykeep_api.dbam.live import do_close_silent_sessions
    from querykeep_api.dbam.models import EnforcementPoint, LiveSession

    point.beat()
    past = LiveSession.everything.get().opened_at - timedelta(minutes=2)
    LiveSession.everything.update(opened_at=past)
    assert do_close_silent_sessions() == 0
    EnforcementPoint.objects.update(last_seen_at=past)
    assert do_close_silent_sessions() == 1
    point.beat()  # it was only cut off: the session lives on
    assert LiveSession.everything.get().ended_at is None
