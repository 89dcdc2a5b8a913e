"""An administrator takes access back: open sessions of every road end at once, each told why."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pymysql
import pytest
from playwright.sync_api import expect
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.roads import Road, governed
from tests.e2e.screen import Screen, until
from tests.fix_system import DemoConnection, System

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

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

    def find() -> list[dict[str, Any]]:
        return [
            grant
            for grant in admin_api.rows("grants", connection=connection.id)
            if (grant["user"] and "analyst" in str(grant["user"]["name"]))
            or (grant["user"] and grant["user"]["id"] == analyst)
        ]

    analyst = next(u["id"] for u in admin_api.rows("users", search="analyst"))
    (grant,) = find()
    yield grant
    if not find():
        give_again(admin_api, grant)


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
    command_line = start_client(road, connection)
    kept = open_session(governed(system, other), other)
    colleague = open_session(governed(system, connection, "developer"), connection)
    session = open_session(road, connection)
    try:
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
        # What it says before its end has reached it would still be answered.
        until(
            admin.page,
            lambda: admin_api.rows("sessions", connection=connection.id, user="analyst"),
            lambda live: not live,
        )
        _, told = command_line.communicate("SELECT 2;\n", timeout=30)
        assert "revoked" in told.lower() or "grant" in told.lower(), told
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
        again = open_session(road, connection)
        ask(again)
        again.close()
        editor.open(connection.id)
        editor.run("SELECT id FROM orders WHERE id = 3")
        assert editor.cell(0, 0) == "3"
    finally:
        command_line.kill()
        with command_line:  # closes its pipes and waits
            pass
        for open_one in (kept, colleague):
            open_one.close()


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


@EACH
def test_live_sessions_shows_every_road_and_ends_any(
    visit: Visit, system: System, name: str, language: Any
) -> None:
    connection = system.connections[name]
    editor_screen = visit("analyst", language)
    editor = EditorScreen(editor_screen)
    editor.open(connection.id)
    session = open_session(governed(system, connection), connection)
    admin = visit("admin", language, path=f"/sessions?connection={name}")
    expect(admin.heading("sessions.title")).to_be_visible()
    routes: dict[str, Callable[[], None]] = {
        "agentless": lambda: expect_told(session, "maintenance at noon"),
        "editor": lambda: expect(
            editor_screen.page.get_by_role("alert").filter(
                has_text=editor_screen.words("endReason.killed")
            )
        ).to_be_visible(),
    }
    for route, is_told in routes.items():
        row = (
            admin.row(admin.words(f"route.{route}"))
            .filter(has_text="analyst")
            .or_(admin.row(admin.words(f"route.{route}")).filter(has_text="Ana Lyons"))
        )
        row.first.click()
        end_from_drawer(admin, "maintenance at noon")
        is_told()


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
