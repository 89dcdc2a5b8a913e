"""The analyst's own tools through the agent: `qk login` confirmed in the browser, then clients."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from tests.agent.fix_agent import Qk
from tests.e2e.fix_browser import Visit
from tests.e2e.screen import Expected, Screen
from tests.e2e.words import LANGUAGES, Language
from tests.fix_system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAMES = ("shop-mariadb", "shop-postgresql")

ASKED = "SELECT email FROM customers ORDER BY id LIMIT 1"


def sign_in_here(screen: Screen, system: System) -> None:
    """Sign in on the form that stands before the page that was asked for."""
    analyst = system.accounts["analyst"]
    expect(screen.heading("auth.signIn")).to_be_visible()
    screen.sign_in(analyst.username, analyst.password)


def use_databases(qk: Qk) -> None:
    """List, connect, ask both databases with their own clients, look at the ports, sign out."""
    assert [entry["name"] for entry in qk.json("ls")] == list(NAMES)
    connected = qk.start("connect", "--json", *NAMES)
    ports = {}
    for name in NAMES:
        opened = json.loads(connected.wait_for(f'.*"name": "{name}".*')[0])
        assert opened["event"] == "open"
        ports[name] = opened["port"]
    (server,) = qk.json("status")["servers"]
    assert (server["state"], server["username"]) == ("signed_in", "analyst")
    assert set(server["open_ports"]) == set(ports.values())
    for command in (
        ("psql", "shop-postgresql", "-XAtc", ASKED),
        ("mysql", "shop-mariadb", "-BNe", ASKED),
    ):
        done = qk.run(*command)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r".\*{5}@\S+", done.stdout.strip())
    refused = qk.run("psql", "shop-postgresql", "-XAtc", "SELECT salary FROM employees")
    assert refused.returncode == 1
    assert "Salaries" in refused.stderr
    assert qk.run("logout").returncode == 0
    after = qk.run("psql", "shop-postgresql", "-XAtc", "SELECT 1")
    assert after.returncode != 0
    assert "qk login" in after.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_login_is_confirmed_in_the_browser(
    visit: Visit, system: System, qk: Qk, language: Language
) -> None:
    running, login_id = qk.begin_login()
    screen = visit(language=language, path=f"/agent/confirm?login={login_id}")
    sign_in_here(screen, system)
    expect(screen.heading("agentLogin.title")).to_be_visible()
    card = screen.page.locator(".qk-card")
    expect(card).to_contain_text("(analyst)")
    expect(card).to_contain_text("127.0.0.1")
    expect(card).to_contain_text(screen.words("agentLogin.warning"))
    screen.button("agentLogin.confirm").click()
    # The browser ends at the agent's own page, which has what `qk` waited for.
    screen.page.wait_for_url(re.compile(r"^http://127\.0\.0\.1:\d+/callback"))
    code, said = running.end()
    assert code == 0, said
    assert "as analyst" in said
    if language == "en":
        use_databases(qk)


def test_login_without_a_browser_takes_a_code(visit: Visit, system: System, qk: Qk) -> None:
    running = qk.start("login", "--server", system.agent_signin, "--no-browser")
    url = running.wait_for(r"Open +(\S+)")[1]
    user_code = running.wait_for(r"and type +(\S+)")[1]
    screen = visit(language="ko", path=url.removeprefix(system.web))
    sign_in_here(screen, system)
    expect(screen.heading("agentLogin.deviceTitle")).to_be_visible()
    typed = screen.page.get_by_role("textbox", name=screen.words("agentLogin.code"))
    expect(typed).to_have_value("")
    screen.expected.add(Expected(404, "/api/v1/agent-logins/device"))
    typed.fill("WRNG-CODE")
    screen.button("common.next").click()
    expect(screen.page.get_by_role("alert")).to_have_text(screen.words("agentLogin.codeWrong"))
    typed.fill(user_code.lower())
    screen.button("common.next").click()
    expect(screen.heading("agentLogin.title")).to_be_visible()
    screen.button("agentLogin.confirm").click()
    expect(screen.heading("agentLogin.confirmedTitle")).to_be_visible()
    code, said = running.end()
    assert code == 0, said
    assert [entry["name"] for entry in qk.json("ls")] == list(NAMES)


def test_denied_login_lets_nobody_in(visit: Visit, qk: Qk) -> None:
    running, login_id = qk.begin_login()
    screen = visit("analyst")
    screen.go(f"/agent/confirm?login={login_id}")
    screen.button("agentLogin.deny").click()
    expect(screen.heading("agentLogin.deniedTitle")).to_be_visible()
    code, _ = running.end()
    assert code != 0
    assert qk.run("ls").returncode != 0
    screen.page.reload()
    expect(screen.heading("agentLogin.goneTitle")).to_be_visible()
    screen.expected |= screen.seen_errors("/api/v1/agent-logins/")
