"""Attacks on people's browsers: forged writes, planted sessions, names told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from tests.api.iam.test_sign_in import PASSWORD, browser, csrf, sign_in
from tests.api.kernel.test_routes import ANY_TOKEN, OPEN, filled, operations

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
__all__ = ["browser"]


def forge(client: Client, operation: str, **headers: str) -> Any:
    method, path = operation.split(" ")
    return client.generic(
        method,
        f"/api/v1/{filled(path, '0' * 26)}",
        "{}",
        content_type=headers.pop("content_type", "application/json"),
        headers=headers,
    )


def writes() -> list[str]:
    return [
        operation
        for operation in operations()
        if not operation.startswith("GET ") and operation not in ANY_TOKEN
    ]


def test_no_write_happens_with_the_cookie_alone(browser: Client, owner: Any) -> None:
    from querykeep_api.iam.passwords import hash_password

    owner.password_hash = hash_password(PASSWORD)
    owner.save()
    assert sign_in(browser, owner.username, PASSWORD).status_code == 200
    foreign = csrf(Client(enforce_csrf_checks=True))
    token = csrf(browser)
    forged: tuple[dict[str, str], ...] = (
        {},
        {"X-CSRFToken": "x" * 64},
        {"X-CSRFToken": foreign},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"X-CSRFToken": token, "Origin": "https://evil.example"},
        {"X-CSRFToken": token, "Origin": "null"},
    )
    assert len(writes()) > 40
    for operation in writes():
        for headers in forged:
            answer = forge(browser, operation, **headers)
            assert answer.status_code == 403, (operation, headers, answer.content)
            assert answer.json()["code"] == "csrf_failed", (operation, headers)


def test_a_planted_session_cookie_is_not_taken_over(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    browser.cookies["querykeep_session"] = "planted-by-someone"
    assert sign_in(browser, "kim", PASSWORD).status_code == 200
    key = browser.cookies["querykeep_session"].value
    assert key != "planted-by-someone"
    assert len(key) >= 43
    before = csrf(browser)
    assert sign_in(browser, "kim", PASSWORD).status_code == 200
    assert browser.cookies["querykeep_session"].value != key
    assert csrf(browser) != before, "the CSRF token begins anew with the session"


def test_cookies_are_secure_where_people_come_over_https(
    browser: Client, new_user: Any, settings: Any
) -> None:
    settings.QUERYKEEP = replace(settings.QUERYKEEP, public_url="https://qk.example")
    settings.CSRF_COOKIE_SECURE = True
    new_user("kim", password=PASSWORD)
    answer = sign_in(browser, "kim", PASSWORD)
    for name in ("querykeep_session", settings.CSRF_COOKIE_NAME):
        cookie = answer.cookies[name]
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["domain"] == "", name


def test_every_refusal_of_a_sign_in_looks_the_same(browser: Client, new_user: Any) -> None:
    from querykeep_api.iam.actions import do_change_user
    from querykeep_api.iam.sign_in import do_set_temporary_password
    from querykeep_api.kernel import clock

    new_user("known", password=PASSWORD)
    new_user("no-password")
    inactive = new_user("inactive", password=PASSWORD)
    do_change_user(inactive, {"is_active": False, "deactivation_reason": "left"}, acting_user=None)
    over = new_user("over", password=PASSWORD)
    temporary = do_set_temporary_password(over, acting_user=None)
    over.temporary_password_until = clock.now()
    over.save()
    tries = (
        ("nobody", PASSWORD),
        ("known", "wrong password"),
        ("no-password", "x"),
        ("inactive", PASSWORD),
        ("over", temporary),
        ("NOBODY\u0130", PASSWORD),
        ("known ", "wrong password"),
    )
    seen = set()
    for username, password in tries:
        answer = sign_in(browser, username, password)
        body = answer.json()
        body.pop("request_id")
        seen.add((answer.status_code, json.dumps(body, sort_keys=True), tuple(answer.cookies)))
    assert len(seen) == 1, seen


def test_forwarded_headers_of_strangers_are_not_believed(db: None) -> None:
    from querykeep_api.kernel.context import client_address

    assert client_address("203.0.113.9", "10.0.0.1") == "203.0.113.9"
    assert client_address("127.0.0.1", "10.0.0.1, 198.51.100.7") == "198.51.100.7"
    assert client_address("127.0.0.1", "1.2.3.4, <script>") == "127.0.0.1"
    assert client_address("127.0.0.1", "1.2.3.4\x00") == "127.0.0.1"


def test_an_unknown_host_is_refused_and_named_in_no_link(as_owner: Any) -> None:
    for header in ("Host", "X-Forwarded-Host"):
        answer = as_owner.get("users?limit=1", **{header: "evil.example"})
        assert b"evil.example" not in answer.content, header
    assert as_owner.get("users", Host="evil.example").status_code == 400


def test_open_operations_are_these_only() -> None:
    assert {operation for operation in operations() if operation in OPEN} == OPEN
