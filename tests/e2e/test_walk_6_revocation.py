"""An administrator takes access back: open sessions of every road end at once, each told why."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pymysql
import pytest
from playwright.sync_api import expect
from tests.agent.fix_agent import Qk
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.roads import Road, governed, through_agent
from tests.e2e.screen import Screen, until
from tests.fix_system import DemoConnection, System

pytestmark = pytest.mark.e2e

END_WITHIN_S = 1.0
EACH = pytest.mark.parametrize(
    ("name", "language"), [("shop-postgresql", "en"), ("shop-mariadb", "ko")]
)


def open_session(road: Road, connection: DemoConnection) -> Any:
    """Connect and run a statement."""
    session: Any = (
        road.psycopg(autocommit=True) if connection.engine == "postgresql" else road.pymysql()
    )
    ask(session)
    return session


def ask(session: Any) -> None:
    cursor = session.cursor()
    cursor.execute("SELECT 1")
    assert tuple(cursor.fetchone()) == (1,)


def socket_of(session: Any) -> int:
    if isinstance(session, psycopg.Connection):
        return session.fileno()
    number = session._sock.fileno()
    assert isinstance(number, int)
    return number


def seconds_until_told(session: Any, started: float) -> float:
    """Return how long after ``started`` something arrives on an idle session's socket."""
    readable, _, _ = select.select([socket_of(session)], [], [], 20)
    assert readable, "nothing arrived"
    return time.monotonic() - started


def reason_of(session: Any) -> str:
    """Use a session that has ended; return what its person reads."""
    with pytest.raises((psycopg.Error, pymysql.err.MySQLError)) as ended:
        ask(session)
    return str(ended.value)


@pytest.fixture
def analysts_grant(admin_api: Api, system: System, name: str) -> Iterator[dict[str, Any]]:
    """The analyst's grant on a connection; made again afterwards when the test deleted it."""
    connection = system.connections[name]
    analyst = account_id(admin_api, "analyst")

    def find() -> list[dict[str, Any]]:
        grants = admin_api.rows("grants", connection=connection.id)
        return [grant for grant in grants if grant["user"] and grant["user"]["id"] == analyst]

    (grant,) = find()
    yield grant
    if not find():
        give_again(admin_api, grant)


def account_id(api: Api, username: str) -> str:
    """Return the id of a demo account."""
    (found,) = [one for one in api.rows("users", search=username) if one["username"] == username]
    identifier = found["id"]
    assert isinstance(identifier, str)
    return identifier


def give_again(api: Api, grant: dict[str, Any]) -> None:
    api.write(
        "grants",
        {
            "user": grant["user"]["id"],
            "connection": grant["connection"]["id"],
            "privilege": grant["privilege"]["id"],
        },
    )


@EACH
def test_deleted_grant_ends_every_open_session_at_once(
    visit: Visit,
    system: System,
    admin_api: Api,
    analysts_grant: dict[str, Any],
    name: str,
    language: Any,
) -> None:
    connection = system.connections[name]
    other = next(one for one in system.connections.values() if one.name != name)
    road = governed(system, connection)
    editor_screen = visit("analyst", language)
    editor = EditorScreen(editor_screen)
    editor.open(connection.id)
    editor.run("SELECT id FROM orders WHERE id = 1")
    admin = visit("admin", language, path=f"/grants/{analysts_grant['id']}")
    admin.button("common.delete").click()
    holder = admin.dialog.locator("code").text_content()
    assert holder
    admin.dialog.get_by_role("textbox").fill(holder)
    with ExitStack() as opened:
        command_line = opened.enter_context(start_client(road, connection))
        opened.callback(command_line.kill)
        kept = opened.enter_context(closing(open_session(governed(system, other), other)))
        colleague = opened.enter_context(
            closing(open_session(governed(system, connection, "developer"), connection))
        )
        session = opened.enter_context(closing(open_session(road, connection)))
        confirm = admin.dialog.get_by_role("button", name=admin.words("common.delete"), exact=True)
        with admin.page.expect_response(
            lambda answer: answer.request.method == "DELETE"
        ) as deleted:
            confirm.click(no_wait_after=True)
        answered = time.monotonic()
        assert deleted.value.status == 204
        assert seconds_until_told(session, answered) < END_WITHIN_S
        ended = editor_screen.page.get_by_role("alert").filter(
            has_text=editor_screen.words("endReason.revoked")
        )
        expect(ended).to_be_visible()
        assert "revoked" in reason_of(session).lower()
        assert "revoked" in last_words(admin, command_line).lower()
        # Other connections and other people go on.
        ask(kept)
        ask(colleague)
        with pytest.raises((psycopg.Error, pymysql.err.MySQLError)):
            open_session(road, connection)
        editor.write("SELECT id FROM orders WHERE id = 2")
        editor_screen.page.keyboard.press("Control+Enter")
        expect(editor_screen.page.get_by_role("alert").first).to_be_visible()
        assert editor_screen.page.locator("#glide-cell-1-0").filter(has_text="2").count() == 0
        editor_screen.expected |= editor_screen.seen_errors("/api/v1/connections")

        give_again(admin_api, analysts_grant)
        with closing(open_session(road, connection)) as again:
            ask(again)
        editor.open(connection.id)
        editor.run("SELECT id FROM orders WHERE id = 3")
        assert editor.cell(0, 0) == "3"


def start_client(road: Road, connection: DemoConnection) -> subprocess.Popen[str]:
    """Start psql or mariadb and see it run a statement."""
    if connection.engine == "postgresql":
        names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
        settings = {
            names.get(key, f"PG{key.upper()}"): value for key, value in road.libpq().items()
        }
        command = ["psql", "-X", "-A", "-t", "-q"]
    else:
        settings = {"MYSQL_PWD": road.password}
        address = ["-h", road.host, "-P", str(road.port), "-u", road.user, road.database]
        command = ["mariadb", "--no-defaults", "--skip-ssl", "-N", "-B", "-n", *address]
        command += ["--skip-reconnect"]
    client = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | settings,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("SELECT 1;\n")
    client.stdin.flush()
    assert client.stdout.readline() == "1\n"
    return client


def last_words(screen: Screen, client: subprocess.Popen[str]) -> str:
    """Send statements until a client ends, as its person would; return its messages.

    Its end travels on its own way: what is sent before it has arrived may still be answered.
    """
    assert client.stdin is not None
    assert client.stderr is not None
    to_client = client.stdin.fileno()

    def ask_again() -> int | None:
        # It may have ended since it was last looked at. Past the file object, which would keep
        # what could not be written and try once more on closing.
        with contextlib.suppress(BrokenPipeError):
            os.write(to_client, b"SELECT 2;\n")
        return client.poll()

    until(screen.page, ask_again, lambda code: code is not None)
    return client.stderr.read()


def test_live_sessions_shows_every_road_and_ends_any(
    visit: Visit, system: System, admin_api: Api, signed_in: Qk
) -> None:
    agentless_to, others = system.postgresql, system.mariadb
    analyst = account_id(admin_api, "analyst")

    def live() -> list[dict[str, Any]]:
        sessions = admin_api.rows("sessions")
        return [session for session in sessions if session["user"]["id"] == analyst]

    # Editor windows of other tests may still have theirs.
    before = {session["id"] for session in live()}
    editor_screen = visit("analyst", "ko")
    EditorScreen(editor_screen).open(others.id)
    with (
        closing(open_session(governed(system, agentless_to), agentless_to)) as agentless,
        closing(open_session(through_agent(signed_in, others.name), others)) as agent,
    ):
        opened = until(
            editor_screen.page,
            lambda: {s["route"]: s["id"] for s in live() if s["id"] not in before},
            lambda found: set(found) == {"editor", "agentless", "agent"},
        )
        admin = visit("admin", "ko", path="/sessions?user=analyst")
        is_told: dict[str, Callable[[], None]] = {
            "agentless": lambda: expect_told(agentless, "maintenance at noon"),
            "agent": lambda: expect_told(agent, "maintenance at noon"),
            "editor": lambda: expect(
                editor_screen.page.get_by_role("alert").filter(
                    has_text=editor_screen.words("endReason.killed")
                )
            ).to_be_visible(),
        }
        for route in is_told:
            expect(admin.row(admin.words(f"route.{route}")).first).to_be_visible()
        for route, check in is_told.items():
            admin.go(f"/sessions?user=analyst&selected={opened[route]}")
            end_from_drawer(admin, "maintenance at noon")
            check()


def end_from_drawer(admin: Screen, reason: str) -> None:
    admin.drawer.get_by_role("button", name=admin.words("sessions.end"), exact=True).click()
    name = admin.dialog.locator("code").text_content()
    assert name
    admin.dialog.get_by_label(admin.words("sessions.reason")).fill(reason)
    admin.dialog.get_by_role("textbox").last.fill(name)
    admin.dialog.get_by_role("button", name=admin.words("sessions.end"), exact=True).click()
    expect(admin.dialog).to_be_hidden()


def expect_told(session: Any, reason: str) -> None:
    seconds_until_told(session, time.monotonic())
    assert reason in reason_of(session)
