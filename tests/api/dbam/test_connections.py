"""Connections: who sees them, secrets, ports, catalog pages."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from querykeep_api.jobs.facade import JobRun

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

BODY = {
    "name": "orders",
    "engine": "postgresql",
    "host": "db.example.com",
    "database": "orders",
    "username": "app",
    "password": "hunter2-of-orders",
    "tags": {"env": "prod"},
}


def test_create_read_and_send_back(as_owner: Any) -> None:
    made = as_owner.post("connections", BODY)
    assert made.status_code == 201, made.content
    entry = made.json()
    assert entry["port"] == 5432
    assert entry["proxy"]["port"] == 40000
    assert "password" not in entry
    assert "hunter2" not in made.content.decode()
    again = as_owner.put(f"connections/{entry['id']}", entry)
    assert again.status_code == 200, again.content
    assert again.json()["etag"] == entry["etag"]


def test_etag_guards_a_change(as_owner: Any) -> None:
    entry = as_owner.post("connections", BODY).json()
    path = f"connections/{entry['id']}"
    first = as_owner.patch(path, {"description": "one"}, **{"If-Match": entry["etag"]})
    assert first.status_code == 200
    second = as_owner.patch(path, {"description": "two"}, **{"If-Match": f'"{entry["etag"]}"'})
    assert second.status_code == 412
    assert second.json()["code"] == "changed_meanwhile"
    assert as_owner.delete(path, **{"If-Match": entry["etag"]}).status_code == 412
    assert as_owner.delete(path, **{"If-Match": first.json()["etag"]}).status_code == 204


def test_moving_the_host_needs_the_password_again(as_owner: Any) -> None:
    entry = as_owner.post("connections", BODY).json()
    path = f"connections/{entry['id']}"
    refused = as_owner.patch(path, {"host": "evil.example.com"})
    assert refused.status_code == 400
    assert refused.json()["code"] == "password_needed"
    moved = as_owner.patch(path, {"host": "evil.example.com", "password": "x"})
    assert moved.status_code == 200


def test_a_rule_of_one_connection_goes_with_it_and_is_not_for_all_then(as_owner: Any) -> None:
    first = as_owner.post("connections", BODY).json()["id"]
    second = as_owner.post("connections", {**BODY, "name": "shop"}).json()["id"]
    rule = {"name": "r", "applies_to": {"everyone": True}}
    column = [{"schema": "*", "table": "t", "column": "c"}]
    bodies: dict[str, dict[str, Any]] = {
        "access-rules": {**rule, "objects": column},
        "masking-rules": {**rule, "objects": column, "masker": {"kind": "full", "params": {}}},
        "statement-rules": {**rule, "check": "kind", "values": ["drop"], "effect": "allow"},
    }
    for path, body in bodies.items():
        for connections in ([first], [first, second], []):
            assert as_owner.post(path, {**body, "connections": connections}).status_code == 201
    assert as_owner.delete(f"connections/{first}").status_code == 204
    for path in bodies:
        left = as_owner.get(f"{path}?ordering=code").json()["results"]
        assert [[one["id"] for one in rule["connections"]] for rule in left] == [[second], []]


def test_schema_is_read_when_a_connection_is_made_or_leads_elsewhere(as_owner: Any) -> None:
    def queued(connection_id: str) -> int:
        return JobRun.objects.filter(
            job="schema_crawl", arguments={"connection": connection_id}
        ).count()

    entry = as_owner.post("connections", BODY).json()
    path = f"connections/{entry['id']}"
    assert queued(entry["id"]) == 1
    as_owner.patch(path, {"description": "the same place"})
    assert queued(entry["id"]) == 1
    as_owner.patch(path, {"database": "orders_archive"})
    assert queued(entry["id"]) == 2
    switched_off = as_owner.post("connections", BODY | {"name": "off", "is_enabled": False}).json()
    assert queued(switched_off["id"]) == 0


def test_exhausted_ports_name_the_setting(as_owner: Any, settings: Any) -> None:
    settings.QUERYKEEP = dataclasses.replace(settings.QUERYKEEP, ports=range(40000, 40001))
    assert as_owner.post("connections", BODY).status_code == 201
    refused = as_owner.post("connections", {**BODY, "name": "second"})
    assert refused.status_code == 409
    assert "QUERYKEEP_PORTS" in refused.json()["detail"]


def test_people_without_role_see_what_they_hold_a_grant_on(
    connection: Any, new_user: Any, as_user: Any, give: Any
) -> None:
    with_grant, without = new_user("with-grant"), new_user("without")
    give(with_grant, connection)
    listed = as_user(with_grant).get("connections").json()["results"]
    assert [(row["name"], row["my_access"]["privilege"]) for row in listed] == [
        ("shop", "read-only")
    ]
    assert as_user(without).get("connections").json()["results"] == []
    assert as_user(without).get(f"connections/{connection.pk}").status_code == 404


def test_list_costs_the_same_however_long(
    as_owner: Any, django_assert_num_queries: Any, catalog: Any
) -> None:
    from querykeep_api.dbam.catalogs import do_store_catalog
    from querykeep_api.dbam.models import Connection

    for number in range(5):
        as_owner.post("connections", {**BODY, "name": f"c-{number}"})
    for row in Connection.everything.all():
        do_store_catalog(row, catalog)
    as_owner.get("connections")
    with django_assert_num_queries(5):  # token, roles, page, catalogs, my grants
        rows = as_owner.get("connections").json()["results"]
    assert len(rows) == 5
    assert {row["catalog"]["relations"] for row in rows} == {2}


def test_catalog_pages_and_relation(
    connection: Any, catalog: Any, new_user: Any, as_user: Any, give: Any, as_owner: Any
) -> None:
    from querykeep_api.dbam.catalogs import do_store_catalog

    analyst = new_user("analyst")
    give(analyst, connection)
    path = f"connections/{connection.pk}/catalog"
    assert as_user(analyst).get(path).status_code == 404
    do_store_catalog(connection, catalog)
    as_owner.post(
        "masking-rules",
        {
            "name": "PII",
            "objects": [{"schema": "*", "table": "customers", "column": "email"}],
            "masker": {"kind": "email", "params": {}},
            "applies_to": {"everyone": True},
        },
    )
    page = as_user(analyst).get(path).json()
    assert [row["name"] for row in page["results"]] == ["customers", "orders"]
    found = as_user(analyst).get(f"{path}?search=TOTAL").json()
    assert [row["name"] for row in found["results"]] == ["orders"]
    relation = as_user(analyst).get(f"{path}/public/customers").json()
    masked = {c["name"]: [r["code"] for r in c["masked_by"]] for c in relation["columns"]}
    assert masked == {"id": [], "name": [], "email": ["M-1"]}


def test_unsaved_test_tells_the_failing_step(as_owner: Any) -> None:
    answer = as_owner.post("connections/test", {**BODY, "host": "127.0.0.1", "port": 1})
    assert answer.status_code == 200, answer.content
    report = answer.json()
    assert report["ok"] is False
    assert any(step["state"] == "failed" for step in report["steps"])
    assert "hunter2" not in answer.content.decode()
