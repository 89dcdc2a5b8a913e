"""The administrator's first day: a connection, its test and schema, rules, a group, a grant."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import expect
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.screen import Screen, until
from tests.e2e.words import KOREAN_AND_SLOWLY_ENGLISH, Language

from querykeep_demo.servers import free_port
from querykeep_demo.shop import Shop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def mark(admin_api: Api) -> Iterator[str]:
    """A word that names everything a test makes; what carries it is deleted afterwards."""
    word = f"walk{secrets.token_hex(3)}"
    yield word
    for resource in ("grants", "masking-rules", "access-rules", "connections", "groups"):
        for entry in admin_api.rows(resource):
            holder = entry.get("group") or {}
            if word in str(entry.get("name")) or word in str(holder.get("name")):
                admin_api.remove(f"{resource}/{entry['id']}")


@pytest.fixture
def blind_account(shop_postgresql: Shop) -> Iterator[tuple[str, str]]:
    """A database account that may sign in and read nothing."""
    name, password = f"blind{secrets.token_hex(3)}", secrets.token_hex(12)
    with psycopg.connect(
        host=shop_postgresql.host,
        port=shop_postgresql.port,
        user=shop_postgresql.user,
        password=shop_postgresql.password,
        dbname=shop_postgresql.database,
        autocommit=True,
    ) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        yield name, password
        owner.execute(f"DROP ROLE {name}")


def fill_in(screen: Screen, shop: Shop, name: str) -> None:
    screen.field("connections.name").fill(name)
    screen.choose("connections.engine", "PostgreSQL")
    screen.field("connections.database").fill(shop.database)
    screen.field("connections.host").fill(shop.host)
    screen.field("connections.hostPort").fill(str(shop.port))
    screen.field("connections.account").fill(shop.account_user)
    screen.field("auth.password").fill(shop.account_password)
    screen.choose("connections.tlsMode", screen.words("tls.prefer"))


def press_test(screen: Screen) -> dict[str, str]:
    """Press *Test* and return each step's state."""
    screen.button("probe.run").click()
    steps = screen.page.locator(".qk-step")
    expect(steps).to_have_count(6)
    states = {}
    for step in steps.all():
        found = re.search(r"qk-step-(\w+)", step.get_attribute("class") or "")
        assert found
        states[step.locator("b").text_content() or ""] = found[1]
    return states


STEPS = ("dns", "tcp", "tls", "authentication", "database", "permission")


def failed_at(screen: Screen, step: str) -> dict[str, str]:
    """What the report must be when a step fails: good before (or in clear), skipped after."""
    at = STEPS.index(step)
    return {
        screen.words(f"probe.{name}"): "failed" if here == at else "ok" if here < at else "skipped"
        for here, name in enumerate(STEPS)
    }


def without_tls_warning(screen: Screen, states: dict[str, str]) -> dict[str, str]:
    """The private server offers no TLS, which is a warning of its own."""
    tls = screen.words("probe.tls")
    return {
        name: "ok" if name == tls and state == "warning" else state
        for name, state in states.items()
    }


@pytest.mark.parametrize("language", KOREAN_AND_SLOWLY_ENGLISH)
def test_test_tells_failures_apart(
    visit: Visit,
    shop_postgresql: Shop,
    blind_account: tuple[str, str],
    language: Language,
) -> None:
    screen = visit("admin", language, path="/connections/new")
    fill_in(screen, shop_postgresql, "never-saved")

    def expect_failure(step: str) -> None:
        states = without_tls_warning(screen, press_test(screen))
        assert states == failed_at(screen, step)
        expect(screen.page.get_by_text(screen.words("probe.failed"))).to_be_visible()

    host = screen.field("connections.host")
    host.fill("no-such-host.invalid")
    expect_failure("dns")
    host.fill(shop_postgresql.host)
    port = screen.field("connections.hostPort")
    port.fill(str(free_port()))
    expect_failure("tcp")
    port.fill(str(shop_postgresql.port))
    screen.choose("connections.tlsMode", screen.words("tls.require"))
    expect_failure("tls")
    screen.choose("connections.tlsMode", screen.words("tls.prefer"))
    password = screen.field("auth.password")
    password.fill("wrong")
    expect_failure("authentication")
    password.fill(shop_postgresql.account_password)
    database = screen.field("connections.database")
    database.fill("no_such_database")
    expect_failure("database")
    database.fill(shop_postgresql.database)
    name, blind_password = blind_account
    screen.field("connections.account").fill(name)
    password.fill(blind_password)
    states = press_test(screen)
    assert states[screen.words("probe.authentication")] == "ok"
    assert states[screen.words("probe.permission")] == "warning"
    screen.field("connections.account").fill(shop_postgresql.account_user)
    password.fill(shop_postgresql.account_password)
    states = without_tls_warning(screen, press_test(screen))
    assert set(states.values()) == {"ok"}
    assert shop_postgresql.account_password not in screen.page.locator("main").inner_text()


@pytest.mark.parametrize("language", KOREAN_AND_SLOWLY_ENGLISH)
def test_connection_rules_group_and_grant_reach_the_analyst(
    # Windows are closed before what they show is deleted.
    mark: str,
    visit: Visit,
    admin_api: Api,
    shop_postgresql: Shop,
    language: Language,
) -> None:
    admin = visit("admin", language, path="/connections")
    admin.link("connections.add").first.click()
    fill_in(admin, shop_postgresql, mark)
    admin.button("common.save").click()
    expect(admin.page.get_by_role("heading", level=1, name=mark)).to_be_visible()
    connection_id = admin.page.url.rsplit("/", 1)[1]
    entry = until(
        admin.page,
        lambda: admin_api.read(f"connections/{connection_id}"),
        lambda entry: bool(entry["catalog"] and entry["catalog"]["crawled_at"]),
    )
    assert entry["catalog"]["complete"] is True
    assert "password" not in entry
    admin.go(f"/connections/{connection_id}/catalog")
    expect(admin.page.get_by_text("customers", exact=True).first).to_be_visible()

    add_rule(admin, "masking", f"{mark} mail", "customers", "email", mark)
    add_rule(admin, "access", f"{mark} pay", "employees", "salary", mark)

    group = f"Analysts {mark}"
    admin.go("/groups/new")
    admin.field("groups.name").fill(group)
    admin.choose("groups.members", "analyst")
    admin.page.keyboard.press("Escape")
    admin.button("common.save").click()
    expect(admin.row(group)).to_be_visible()

    admin.go("/grants/new")
    admin.page.locator(".qk-segmented label").filter(has_text=admin.words("grants.group")).click()
    admin.choose("grants.group", group)
    admin.choose("grants.connection", mark)
    admin.choose("grants.privilege", "read-only")
    admin.field("grants.until").fill("2099-12-31T18:00")
    admin.button("grants.save").click()
    expect(admin.row(group)).to_contain_text(mark)
    (grant,) = [
        one for one in admin_api.rows("grants") if (one["group"] or {}).get("name") == group
    ]
    assert grant["valid_until"] == "2099-12-31T09:00:00Z"  # the browser's zone is Seoul's
    assert grant["state"] == "active"

    analyst = visit("analyst", language)
    editor = EditorScreen(analyst)
    editor.open(connection_id)
    editor.run("SELECT id, email FROM customers WHERE email IS NOT NULL ORDER BY id")
    # The new rule asks for nothing in conditions, so this one is refused…
    expect(editor.failure).to_contain_text(f"{mark} mail")
    editor.run("SELECT id, email FROM customers ORDER BY id")
    expect(analyst.page.locator(".qk-mask-note")).to_contain_text(f"{mark} mail")
    assert "@" not in editor.cell(0, 1)
    editor.run("SELECT salary FROM employees")
    expect(editor.failure).to_contain_text(f"{mark} pay")
    editor.run("INSERT INTO orders (id) VALUES (999999)")
    expect(editor.failure).to_contain_text(analyst.words("verdict.denied"))


def add_rule(admin: Screen, kind: str, name: str, table: str, column: str, connection: str) -> None:
    """Make a rule of a kind on one column, with what the form proposes for the rest."""
    admin.go(f"/rules/{kind}")
    admin.link(f"rules.{kind}.add").first.click()
    admin.field("rules.name").fill(name)
    admin.choose("rules.connections", connection)
    admin.page.keyboard.press("Escape")
    admin.page.get_by_role("textbox", name=admin.words("objects.table"), exact=True).fill(table)
    admin.page.get_by_role("textbox", name=admin.words("objects.column"), exact=True).fill(column)
    admin.button("common.save").click()
    expect(admin.row(name)).to_be_visible()
