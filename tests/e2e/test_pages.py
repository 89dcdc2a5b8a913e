"""Every page in both languages and themes: drawn without errors, accessible, pictured.

`QUERYKEEP_SCREENSHOTS` names the folder of the pictures (default: a temporary one), for a person to
look at; `QUERYKEEP_README_IMAGES` the one for those that the README shows.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.accessibility import serious_findings
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Visit
from tests.e2e.screen import Screen
from tests.e2e.words import LANGUAGES, Language
from tests.fix_system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

THEMES = ("light", "dark")

ADMIN_PAGES = {
    "overview": "/overview",
    "connections": "/connections",
    "connection-new": "/connections/new",
    "grants": "/grants",
    "grant-new": "/grants/new",
    "privileges": "/privileges",
    "rules-masking": "/rules/masking",
    "rules-access": "/rules/access",
    "rules-statement": "/rules/statement",
    "rule-new": "/rules/masking/new",
    "explain": "/explain",
    "users": "/users",
    "user-new": "/users/new",
    "groups": "/groups",
    "roles": "/roles",
    "statements": "/audit/statements",
    "sessions": "/sessions",
    "events": "/audit/events",
    "jobs": "/jobs",
    "health": "/health",
    "profile": "/profile",
    "gallery": "/gallery",
    "missing": "/no/such/page",
}
ANALYST_PAGES = {"my-connections": "/my/connections", "history": "/history"}


@pytest.fixture(scope="module")
def pictures() -> Path:
    """Where pictures go."""
    folder = Path(
        os.environ.get("QUERYKEEP_SCREENSHOTS") or tempfile.mkdtemp(prefix="qk-screenshots-")
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settled(screen: Screen) -> None:
    """Wait until the page has read what it shows."""
    screen.page.wait_for_load_state("networkidle")
    if not screen.page.url.endswith("/gallery"):  # which shows the state of waiting for good
        expect(screen.page.locator(".qk-skeleton")).to_have_count(0)


def look_at(screen: Screen, name: str, theme: str, pictures: Path) -> list[str]:
    """Take a page's picture and return its findings."""
    settled(screen)
    screen.page.screenshot(path=pictures / f"{name}.{screen.language}.{theme}.png")
    return serious_findings(screen.page)


def findings_in_both_themes(screen: Screen) -> list[str]:
    """Look at a page as it stands, in light and in dark."""
    if not screen.page.url.endswith("/gallery"):  # which shows the state of waiting for good
        expect(screen.page.locator(".qk-skeleton")).to_have_count(0)
    findings = []
    for theme in THEMES:
        screen.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = serious_findings(screen.page, only_colours=theme == "dark")
        findings += [f"{theme}: {finding}" for finding in found]
    return findings


def test_pages_with_real_data_are_for_everyone(visit: Visit, system: System) -> None:
    admin = visit("admin", "ko", path="/overview")
    findings = []
    # Those that data changes most; each page without any is looked at beside the middleware.
    for path in ("/overview", "/audit/statements", "/jobs", f"/connections/{system.mariadb.id}"):
        admin.go(path)
        expect(admin.page.locator("main h1")).to_be_visible()
        findings += findings_in_both_themes(admin)
    admin.go("/rules/masking")
    admin.row("PII e-mail").click()
    expect(admin.drawer).to_contain_text("customers.email")
    findings += findings_in_both_themes(admin)
    analyst = visit("analyst", "en", path="/my/connections")
    expect(analyst.page.locator("main h1")).to_be_visible()
    findings += findings_in_both_themes(analyst)
    editor = EditorScreen(analyst)
    editor.open(system.postgresql.id)
    editor.run("SELECT * FROM customers ORDER BY id LIMIT 500")
    editor.cell(0, 2)
    findings += findings_in_both_themes(analyst)
    editor.run("SELECT name, salary FROM employees")
    expect(editor.failure).to_be_visible()
    findings += findings_in_both_themes(analyst)
    analyst.go("/history")
    expect(analyst.row("salary").first).to_be_visible()
    findings += findings_in_both_themes(analyst)
    assert findings == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_administrators_pages(visit: Visit, pictures: Path, language: Language, theme: str) -> None:
    screen = visit("admin", language, theme=theme)
    findings = []
    for name, path in ADMIN_PAGES.items():
        screen.go(path)
        expect(screen.page.locator("main h1, main h2").first).to_be_visible()
        findings += look_at(screen, name, theme, pictures)
    screen.go("/rules/masking")
    screen.row("PII e-mail").click()
    expect(screen.drawer).to_contain_text("customers.email")
    findings += look_at(screen, "rule-drawer", theme, pictures)
    assert findings == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_analysts_pages(
    visit: Visit, system: System, pictures: Path, language: Language, theme: str
) -> None:
    screen = visit(language=language, theme=theme)
    findings = look_at(screen, "sign-in", theme, pictures)
    analyst = system.accounts["analyst"]
    screen.sign_in(analyst.username, analyst.password)
    screen.expect_inside()
    for name, path in ANALYST_PAGES.items():
        screen.go(path)
        findings += look_at(screen, name, theme, pictures)
    editor = EditorScreen(screen)
    editor.open(system.postgresql.id)
    findings += look_at(screen, "editor-empty", theme, pictures)
    editor.run("SELECT * FROM customers ORDER BY id LIMIT 500")
    editor.cell(0, 2)
    findings += look_at(screen, "editor-masked", theme, pictures)
    editor.run("SELECT name, salary FROM employees")
    expect(editor.failure).to_be_visible()
    findings += look_at(screen, "editor-refused", theme, pictures)
    editor.run("SELECT id, nope FROM orders")
    expect(editor.failure).to_be_visible()
    findings += look_at(screen, "editor-error", theme, pictures)
    assert findings == []


README: dict[str, tuple[str, str, str]] = {
    # name: account, theme, path
    "audit": ("auditor", "light", "/audit/statements"),
    "rules": ("admin", "light", "/rules/masking"),
    "overview": ("admin", "dark", "/overview"),
    "my-connections": ("analyst", "light", "/my/connections"),
}


@pytest.mark.slow
def test_pictures_of_the_readme(visit: Visit, system: System, pictures: Path) -> None:
    folder = Path(os.environ.get("QUERYKEEP_README_IMAGES") or pictures / "readme")
    folder.mkdir(parents=True, exist_ok=True)
    size = (1280, 800)

    def take(screen: Screen, name: str) -> None:
        settled(screen)
        file = folder / f"{name}.png"
        screen.page.screenshot(path=file)
        assert file.stat().st_size < 300_000

    steps: dict[str, Callable[[EditorScreen], None]] = {
        "editor-masked": lambda editor: editor.run(
            "-- e-mail, phone, resident number and card arrive masked\n"
            "SELECT id, name, email, phone, rrn, card_number, city, tier\n"
            "FROM customers\nORDER BY id\nLIMIT 500"
        ),
        "editor-refused": lambda editor: editor.run("SELECT name, salary FROM employees"),
    }
    for name, step in steps.items():
        screen = visit("analyst", "en", size=size)
        editor = EditorScreen(screen)
        editor.open(system.postgresql.id)
        step(editor)
        if name == "editor-masked":
            editor.cell(0, 2)
        take(screen, name)
    korean = visit("analyst", "ko", theme="dark", size=size)
    editor = EditorScreen(korean)
    editor.open(system.mariadb.id)
    editor.run(
        "SELECT o.id, c.name, c.email, c.phone, o.total, o.status\n"
        "FROM orders o JOIN customers c ON c.id = o.customer_id\nORDER BY o.id DESC\nLIMIT 200"
    )
    editor.cell(0, 2)
    take(korean, "editor-korean-dark")
    for name, (account, theme, path) in README.items():
        screen = visit(account, "en", theme=theme, size=size, path=path)
        take(screen, name)
