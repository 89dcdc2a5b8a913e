"""Every operation of the OpenAPI document: anonymous, without its scope, with it, out of reach."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

OPEN = frozenset({"GET auth/csrf", "POST auth/sign-in", "POST auth/owner-link"})
ANY_TOKEN = frozenset({"GET me", "GET engines"})
PERSON_ONLY = frozenset(
    {
        "POST auth/sign-out",
        "POST auth/password",
        "GET agent-logins/{login_id}",
        "POST agent-logins/{login_id}/confirm",
        "POST agent-logins/{login_id}/deny",
        "POST agent-logins/device",
    }
)


def _crud(path: str, read: str, write: str) -> dict[str, tuple[str, ...]]:
    return {
        f"GET {path}": (read,),
        f"GET {path}/{{id}}": (read,),
        f"POST {path}": (write,),
        **{f"{method} {path}/{{id}}": (write,) for method in ("PUT", "PATCH", "DELETE")},
    }


CONNECTIONS = ("own.view", "connections.view")
SESSIONS_SEE, SESSIONS_END = ("own.view", "sessions.view"), ("own.change", "sessions.end")
# The scopes of which an operation wants one.
NEEDED: dict[str, tuple[str, ...]] = {
    **_crud("users", "users.view", "users.change"),
    **_crud("groups", "users.view", "users.change"),
    **_crud("roles", "users.view", "roles.change"),
    **_crud("connections", "connections.view", "connections.change"),
    **_crud("privileges", "policy.view", "policy.change"),
    **_crud("grants", "policy.view", "policy.change"),
    **_crud("access-rules", "policy.view", "policy.change"),
    **_crud("masking-rules", "policy.view", "policy.change"),
    **_crud("statement-rules", "policy.view", "policy.change"),
    **_crud("api-tokens", "own.view", "own.tokens"),
    **_crud("proxy-tokens", "own.view", "own.tokens"),
    "POST users/{id}/unlock": ("users.change",),
    "POST users/{id}/temporary-password": ("users.change",),
    "GET connections": CONNECTIONS,
    "GET connections/{id}": CONNECTIONS,
    "GET connections/{id}/catalog": CONNECTIONS,
    "GET connections/{id}/catalog/{schema_name}/{relation_name}": CONNECTIONS,
    "POST connections/test": ("connections.change",),
    "POST connections/{id}/test": ("connections.change",),
    "POST connections/{id}/crawl": ("jobs.run",),
    "GET masking-rules/maskers": ("policy.view",),
    "POST masking-rules/preview": ("policy.view",),
    "GET agents": ("own.view",),
    "GET agents/{id}": ("own.view",),
    "DELETE agents/{id}": ("own.change",),
    "PATCH me": ("own.change",),
    "GET me/web-sessions": ("own.view",),
    "DELETE me/web-sessions/{session_id}": ("own.change",),
    "GET sessions": SESSIONS_SEE,
    "GET sessions/{id}": SESSIONS_SEE,
    "POST sessions/{id}/end": SESSIONS_END,
    "POST sessions/{id}/cancel": SESSIONS_END,
    "GET jobs": ("jobs.view",),
    "GET jobs/{name}": ("jobs.view",),
    "GET jobs/{name}/runs": ("jobs.view",),
    "GET jobs/{name}/runs/{run_id}": ("jobs.view",),
    "PATCH jobs/{name}": ("jobs.run",),
    "POST jobs/{name}/run": ("jobs.run",),
    "GET health": ("jobs.view",),
    "GET overview": ("own.view",),
    "POST explain": ("explain.use",),
    "GET audit/statements": ("audit.view",),
    "GET audit/statements/{id}": ("audit.view",),
    "GET audit/statements/export": ("audit.export",),
    "GET audit/events": ("audit.view",),
    "GET audit/events/{id}": ("audit.view",),
    "GET audit/summary": ("audit.view",),
    "POST audit/verify": ("audit.export",),
}
MALFORMED = ("0", "x" * 300, "%C3%A9", "a b", "'--", "-1", "UPPER")


def operations() -> list[str]:
    """Every operation that the OpenAPI document names, as ``METHOD path``."""
    from drf_spectacular.generators import SchemaGenerator

    document = SchemaGenerator().get_schema(public=True)
    return [
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, entries in document["paths"].items()
        for method in entries
        if method in ("get", "post", "put", "patch", "delete")
    ]


def filled(path: str, identifier: str) -> str:
    """A path with its parameters replaced."""
    parts = [identifier if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def test_the_table_names_every_operation() -> None:
    assert sorted(operations()) == sorted({*NEEDED, *OPEN, *ANY_TOKEN, *PERSON_ONLY})


def test_nobody_gets_anything_whatever_the_id_looks_like(anonymous: Any) -> None:
    for operation in operations():
        if operation in OPEN:
            continue
        method, path = operation.split(" ")
        found = {
            identifier: anonymous(method, filled(path, identifier), {}).status_code
            for identifier in ("0" * 26, *MALFORMED)
        }
        assert set(found.values()) == {401}, (operation, found)


def test_a_token_with_every_other_scope_is_refused(owner: Any, as_user: Any) -> None:
    from querykeep_api.kernel.permissions import SCOPES

    for operation, needed in NEEDED.items():
        method, path = operation.split(" ")
        caller = as_user(owner, *(set(SCOPES) - set(needed)))
        answer = caller(method, filled(path, "0" * 26), {})
        assert answer.status_code == 403, (operation, answer.content)
        assert all(name in answer.json()["detail"] for name in needed), operation


def test_a_token_with_only_one_of_the_scopes_passes(owner: Any, as_user: Any) -> None:
    """It passes the check of scopes: then nothing is found, or the body is judged."""
    for operation, needed in NEEDED.items():
        if operation in ("GET health", "POST audit/verify"):
            continue  # long answers of their own tests
        method, path = operation.split(" ")
        for name in needed:
            caller = as_user(owner, name)
            answer = caller(method, filled(path, "0" * 26), {})
            expected = {404} if "{" in path else {200, 202, 400}
            assert answer.status_code in expected, (operation, name, answer.status_code)


def test_malformed_ids_are_nothing_to_be_found(as_owner: Any) -> None:
    for operation in NEEDED:
        method, path = operation.split(" ")
        if "{" not in path:
            continue
        for identifier in MALFORMED:
            answer = as_owner(method, filled(path, identifier), {})
            assert answer.status_code == 404, (operation, identifier, answer.status_code)
            assert answer["Content-Type"] == "application/problem+json"


def test_a_token_without_scopes_says_whose_it_is_and_no_more(new_user: Any) -> None:
    from tests.fix_api import ApiCaller

    from querykeep_api.iam.tokens import do_create_api_token

    user = new_user("kim", "users.view")
    _, secret = do_create_api_token(user, name="bare", scopes=(), acting_user=None)
    bare = ApiCaller({"Authorization": f"Bearer {secret}"})
    assert bare.get("me").json()["permissions"] == []
    assert bare.get("me").json()["scopes"] == []
    for operation in operations():
        if operation in OPEN or operation in ANY_TOKEN:
            continue
        method, path = operation.split(" ")
        answer = bare(method, filled(path, "0" * 26), {})
        assert answer.status_code == 403, (operation, answer.status_code)


def test_answers_of_a_person_are_not_for_tokens(as_owner: Any) -> None:
    for operation in PERSON_ONLY:
        method, path = operation.split(" ")
        answer = as_owner(method, filled(path, secrets.token_hex(16)), {})
        assert answer.status_code == 403, (operation, answer.content)


def test_a_token_makes_none_that_outlives_it(owner: Any, callers: Callable[..., Any]) -> None:
    short = callers(owner, "2031-01-01T00:00:00Z")
    later = {"name": "t", "scopes": ["own.tokens"], "expires_at": "2031-01-01T00:00:01Z"}
    for body in (later, {**later, "expires_at": None}, {"name": "t", "scopes": []}):
        refused = short.post("api-tokens", body)
        assert (refused.status_code, refused.json()["code"]) == (403, "cannot_raise"), body
    within = short.post("api-tokens", {**later, "expires_at": "2030-01-01T00:00:00Z"})
    assert within.status_code == 201
    itself = next(
        row["id"] for row in short.get("api-tokens").json()["results"] if row["name"] == "short"
    )
    assert short.patch(f"api-tokens/{itself}", {"expires_at": None}).status_code == 403


def test_a_token_makes_no_proxy_token_that_outlives_it(
    new_user: Any, callers: Callable[..., Any], as_user: Any
) -> None:
    from tests.api.kernel.test_permissions import make_connection

    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.models import Privilege

    kim, connection = new_user("kim"), make_connection()
    privilege = Privilege.objects.get(name="read-only")
    do_create_grant(
        user=kim, group=None, connection=connection, privilege=privilege, acting_user=None
    )
    short = callers(kim, "2031-01-01T00:00:00Z")
    body = {"name": "p", "connection": connection.pk}
    for ends in ({}, {"expires_at": None}, {"expires_at": "2031-01-01T00:00:01Z"}):
        refused = short.post("proxy-tokens", {**body, **ends})
        assert (refused.status_code, refused.json()["code"]) == (403, "cannot_raise"), ends
    made = short.post("proxy-tokens", {**body, "expires_at": "2030-01-01T00:00:00Z"})
    assert made.status_code == 201
    path = f"proxy-tokens/{made.json()['id']}"
    assert short.patch(path, {"expires_at": None}).status_code == 403
    assert as_user(kim).patch(path, {"expires_at": None}).status_code == 200
    shown = short.get(path).json()
    assert short.put(path, {**shown, "name": "q"}).status_code == 200


@pytest.fixture
def callers(db: None) -> Callable[..., Any]:
    """Makes a caller with a token that ends at a time."""
    from tests.fix_api import ApiCaller

    from querykeep_api.iam.tokens import do_create_api_token
    from querykeep_api.kernel.permissions import SCOPES
    from querykeep_api.kernel.rest.filters import read_moment

    def make(user: Any, expires_at: str) -> ApiCaller:
        _, secret = do_create_api_token(
            user,
            name="short",
            scopes=tuple(SCOPES),
            expires_at=read_moment(expires_at),
            acting_user=None,
        )
        return ApiCaller({"Authorization": f"Bearer {secret}"})

    return make
