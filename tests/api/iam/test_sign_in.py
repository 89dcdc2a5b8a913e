"""Signing in: cookies, CSRF, lockout without telling who exists, password rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
PASSWORD = "correct horse battery"


def csrf(client: Client) -> str:
    token: str = client.get("/api/v1/auth/csrf").json()["token"]
    return token


def post(client: Client, path: str, body: object, token: str | None = None) -> Any:
    headers = {"X-CSRFToken": token} if token else {}
    return client.post(
        f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers
    )


def sign_in(client: Client, username: str, password: str) -> Any:
    return post(client, "auth/sign-in", {"username": username, "password": password}, csrf(client))


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True)


def test_sign_in_gives_a_session_and_me(browser: Client, new_user: Any) -> None:
    new_user("kim", "users.view", password=PASSWORD)
    answer = sign_in(browser, "KIM", PASSWORD)
    assert answer.status_code == 200, answer.content
    assert answer.json()["username"] == "kim"
    assert answer.json()["permissions"] == ["users.view"]
    cookie = answer.cookies["querykeep_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert browser.get("/api/v1/me").json()["session_expires_at"]


def test_sign_in_without_csrf_token_is_refused(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    answer = post(browser, "auth/sign-in", {"username": "kim", "password": PASSWORD})
    assert answer.status_code == 403
    assert answer.json()["code"] == "csrf_failed"


def test_write_with_session_needs_csrf_token(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    sign_in(browser, "kim", PASSWORD)
    body = json.dumps({"theme": "dark"})
    refused = browser.patch("/api/v1/me", body, content_type="application/json")
    assert refused.status_code == 403
    assert refused.json()["code"] == "csrf_failed"
    done = browser.patch(
        "/api/v1/me",
        body,
        content_type="application/json",
        headers={"X-CSRFToken": csrf(browser)},
    )
    assert done.status_code == 200, done.content
    assert done.json()["theme"] == "dark"
