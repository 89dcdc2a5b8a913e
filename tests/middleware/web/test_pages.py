"""The web UI in a browser: frame, sign-in, permissions, languages, themes, states."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect
from tests.accessibility import ZOOMED, serious_findings, sideways
from tests.middleware.web.fix_page import WebPage

ALL = [
    "users.view",
    "users.change",
    "roles.change",
    "connections.view",
    "connections.change",
    "policy.view",
    "policy.change",
    "sessions.view",
    "sessions.end",
    "jobs.view",
    "jobs.run",
    "audit.view",
    "audit.export",
    "explain.use",
]
PAGES = [
    "/overview",
    "/my/connections",
    "/connections",
    "/connections/new",
    "/grants",
    "/grants/new",
    "/privileges",
    "/privileges/new",
    "/rules/masking",
    "/rules/access",
    "/rules/statement",
    "/rules/statement/new",
    "/explain",
    "/users",
    "/users/new",
    "/groups",
    "/roles",
    "/roles/new",
    "/audit/statements",
    "/audit/events",
    "/sessions",
    "/jobs",
    "/health",
    "/profile",
    "/gallery",
    "/nowhere",
]


def real_errors(web: WebPage) -> list[str]:
    return [text for text in web.errors if "Failed to load resource" not in text]


def test_a_deep_link_survives_sign_in(web: WebPage) -> None:
    web.prefer("en", "light")
    web.open("/grants?state=expired")
    expect(web.page.get_by_role("heading", name="Sign in")).to_be_visible()
    web.me(*ALL)
    web.answers["POST auth/sign-in"] = web.answers["GET me"]
    web.page.get_by_label("User name").fill("kim")
    web.page.get_by_label("Password", exact=True).fill("secret")
    web.page.get_by_role("button", name="Sign in").click()
    expect(web.page.get_by_role("heading", name="Grants")).to_be_visible()
    assert web.page.url.endswith("/grants?state=expired")
    assert ("POST", "auth/sign-in", {"username": "kim", "password": "secret"}) in web.sent


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_signing_in_never_leads_to_another_site(web: WebPage, target: str) -> None:
    web.prefer("en", "light")
    web.me()
    web.answers["POST auth/sign-in"] = web.answers["GET me"]
    web.open(f"/sign-in?next={target}")
    web.page.get_by_label("User name").fill("kim")
    web.page.get_by_label("Password", exact=True).fill("secret")
    web.page.get_by_role("button", name="Sign in").click()
    expect(web.page.get_by_role("navigation")).to_be_visible()
    assert web.page.url.startswith(web.address)


def test_a_wrong_password_is_said_in_words(web: WebPage) -> None:
    web.prefer("ko", "dark")
    web.answers["POST auth/sign-in"] = (401, {"code": "bad_credentials", "title": "no"})
    web.open("/sign-in")
    web.page.get_by_label("사용자 이름").fill("kim")
    web.page.get_by_label("비밀번호", exact=True).fill("x")
    web.page.get_by_role("button", name="로그인").click()
    expect(web.page.get_by_role("alert")).to_contain_text("맞지 않습니다")


def test_who_must_change_his_password_sees_nothing_else(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL, must_change_password=True)
    web.open("/users")
    expect(web.page.get_by_role("heading", name="New password")).to_be_visible()
    expect(web.page.get_by_role("navigation")).to_have_count(0)


def test_people_see_only_what_their_permissions_cover(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me("audit.view")
    web.open("/audit/statements")
    links = web.page.get_by_role("navigation").get_by_role("link")
    expect(links).to_have_text(
        ["Overview", "SQL editor", "My connections", "History", "Statements",
         "Sign-ins and changes"]
    )  # fmt: skip
    expect(web.page.get_by_role("button", name="Export")).to_have_count(0)
    web.open("/users")
    expect(web.page.get_by_text("You may not see this")).to_be_visible()
    assert not [path for _method, path, _body in web.sent if path == "users"]


@pytest.mark.parametrize(("language", "theme"), [("ko", "dark"), ("en", "light")])
def test_every_page_draws_for_everyone_under_the_strict_csp(
    web: WebPage, language: str, theme: str
) -> None:
    web.prefer(language, theme)
    web.me(*ALL)
    web.answers["GET overview"] = {"users": {"count": 3, "list": "/api/v1/users?is_active=true"}}
    web.answers["GET audit/summary"] = summary()
    web.answers["GET engines"] = {"results": [engine()]}
    web.answers["GET health"] = {
        "at": "2026-01-02T03:04:05Z", "ok": False,
        "parts": [{"name": "worker", "ok": False, "message": "no heartbeat", "duration_ms": 1.5}],
    }  # fmt: skip
    findings = []
    for path in PAGES:
        web.open(path)
        expect(web.page.locator("h1, h2").first).to_be_visible()
        if path != "/gallery":  # which shows the state of waiting for good
            expect(web.page.locator(".qk-skeleton")).to_have_count(0)
        assert real_errors(web) == [], path
        assert web.page.evaluate("document.documentElement.lang") == language
        assert web.page.evaluate("document.documentElement.dataset.theme") == theme
        if path == "/gallery" and theme == "dark":  # it shows every component and state
            findings += serious_findings(web.page, only_colours=True)
        if theme == "light":
            findings += serious_findings(web.page)
            web.page.set_viewport_size({"width": ZOOMED[0], "height": ZOOMED[1]})
            findings += sideways(web.page)
            web.page.set_viewport_size({"width": 1440, "height": 900})
    assert findings == []


def test_hidden_columns_stay_hidden(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    web.answers["GET users"] = {"results": [user()], "next": None, "previous": None}
    web.open("/users")
    headers = web.page.get_by_role("columnheader")
    expect(headers).not_to_have_count(0)
    everything = headers.all_text_contents()
    web.page.get_by_role("button", name="Columns").click()
    menu = web.page.get_by_role("menu")
    # What the list is about cannot be hidden.
    expect(menu.get_by_text(everything[0], exact=True)).to_have_count(0)
    for name in everything[2:4]:
        menu.get_by_role("menuitemcheckbox", name=name, exact=True).click()
    left = [name for name in everything if name not in everything[2:4]]
    expect(headers).to_have_text(left)
    web.page.reload()
    expect(headers).to_have_text(left)
    web.page.get_by_role("button", name="Columns").click()
    menu.get_by_role("menuitemcheckbox", name=everything[2], exact=True).click()
    expect(headers).to_have_count(len(left) + 1)


def test_a_day_without_statements_is_said_in_words(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    web.answers["GET overview"] = {"users": {"count": 3, "list": "/api/v1/users?is_active=true"}}
    nothing = dict.fromkeys(summary()["by_verdict"], 0)
    web.answers["GET audit/summary"] = summary() | {
        "total": 0, "by_verdict": nothing, "hours": [],
    }  # fmt: skip
    web.open("/overview")
    expect(web.page.get_by_text("No statement ran in the last 24 hours.")).to_be_visible()
    expect(web.page.locator(".qk-chart")).to_have_count(0)


def test_an_expired_session_keeps_the_form_and_goes_on(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    me = web.answers["GET me"]
    web.open("/groups/new")
    web.page.get_by_label("Name").fill("Analysts")
    web.answers["POST groups"] = (401, {"code": "not_signed_in", "title": "Sign in first"})
    web.page.get_by_role("button", name="Save").click()
    dialog = web.page.get_by_role("dialog")
    expect(dialog.get_by_label("User name")).to_have_value("kim")
    web.answers["POST auth/sign-in"] = (401, {"code": "bad_credentials", "title": "no"})
    web.page.keyboard.type("wrong")  # the password has the focus
    web.page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("is wrong")
    web.answers["POST auth/sign-in"] = me
    web.answers["POST groups"] = {"id": "g1", "name": "Analysts", "description": "", "users": []}
    dialog.get_by_label("Password", exact=True).fill("secret")
    web.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(web.page.get_by_label("Name")).to_have_value("Analysts")
    assert web.page.url.endswith("/groups/new")
    web.page.get_by_role("button", name="Save").click()
    expect(web.page.get_by_role("heading", name="Groups", exact=True)).to_be_visible()


def test_a_failing_list_says_so_and_can_be_tried_again(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    web.answers["GET users"] = (
        500, {"code": "internal", "title": "x", "request_id": "req-1"}
    )  # fmt: skip
    web.open("/users")
    expect(web.page.get_by_text("The service failed")).to_be_visible()
    expect(web.page.get_by_text("req-1")).to_be_visible()
    web.answers["GET users"] = {"results": [user()], "next": None, "previous": None}
    web.page.get_by_role("button", name="Try again").click()
    expect(web.page.get_by_role("cell", name="이분석")).to_be_visible()


def test_a_session_is_ended_only_after_its_name_was_typed(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    session = {
        "id": "s1", "user": {"id": "u2", "name": "analyst"},
        "connection": {"id": "c1", "name": "shop"}, "route": "agentless",
        "client": {"address": "10.0.0.9", "program": "psql"},
        "opened_at": "2026-01-02T03:04:05Z", "state": "idle", "statement": "",
        "statement_since": None, "rows": 0, "bytes": 0, "ep": "proxy-1", "etag": "1",
    }  # fmt: skip
    web.answers["GET sessions"] = {"results": [session], "next": None, "previous": None}
    web.answers["GET sessions/s1"] = session
    web.answers["POST sessions/s1/end"] = session
    web.open("/sessions?selected=s1")
    web.page.get_by_role("button", name="End the session").click()
    dialog = web.page.get_by_role("dialog")
    act = dialog.get_by_role("button", name="End the session")
    expect(act).to_be_disabled()
    dialog.get_by_label("To go on, type").fill("analyst")
    act.click()
    expect(dialog).to_be_hidden()
    assert ("POST", "sessions/s1/end", {"reason": ""}) in web.sent


def test_the_palette_goes_anywhere_by_keyboard(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    web.open("/profile")
    expect(web.page.get_by_role("heading", name="Profile and tokens")).to_be_visible()
    web.page.keyboard.press("Control+k")
    web.page.keyboard.type("live")
    web.page.keyboard.press("Enter")
    expect(web.page.get_by_role("heading", name="Live sessions")).to_be_visible()


def test_a_form_asks_before_it_is_left_unsaved(web: WebPage) -> None:
    web.prefer("en", "light")
    web.me(*ALL)
    web.open("/groups")
    web.page.get_by_role("link", name="Add a group").first.click()
    web.page.get_by_label("Name").fill("Analysts")
    web.page.get_by_role("link", name="Users").click()
    expect(web.page.get_by_text("Leave without saving?")).to_be_visible()
    web.page.get_by_role("button", name="Stay").click()
    expect(web.page.get_by_label("Name")).to_have_value("Analysts")


def user() -> dict[str, Any]:
    return {
        "id": "u2", "username": "analyst", "display_name": "이분석", "email": "", "language": "ko",
        "is_active": True, "deactivation_reason": "", "is_locked": False,
        "last_sign_in_at": None, "groups": [], "roles": [],
        "created_at": "2026-01-02T03:04:05Z", "etag": "1",
    }  # fmt: skip


def engine() -> dict[str, Any]:
    return {
        "name": "some", "label": "Some", "default_port": 1234, "dialect": "some",
        "identifier_quote": '"', "capabilities": [], "system_schemas": [], "cli": "some",
        "cli_line": "some {host}{tls}", "cli_tls": "", "url": "some://{host}",
        "jdbc": "jdbc:some://{host}", "jdbc_tls": "",
    }  # fmt: skip


def summary() -> dict[str, Any]:
    counts = {"allowed": 2, "masked": 1, "denied": 1, "needs_approval": 0, "needs_reason": 0}
    return {
        "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "total": 4,
        "by_verdict": counts, "hours": [{"at": "2026-01-01T05:00:00Z", **counts}],
    }  # fmt: skip
