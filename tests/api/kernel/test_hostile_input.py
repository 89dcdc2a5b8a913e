"""Bodies and queries that no client of ours sends: each is answered as a problem, none breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.kernel.test_routes import NEEDED, filled

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

DEEP = '{"name":' + "[" * 100_000 + "]" * 100_000 + "}"
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1.5,
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "x" * 100_000,
    "‮한글\u200b",
    [],
    [[[]]],
    ["\x00"],
    [None],
    {},
    {"id": "\x00"},
    {"id": None},
    {"id": ["x"]},
    {"\x00": "\x00"},
    {"kind": "\x00", "params": {"\x00": "\x00"}},
    {"kind": "full", "params": {"x": {"y": "\x00"}}},
    [{"schema": "\x00", "table": "x", "column": "y"}],
    {"everyone": True, "users": ["\x00"], "groups": [{}]},
    {"weekdays": [9], "start": "x", "end": "\x00", "zone": "../../etc/passwd"},
)
BODIES: dict[str, dict[str, Any]] = {
    "users": {"username": "u", "display_name": "", "email": "", "language": "ko", "groups": [],
              "roles": [], "is_active": True, "deactivation_reason": ""},
    "groups": {"name": "g", "description": "", "members": []},
    "roles": {"name": "r", "description": "", "permissions": [], "users": [], "groups": []},
    "connections": {"name": "c", "engine": "postgresql", "host": "db", "port": 1, "database": "d",
                    "username": "u", "password": "p", "tls_mode": "prefer", "tls_ca_pem": "",
                    "tls_client_cert_pem": "", "tls_client_key_pem": "", "tls_required": False,
                    "tags": {}, "is_enabled": True, "description": ""},
    "privileges": {"name": "p", "description": "", "kinds": ["select"], "functions": []},
    "grants": {"user": "x", "group": None, "connection": "x", "privilege": "x", "objects": [],
               "valid_from": None, "valid_until": None, "hours": None},
    "access-rules": {"name": "a", "connections": [], "objects": [], "applies_to": {}, "exempt": {},
                     "is_enabled": True},
    "masking-rules": {"name": "m", "connections": [], "objects": [], "applies_to": {},
                      "exempt": {}, "masker": {}, "relaxations": []},
    "statement-rules": {"name": "s", "connections": [], "objects": [], "applies_to": {},
                        "exempt": {}, "check": "kind", "effect": "deny", "values": [],
                        "priority": 1},
    "api-tokens": {"name": "t", "scopes": [], "expires_at": None},
    "proxy-tokens": {"name": "t", "connection": "x", "expires_at": None},
    "explain": {"user": "x", "connection": "x", "statement": "SELECT 1"},
    "masking-rules/preview": {"masker": {"kind": "full"}, "values": []},
    "audit/verify": {"since": None},
}  # fmt: skip
QUERIES = (
    "cursor=x",
    "cursor=cD1ub25zZW5zZQ%3D%3D",  # p=nonsense
    "cursor=bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk%3D",  # o=999…
    "limit=0",
    "limit=-1",
    "limit=99999999999999999999",
    "limit=x",
    "search=%FF",
    "search=" + "a" * 5000,
    "search=%25_%5C%27%22",
    "ordering=-",
    "ordering=,",
    "ordering=password_hash",
    "ordering=user__password_hash",
    "ordering=id%3BDROP",
    "user=%5B%5D",
    "user__password_hash__startswith=a",
)


# Short lists that take no such query, whole each time.
PLAIN = ("jobs", "overview", "me/web-sessions", "masking-rules/maskers")


def send(caller: Any, method: str, path: str, text: str) -> Any:
    return caller._client.generic(
        method,
        f"/api/v1/{path}",
        text,
        content_type="application/json",
        headers=caller._headers,
    )


def test_no_field_of_a_body_breaks_its_resource(as_owner: Any) -> None:
    for path, whole in BODIES.items():
        for name in whole:
            for odd in ODD:
                answer = send(as_owner, "POST", path, json.dumps({**whole, name: odd}))
                assert answer.status_code < 500, (path, name, odd, answer.content)


def test_no_shape_of_a_body_breaks_anything(as_owner: Any) -> None:
    shapes = (DEEP, "", "null", "[]", '"x"', "1", "NaN", '{"a":Infinity}', "{", "\x00", "[{}]")
    for operation in NEEDED:
        method, path = operation.split(" ")
        if method == "GET" or path == "audit/verify":
            continue
        for text in shapes:
            answer = send(as_owner, method, filled(path, "0" * 26), text)
            assert answer.status_code < 500, (operation, text[:20], answer.content)


def test_no_query_breaks_a_list_or_reaches_what_it_does_not_offer(as_owner: Any) -> None:
    for operation in NEEDED:
        method, path = operation.split(" ")
        if method != "GET" or "{" in path or path == "health":
            continue
        for query in QUERIES:
            answer = as_owner.get(f"{path}?{query}")
            assert answer.status_code < 500, (path, query, answer.content)
            if "password_hash" in query and path not in PLAIN:
                assert answer.status_code == 400 or not answer.json().get("results"), (path, query)


def test_a_query_of_very_many_conditions_is_told_and_not_asked(as_owner: Any) -> None:
    many = "+".join(f"w{number}" for number in range(600))
    refused = {
        "search": f"search={many}",
        "name": "&".join(f"name=n{number}" for number in range(101)),
        "ordering": "ordering=name,-name",
    }
    for path in ("masking-rules", "groups", "connections"):
        for field, query in refused.items():
            answer = as_owner.get(f"{path}?{query}")
            assert (answer.status_code, list(answer.json()["fields"])) == (400, [field]), path
        words = "+".join(f"w{number}" for number in range(30))
        assert as_owner.get(f"{path}?search={words}&ordering=name,-created_at").status_code == 200


def test_read_only_fields_are_not_written(as_owner: Any, owner: Any) -> None:
    """What a body adds to the fields that may be written changes nothing."""
    from querykeep_api.iam.models import ApiToken, User

    extra = {
        "id": "0" * 26,
        "password_hash": "x",
        "must_change_password": True,
        "last_sign_in_at": "2000-01-01T00:00:00Z",
        "revision": 99,
        "is_builtin": True,
        "secret_hash": "x",
        "prefix": "x",
        "user": "0" * 26,
        "proxy_port": 1,
        "created_by": "0" * 26,
        "code": "M-1",
        "is_asleep": True,
    }
    made = as_owner.post("users", {"username": "kim", **extra}).json()
    row = User.everything.get(pk=made["id"])
    assert (row.password_hash, row.must_change_password, row.last_sign_in_at) == ("", False, None)
    assert row.pk != extra["id"]
    token = as_owner.post("api-tokens", {"name": "t", "scopes": [], **extra}).json()
    stored = ApiToken.everything.get(pk=token["id"])
    assert (stored.user_id, stored.secret_hash == "x") == (owner.pk, False)
    role = as_owner.post("roles", {"name": "r", "permissions": [], **extra}).json()
    assert role["is_builtin"] is False
    profile = as_owner.patch("me", {"username": "root", "email": "x@example.com", **extra}).json()
    assert (profile["username"], profile["email"]) == (owner.username, "")


def test_a_body_is_bounded_before_it_is_read(as_owner: Any, anonymous: Any) -> None:
    long = json.dumps({"name": "x" * 9_000_000})
    assert send(as_owner, "POST", "groups", long).status_code == 413
    # Without credentials nothing of it is even looked at, and the sign-in reads little.
    assert send(anonymous, "POST", "groups", long).status_code == 401
    from querykeep_api.kernel.rest.parsing import STRANGER_LIMIT_BYTES

    token = anonymous.get("auth/csrf").json()["token"]
    anonymous._headers = {"X-CSRFToken": token}
    body = json.dumps({"username": "kim", "password": "x" * STRANGER_LIMIT_BYTES})
    assert send(anonymous, "POST", "auth/sign-in", body).status_code == 413


def test_a_body_in_chunks_is_told_and_not_taken_for_an_empty_one(as_owner: Any) -> None:
    answer = as_owner._client.generic(
        "POST",
        "/api/v1/groups",
        headers={**as_owner._headers, "Transfer-Encoding": "chunked"},
    )
    assert (answer.status_code, answer.json()["code"]) == (411, "length_needed")


def test_a_part_of_a_nested_shape_is_taken_whole_in_a_patch_too(as_owner: Any) -> None:
    """A pattern without its schema, stored as it came, would break every session's policy."""
    from tests.api.kernel.test_permissions import OBJECT

    rule = {
        "name": "r",
        "objects": [OBJECT],
        "masker": {"kind": "full", "params": {}},
        "applies_to": {"everyone": True},
    }
    path = f"masking-rules/{as_owner.post('masking-rules', rule).json()['id']}"
    changed = as_owner.patch(path, {"objects": [{"table": "t"}]})
    assert changed.status_code == 200, changed.content
    assert changed.json()["objects"] == [{"schema": "*", "table": "t", "column": "*"}]
    for field in ("applies_to", "exempt"):
        answer = as_owner.patch(path, {field: {}})
        assert answer.status_code == 200, answer.content
    assert answer.json()["applies_to"] == {"everyone": False, "users": [], "groups": []}
    from tests.api.kernel.test_permissions import TestGrants

    grant = TestGrants().make()
    answer = as_owner.patch(f"grants/{grant.pk}", {"hours": {"weekdays": [0]}})
    assert answer.status_code == 400
    assert "hours.start" in answer.json()["fields"]
