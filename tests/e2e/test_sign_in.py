"""Getting in: deep links, wrong passwords, locked accounts, language, theme, what is not there."""

from __future__ import annotations

import secrets
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.screen import Expected, Screen
from tests.e2e.words import LANGUAGES, Language
from tests.fix_system import System

pytestmark = pytest.mark.e2e

REFUSED = Expected(401, "/api/v1/auth/sign-in")


def theme_of(screen: Screen) -> str | None:
    return screen.page.locator("html").get_attribute("data-theme")


@pytest.mark.parametrize("language", LANGUAGES)
def test_deep_link_survives_signing_in(visit: Visit, system: System, language: Language) -> None:
    path = "/rules/masking?search=e-mail"
    screen = visit(language=language, path=path)
    expect(screen.heading("auth.signIn")).to_be_visible()
    assert f"next={quote(path, safe='')}" in screen.page.url
    admin = system.accounts["admin"]
    screen.sign_in(admin.username, admin.password)
    expect(screen.heading("rules.title").or_(screen.heading("rules.masking.title"))).to_be_visible()
    assert screen.page.url == system.web + path
    expect(screen.row("PII e-mail")).to_have_count(1)
    expect(screen.page.locator("html")).to_have_attribute("lang", language)


def test_link_to_another_site_is_not_followed(visit: Visit, system: System) -> None:
    link = "https://elsewhere.example/"  # the other shapes are the pages' own tests
    screen = visit("analyst", path=f"/sign-in?next={quote(link, safe='')}", by_form=True)
    expect(screen.page).to_have_url(f"{system.web}/editor")


@pytest.mark.parametrize("language", LANGUAGES)
def test_wrong_password_is_told_and_tells_nothing(
    visit: Visit, system: System, language: Language
) -> None:
    screen = visit(language=language)
    screen.expected.add(REFUSED)
    texts = []
    for username in ("auditor", f"nobody-{secrets.token_hex(4)}"):
        screen.sign_in(username, "not the password")
        alert = screen.page.get_by_role("alert")
        expect(alert).to_have_text(screen.words("auth.wrong"))
        texts.append(alert.text_content())
    assert len(set(texts)) == 1
    auditor = system.accounts["auditor"]
    screen.sign_in(auditor.username, auditor.password)
    screen.expect_inside()


def test_empty_form_is_not_sent(visit: Visit) -> None:
    screen = visit(path="/sign-in")
    screen.button("auth.signIn").click()
    expect(screen.page.get_by_role("alert")).to_have_text(screen.words("auth.fillIn"))


def test_locked_account_is_refused_until_an_admin_unlocks_it(
    visit: Visit, admin_api: Api, system: System
) -> None:
    username = f"locked-{secrets.token_hex(4)}"
    user = admin_api.write("users", {"username": username, "display_name": "Locked Person"})
    try:
        password = admin_api.write(f"users/{user['id']}/temporary-password", {})["password"]
        with httpx.Client(base_url=system.web, trust_env=False, timeout=30) as stranger:
            for _attempt in range(20):
                if admin_api.read(f"users/{user['id']}")["is_locked"]:
                    break
                token = stranger.get("/api/v1/auth/csrf").json()["token"]
                stranger.post(
                    "/api/v1/auth/sign-in",
                    json={"username": username, "password": "guess"},
                    headers={"X-CSRFToken": token, "Origin": system.web},
                )
            else:
                pytest.fail("twenty wrong passwords lock an account")
        screen = visit()
        screen.expected |= {REFUSED, Expected(403, "/api/v1/auth/sign-in")}
        screen.sign_in(username, password)
        expect(screen.page.get_by_role("alert")).to_be_visible()

        admin = visit("admin", path=f"/users/{user['id']}")
        expect(admin.page.get_by_text(admin.words("users.locked"), exact=True)).to_be_visible()
        admin.button("users.unlock").click()
        expect(admin.page.get_by_text(admin.words("users.unlocked"))).to_be_visible()

        screen.sign_in(username, password)
        # The temporary password has to be replaced before anything else.
        expect(screen.heading("auth.newPassword")).to_be_visible()
        screen.field("auth.currentPassword").fill(password)
        fresh = secrets.token_urlsafe(16)
        screen.field("auth.newPassword").fill(fresh)
        screen.field("auth.repeatPassword").fill(fresh)
        screen.button("auth.changePassword").click()
        screen.expect_inside()
        screen.page.close()  # it would still ask for what a deactivated person may not have
    finally:
        # People are deactivated, not deleted: the audit log goes on naming them.
        admin_api.change(f"users/{user['id']}", {"is_active": False, "deactivation_reason": "test"})


def test_language_and_theme_stay_chosen(visit: Visit) -> None:
    screen = visit("developer", "en", by_form=True)
    screen.button("frame.theme").click()
    screen.page.get_by_role("menuitemradio", name=screen.words("theme.dark")).click()
    expect(screen.page.locator("html")).to_have_attribute("data-theme", "dark")
    screen.button("frame.language").click()
    screen.page.get_by_role("menuitemradio", name=screen.words("language.ko")).click()
    screen.language = "ko"
    expect(screen.link("nav.editor")).to_be_visible()
    screen.page.reload()
    screen.expect_inside()
    expect(screen.link("nav.editor")).to_be_visible()
    assert theme_of(screen) == "dark"
    screen.button("frame.person").click()
    screen.page.get_by_role("menuitem", name=screen.words("auth.signOut")).click()
    expect(screen.heading("auth.signIn")).to_be_visible()
    assert theme_of(screen) == "dark"
    screen.button("frame.language").click()
    screen.page.get_by_role("menuitemradio", name=screen.words("language.en")).click()
    screen.language = "en"
    expect(screen.heading("auth.signIn")).to_be_visible()


def test_account_brings_its_language_to_a_new_browser(visit: Visit, system: System) -> None:
    screen = visit(language="en", remembers=False)
    # The form speaks the browser's language; inside, the analyst's own is Korean.
    expect(screen.heading("auth.signIn")).to_be_visible()
    analyst = system.accounts["analyst"]
    screen.sign_in(analyst.username, analyst.password)
    screen.language = "ko"
    screen.expect_inside()


@pytest.mark.parametrize("cookies", [{}, {"querykeep_session": "made-up"}, {"other": "1"}])
def test_nobody_gets_what_someone_else_signed_in_for(
    system: System, cookies: dict[str, str]
) -> None:
    with (
        httpx.Client(base_url=system.web, trust_env=False, timeout=30) as someone,
        httpx.Client(base_url=system.web, trust_env=False, timeout=30, cookies=cookies) as stranger,
    ):
        for name in ("admin", "analyst"):
            account = system.accounts[name]
            token = someone.get("/api/v1/auth/csrf").json()["token"]
            signed_in = someone.post(
                "/api/v1/auth/sign-in",
                json={"username": account.username, "password": account.password},
                headers={"X-CSRFToken": token, "Origin": system.web},
            )
            assert signed_in.status_code == 200, signed_in.text
            assert someone.get("/api/v1/me").json()["username"] == name
            assert stranger.get("/api/v1/me").status_code == 401
            assert someone.get("/api/v1/me").json()["username"] == name


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_that_is_not_there(visit: Visit, language: Language) -> None:
    screen = visit("analyst", language, path="/no/such/page")
    expect(
        screen.heading("missing.title").or_(screen.page.get_by_text(screen.words("missing.title")))
    ).to_be_visible()
    screen.link("missing.home").click()
    expect(screen.page).to_have_url(f"{screen.web}/editor")


def test_page_without_permission_says_what_is_needed(visit: Visit) -> None:
    screen = visit("analyst")
    for path in ("/users", "/jobs", "/audit/statements", "/sessions", "/grants"):
        screen.go(path)
        expect(screen.page.get_by_text(screen.words("errors.forbidden.title"))).to_be_visible()
        assert screen.page.get_by_role("table").count() == 0


def test_page_carries_a_strict_policy(system: System) -> None:
    with httpx.Client(trust_env=False, timeout=30) as http:
        answer = http.get(f"{system.web}/editor")
    policy = answer.headers["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
    assert directives["default-src"] in ("'self'", "'none'")
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    assert directives["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
