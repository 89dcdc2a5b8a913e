"""The OpenAPI document says what the API answers, and what each operation wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.api.kernel.test_permissions import OBJECT, make_connection
from tests.api.kernel.test_routes import NEEDED

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
PREFIX = "/api/v1/"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document."""
    from drf_spectacular.generators import SchemaGenerator

    made: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return made


def faults(document: dict[str, Any], method: str, path: str, answer: Any) -> list[str]:
    """What of an answer is not as documented: what it lacks, what it is, and what it has beyond."""
    responses = document["paths"][PREFIX + path][method.lower()]["responses"]
    if str(answer.status_code) not in responses:
        return [f"{method} {path}: {answer.status_code} is not documented"]
    schema = next(iter(responses[str(answer.status_code)]["content"].values()))["schema"]
    whole = {**schema, "components": document["components"]}
    checker = Draft202012Validator.FORMAT_CHECKER
    found = Draft202012Validator(whole, format_checker=checker).iter_errors(answer.json())
    told = [f"{method} {path} {error.json_path}: {error.message[:200]}" for error in found]
    return told + [
        f"{method} {path} {where}: not documented"
        for where in _beyond(document, schema, answer.json(), "$")
    ]


def _beyond(
    document: dict[str, Any], schema: dict[str, Any], value: object, where: str
) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        for item in value[:1]:
            yield from _beyond(document, schema.get("items", {}), item, f"{where}[]")
    properties = schema.get("properties")
    if isinstance(value, dict) and properties is not None:
        for name, item in value.items():
            if name not in properties:
                yield f"{where}.{name}"
            else:
                yield from _beyond(document, properties[name], item, f"{where}.{name}")


@pytest.fixture
def bodies(as_owner: Any, new_user: Any) -> dict[str, dict[str, Any]]:
    """A body for each resource that can be made over the API."""
    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.models import Privilege
    from querykeep_api.iam.models import User

    connection, kim = make_connection(), new_user("kim")
    do_create_grant(
        user=User.everything.get(username="the-owner"),
        group=None,
        connection=connection,
        privilege=Privilege.objects.get(name="read-only"),
        acting_user=None,
    )
    rule = {"name": "r", "objects": [OBJECT], "applies_to": {"everyone": True}}
    hours = {"weekdays": [0], "start": "09:00", "end": "18:00", "zone": "Asia/Seoul"}
    return {
        "users": {"username": "lee"},
        "groups": {"name": "g", "members": [kim.pk]},
        "roles": {"name": "r", "permissions": ["jobs.view"], "users": [kim.pk]},
        "connections": {
            "name": "another",
            "engine": "mariadb",
            "host": "db",
            "database": "shop",
            "username": "app",
        },
        "privileges": {"name": "p", "kinds": ["select"]},
        "grants": {
            "user": "kim",
            "connection": "shop",
            "privilege": "read-only",
            "hours": hours,
        },
        "access-rules": rule,
        "masking-rules": {**rule, "masker": {"kind": "full", "params": {}}},
        "statement-rules": {**rule, "check": "kind", "values": ["drop"]},
        "api-tokens": {"name": "t", "scopes": ["own.view"]},
        "proxy-tokens": {"name": "t", "connection": "shop"},
    }


def test_what_is_made_listed_and_read_is_as_documented(
    document: dict[str, Any], as_owner: Any, bodies: dict[str, dict[str, Any]]
) -> None:
    found: list[str] = []
    for path, body in bodies.items():
        made = as_owner.post(path, body)
        assert made.status_code == 201, (path, made.content)
        found += faults(document, "POST", path, made)
        entry = f"{path}/{made.json()['id']}"
        found += faults(document, "GET", f"{path}/{{id}}", as_owner.get(entry))
        listed = as_owner.get(path)
        assert listed.json()["results"], path
        found += faults(document, "GET", path, listed)
    assert not found, "\n".join(found)


def test_other_answers_are_as_documented(
    document: dict[str, Any], as_owner: Any, bodies: dict[str, dict[str, Any]]
) -> None:
    _ = bodies  # with a connection
    connection = as_owner.get("connections").json()["results"][0]["id"]
    crawl = as_owner.post(f"connections/{connection}/crawl")
    found = faults(document, "POST", "connections/{id}/crawl", crawl)
    run = "jobs/schema_crawl/runs"
    asked = {
        "jobs": "jobs",
        "jobs/{name}": "jobs/schema_crawl",
        "jobs/{name}/runs": run,
        "jobs/{name}/runs/{run_id}": f"{run}/{crawl.json()['id']}",
        **{
            path: path
            for path in (
                "me",
                "me/web-sessions",
                "engines",
                "overview",
                "agents",
                "sessions",
                "masking-rules/maskers",
                "audit/summary",
                "audit/statements",
                "audit/events",
                "auth/csrf",
            )
        },
    }
    for documented, path in asked.items():
        found += faults(document, "GET", documented, as_owner.get(path))
    verified = as_owner.post("audit/verify", {"since": "2026-01-01T00:00:00Z"})
    found += faults(document, "POST", "audit/verify", verified)
    masker = {"kind": "full", "params": {}}
    shown = as_owner.post("masking-rules/preview", {"masker": masker, "values": ["a"]})
    found += faults(document, "POST", "masking-rules/preview", shown)
    assert not found, "\n".join(found)


def test_each_operation_names_the_scopes_that_it_needs(document: dict[str, Any]) -> None:
    for operation, needed in NEEDED.items():
        method, path = operation.split(" ")
        told = document["paths"][PREFIX + path][method.lower()]["description"]
        assert all(f"`{name}`" in told for name in needed), operation


def test_a_change_of_an_entry_names_its_guard(document: dict[str, Any]) -> None:
    for path, entries in document["paths"].items():
        for method in ("put", "patch", "delete"):
            if path.endswith("/{id}") and method in entries:
                named = [one["name"] for one in entries[method]["parameters"]]
                assert "If-Match" in named, (method, path)


def test_filters_of_the_export_are_those_of_the_list(document: dict[str, Any]) -> None:
    def names(path: str) -> set[str]:
        return {one["name"] for one in document["paths"][PREFIX + path]["get"]["parameters"]}

    listed = names("audit/statements") - {"cursor", "limit"}
    assert names("audit/statements/export") == listed | {"format", "bom"}
