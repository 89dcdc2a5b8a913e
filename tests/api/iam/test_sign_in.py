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


def test_five_wrong_tries_lock_and_look_like_unknown(browser: Client, new_user: Any) -> None:
    user = new_user("kim", password=PASSWORD)
    wrong = [sign_in(browser, "kim", "wrong password") for _ in range(5)]
    locked = sign_in(browser, "kim", PASSWORD)
    unknown = sign_in(browser, "nobody", PASSWORD)
    texts = {(answer.status_code, answer.json()["detail"]) for answer in [*wrong, locked, unknown]}
    assert len(texts) == 1
    assert texts.pop()[0] == 401
    user.refresh_from_db()
    assert user.locked_until is not None


def test_a_refused_sign_in_names_who_tried(browser: Client, new_user: Any) -> None:
    from querykeep_api.kernel.models import OutboxEvent

    kim = new_user("kim", password=PASSWORD)
    for name in ("kim", "nobody-here"):
        assert sign_in(browser, name, "wrong").status_code == 401
    told = OutboxEvent.objects.filter(kind="sign_in.refused").order_by("id")
    assert [(event.actor_id, event.actor_name) for event in told] == [
        (kim.pk, "kim"),
        ("", "nobody-here"),
    ]


def test_unlock_lets_him_in_again(browser: Client, new_user: Any, as_owner: Any) -> None:
    user = new_user("kim", password=PASSWORD)
    for _ in range(5):
        sign_in(browser, "kim", "wrong password")
    assert as_owner.get(f"users/{user.pk}").json()["is_locked"] is True
    assert as_owner.post(f"users/{user.pk}/unlock").json()["is_locked"] is False
    assert sign_in(browser, "kim", PASSWORD).status_code == 200


def test_a_success_forgets_earlier_failures(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    for _ in range(3):
        for _ in range(4):
            sign_in(browser, "kim", "wrong password")
        assert sign_in(browser, "kim", PASSWORD).status_code == 200


def test_temporary_password_must_be_changed_first(
    browser: Client, new_user: Any, as_owner: Any
) -> None:
    user = new_user("kim", "users.view", password=PASSWORD)
    temporary = as_owner.post(f"users/{user.pk}/temporary-password").json()["password"]
    assert sign_in(browser, "kim", PASSWORD).status_code == 401
    assert sign_in(browser, "kim", temporary).json()["must_change_password"] is True
    refused = browser.get("/api/v1/users")
    assert (refused.status_code, refused.json()["code"]) == (403, "must_change_password")
    change = {"current": temporary, "new": "a whole new sentence"}
    assert post(browser, "auth/password", change, csrf(browser)).status_code == 204
    assert browser.get("/api/v1/users").status_code == 200


@pytest.mark.parametrize("new", ["short", "aaaaaaaaaaaaaaaa", "kimberly is my name", PASSWORD])
def test_weak_passwords_are_refused(browser: Client, new_user: Any, new: str) -> None:
    new_user("kimberly", password=PASSWORD)
    sign_in(browser, "kimberly", PASSWORD)
    answer = post(browser, "auth/password", {"current": PASSWORD, "new": new}, csrf(browser))
    assert answer.status_code == 400
    assert "new" in answer.json()["fields"]


def test_password_change_ends_the_other_browsers(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    other = Client(enforce_csrf_checks=True)
    for one in (browser, other):
        sign_in(one, "kim", PASSWORD)
    assert len(browser.get("/api/v1/me/web-sessions").json()["results"]) == 2
    change = {"current": PASSWORD, "new": "a whole new sentence"}
    assert post(browser, "auth/password", change, csrf(browser)).status_code == 204
    assert other.get("/api/v1/me").status_code == 401
    assert browser.get("/api/v1/me").status_code == 200


def test_what_he_changes_of_himself_does_not_undo_what_was_done_to_him(new_user: Any) -> None:
    from querykeep_api.iam.actions import do_change_user
    from querykeep_api.iam.models import User
    from querykeep_api.iam.sign_in import do_change_password, do_set_temporary_password
    from querykeep_api.kernel.errors import NotSignedIn

    def change_password(user: Any) -> None:
        do_change_password(
            user,
            current=PASSWORD,
            new="a whole new sentence",
            keep_session_id="",
            acting_user=user,
        )

    kim = new_user("kim", password=PASSWORD)
    # His request has read his row already when an administrator's is carried out.
    his, again = (User.everything.get(pk=kim.pk) for _ in range(2))
    do_change_user(kim, {"is_active": False, "deactivation_reason": "left"}, acting_user=None)
    with pytest.raises(NotSignedIn):
        change_password(his)
    do_change_user(again, {"language": "ko"}, acting_user=again)
    now = User.everything.get(pk=kim.pk)
    assert (now.is_active, now.language) == (False, "ko")

    lee = new_user("lee", password=PASSWORD)
    his = User.everything.get(pk=lee.pk)
    do_set_temporary_password(lee, acting_user=None)
    with pytest.raises(NotSignedIn):
        change_password(his)
    assert User.everything.get(pk=lee.pk).must_change_password


def test_sign_out_ends_the_session_for_good(browser: Client, new_user: Any) -> None:
    new_user("kim", password=PASSWORD)
    key = sign_in(browser, "kim", PASSWORD).cookies["querykeep_session"].value
    assert post(browser, "auth/sign-out", {}, csrf(browser)).status_code == 204
    browser.cookies["querykeep_session"] = key
    assert browser.get("/api/v1/me").status_code == 401


def test_idle_and_absolute_limits(browser: Client, new_user: Any, settings: Any) -> None:
    from datetime import timedelta

    from querykeep_api.iam.models import WebSession

    new_user("kim", password=PASSWORD)
    sign_in(browser, "kim", PASSWORD)
    session = WebSession.objects.get()
    limit = timedelta(seconds=settings.QUERYKEEP.session_idle_s)
    WebSession.objects.update(last_seen_at=session.last_seen_at - limit)
    assert browser.get("/api/v1/me").status_code == 401
    WebSession.objects.update(last_seen_at=session.last_seen_at, expires_at=session.created_at)
    assert browser.get("/api/v1/me").status_code == 401


def test_owner_link_works_once(browser: Client) -> None:
    from querykeep_api.iam.sign_in import do_make_owner_link

    link = do_make_owner_link()
    body = {"link": link, "username": "first", "password": "a very long sentence"}
    made = post(browser, "auth/owner-link", body, csrf(browser))
    assert made.status_code == 200, made.content
    assert len(made.json()["permissions"]) == 14
    again = post(browser, "auth/owner-link", {**body, "username": "second"}, csrf(browser))
    assert again.status_code == 401
    assert again.json()["code"] == "bad_link"


def test_no_password_reaches_the_outbox(browser: Client, new_user: Any, as_owner: Any) -> None:
    from querykeep_api.kernel.models import OutboxEvent

    user = new_user("kim", password=PASSWORD)
    temporary = as_owner.post(f"users/{user.pk}/temporary-password").json()["password"]
    sign_in(browser, "kim", "wrong password value")
    text = json.dumps(list(OutboxEvent.objects.values("summary", "before", "after")))
    assert PASSWORD not in text
    assert temporary not in text
    assert "wrong password value" not in text
