"""Crawl and explain on the real demo databases: the engines' analyzers on the stored catalog."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture(params=["postgresql", "mariadb"])
def shop(request: pytest.FixtureRequest, db: None) -> Any:
    """A connection to the demo database with its catalog read."""
    from querykeep_api.dbam.actions.connections import do_create_connection
    from querykeep_api.dbam.probing import crawl_connection, probe_connection

    database: Any = request.getfixturevalue(f"shop_{request.param}")
    connection = do_create_connection(
        {
            "name": f"shop-{request.param}",
            "engine": request.param,
            "host": database.host,
            "port": database.port,
            "database": database.database,
            "username": database.account_user,
            "password": database.account_password,
            "tls_mode": "disable",
        },
        acting_user=None,
    )
    report = probe_connection(connection)
    assert report.ok, report.steps
    result = crawl_connection(connection)
    assert result.ok, result.message
    assert result.changed
    assert not crawl_connection(connection).changed
    connection.refresh_from_db()
    assert connection.health_state == "ok"
    return connection


@pytest.fixture
def policy(shop: Any, new_user: Any, give: Any) -> Any:
    """An analyst with a read-only grant, a mask on e-mail, a refused column and table."""
    from querykeep_api.dbam.actions.rules import do_create_rule
    from querykeep_api.dbam.models import AccessRule, MaskingRule

    analyst = new_user("analyst")
    give(analyst, shop)
    everyone = {"everyone": True}

    def pattern(table: str, column: str = "*") -> list[dict[str, str]]:
        return [{"schema": "*", "table": table, "column": column}]

    do_create_rule(
        MaskingRule,
        {
            "name": "PII e-mail",
            "objects_json": pattern("customers", "email"),
            "masker": {"kind": "email", "params": {}},
            **everyone,
        },
        acting_user=None,
    )
    for name, objects in (
        ("Salaries", pattern("employees", "salary")),
        ("Payroll", pattern("payroll")),
    ):
        do_create_rule(
            AccessRule, {"name": name, "objects_json": objects, **everyone}, acting_user=None
        )
    return analyst


def explain(caller: Any, user: Any, connection: Any, statement: str) -> Any:
    answer = caller.post(
        "explain", {"user": user.pk, "connection": connection.pk, "statement": statement}
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_explain_masks_refuses_and_says_why(as_owner: Any, shop: Any, policy: Any) -> None:
    masked = explain(as_owner, policy, shop, "SELECT * FROM customers")
    assert masked["verdict"] == "masked", masked
    assert [mask["rules"] for mask in masked["masks"]] == [["PII e-mail"]]
    assert masked["trace"]
    refused = explain(as_owner, policy, shop, "SELECT salary FROM employees")
    assert refused["verdict"] == "denied"
    assert "A-1" in refused["message"]
    schema = {"postgresql": "public", "mariadb": "shop"}[shop.engine]
    assert refused["reason"] == {
        "code": "column_refused",
        "arguments": {
            "object": f"{schema}.employees.salary",
            "rule": "Salaries",
            "rule_code": "A-1",
        },
    }
    assert masked["reason"] is None
    table = explain(as_owner, policy, shop, "SELECT * FROM payroll")
    assert table["verdict"] == "denied"
    write = explain(as_owner, policy, shop, "DELETE FROM orders WHERE id = 1")
    assert write["verdict"] == "denied"
    assert write["reason"]["code"] == "kind_not_granted"
    assert write["reason"]["arguments"]["kind"] == "delete"
    broken = explain(as_owner, policy, shop, "SELEC 1")
    assert broken["verdict"] == "denied"
    assert broken["reason"]["code"] == "syntax"


def test_a_view_shows_the_masks_that_reach_it(as_user: Any, shop: Any, policy: Any) -> None:
    schema = {"postgresql": "public", "mariadb": "shop"}[shop.engine]
    path = f"connections/{shop.pk}/catalog/{schema}/customer_contact"
    relation = as_user(policy).get(path)
    assert relation.status_code == 200, relation.content
    masked = {
        column["name"]: [rule["code"] for rule in column["masked_by"]]
        for column in relation.json()["columns"]
    }
    assert masked == {"id": [], "name": [], "email": ["M-1"], "phone": []}
