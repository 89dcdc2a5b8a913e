"""``querykeep seed-demo``: makes, brings back, renews on request only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fix_api import ApiCaller

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {"username": "auditor", "password": "pw of the auditor", "roles": ["auditor"]},
        {"username": "admin", "password": "pw of the admin", "roles": ["owner"]},
        {"username": "analyst", "password": "pw of analyst", "display_name": "이분석 Analyst"},
    ],
    "connections": [
        {
            "name": "shop-postgresql",
            "engine": "postgresql",
            "host": "127.0.0.1",
            "port": 5433,
            "database": "shop",
            "username": "app",
            "password": "stored",
            "tls_mode": "disable",
        }
    ],
    "grants": [{"user": "analyst", "connection": "shop-postgresql", "privilege": "read-only"}],
    "masking_rules": [
        {
            "name": "PII e-mail",
            "connections": ["shop-postgresql"],
            "objects": [{"schema": "*", "table": "customers", "column": "email"}],
            "masker": {"kind": "email", "params": {}},
            "applies_to": {"everyone": True},
            "exempt": {"users": ["admin"]},
        }
    ],
    "access_rules": [
        {
            "name": "Payroll",
            "objects": [{"schema": "*", "table": "payroll", "column": "*"}],
            "applies_to": {"everyone": True},
        }
    ],
    "statement_rules": [
        {"name": "No WHERE", "applies_to": {"everyone": True}, "check": "write_without_where"}
    ],
    "api_tokens": [{"user": "admin", "name": "demo"}, {"user": "analyst", "name": "demo"}],
    "proxy_tokens": [{"user": "analyst", "connection": "shop-postgresql", "name": "demo"}],
}


def seed(**changes: Any) -> dict[str, Any]:
    from querykeep_api.config.demo_seed import read_seed, seed_demo

    return seed_demo(read_seed(json.dumps({**SEED, **changes})))


def test_seed_makes_everything_and_tokens_work() -> None:
    answer = seed()
    admin = ApiCaller({"Authorization": f"Bearer {answer['accounts']['admin']['api_token']}"})
    assert len(admin.get("me").json()["permissions"]) == 14
    rule = admin.get("masking-rules").json()["results"][0]
    assert rule["code"] == "M-1"
    assert [user["name"] for user in rule["exempt"]["users"]] == ["admin"]
    token = answer["accounts"]["analyst"]["api_token"]
    analyst = ApiCaller({"Authorization": f"Bearer {token}"})
    assert analyst.get("me").json()["permissions"] == []
    assert [row["name"] for row in analyst.get("connections").json()["results"]] == [
        "shop-postgresql"
    ]
    proxy_token = answer["connections"]["shop-postgresql"]["tokens"]["analyst"]
    assert len(proxy_token["password"]) >= 26


def test_second_run_changes_nothing_and_shows_no_secret() -> None:
    from querykeep_api.kernel.models import OutboxEvent

    first = seed()
    events = OutboxEvent.objects.count()
    second = seed()
    assert OutboxEvent.objects.count() == events
    assert second["accounts"]["admin"] == {
        "id": first["accounts"]["admin"]["id"],
        "api_token": None,
    }
    tokens = second["connections"]["shop-postgresql"]["tokens"]["analyst"]
    assert tokens["password"] is None


def test_deleted_grant_comes_back_only_with_restore() -> None:
    from querykeep_api.dbam.models import Grant

    seed()
    Grant.everything.all().delete()
    seed()
    assert Grant.everything.count() == 0
    seed(restore=True)
    assert Grant.everything.count() == 1


def test_renewal_replaces_secrets_and_ends_sessions_of_the_old_ones() -> None:
    first = seed()
    renewed = seed(renew_tokens=True)
    assert renewed["accounts"]["admin"]["api_token"] != first["accounts"]["admin"]["api_token"]
    old = ApiCaller({"Authorization": f"Bearer {first['accounts']['admin']['api_token']}"})
    assert old.get("me").status_code == 401
    before = first["connections"]["shop-postgresql"]["tokens"]["analyst"]
    after = renewed["connections"]["shop-postgresql"]["tokens"]["analyst"]
    assert before["username"] == after["username"]
    assert before["password"] != after["password"]


def test_a_changed_password_and_a_deactivation_are_brought_back() -> None:
    from querykeep_api.iam.models import User
    from querykeep_api.iam.passwords import verify_password

    seed()
    User.everything.filter(username="analyst").update(password_hash="", is_active=False)
    seed()
    user = User.everything.get(username="analyst")
    assert user.is_active
    assert verify_password(user.password_hash, "pw of analyst")


def test_a_wrong_file_names_the_field() -> None:
    from querykeep_api.kernel.errors import InvalidInput

    with pytest.raises(InvalidInput, match="accounts"):
        seed(accounts=[{"password": "x"}])
