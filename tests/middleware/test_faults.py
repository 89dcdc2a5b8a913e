"""Parts that fail under an open editor: what the person sees, and that nothing is left hanging."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from tests.fix_system import System
from tests.middleware.browser import Person, close_code
from tests.middleware.conftest import Admin, OwnMiddleware, kill, own_middleware, wait_until
from tests.middleware.test_runs import SLOW
from tests.middleware.test_windows import tab

from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import StatementState


class Road:
    """A TCP road to a part that a test can close and open again."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._over:
                client.close()
                return
            with self._lock:
                if self._closed.is_set():
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._open |= {client, server}
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break what is open and refuse what comes."""
        with self._lock:
            self._closed.set()
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            self._open.clear()

    def mend(self) -> None:
        """Let it through again."""
        self._closed.clear()

    def close(self) -> None:
        """End it."""
        self._over = True
        self.cut()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._thread.join(10)
        self._listener.close()


def address_of(system: System, variable: str) -> tuple[str, int]:
    """An address from the running middleware's own settings."""
    raw = Path(f"/proc/{system.pids['middleware']}/environ").read_bytes().decode()
    environ = dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)
    parts = urlsplit(environ[variable])
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@pytest.fixture
def road(system: System) -> Iterator[Road]:
    made = Road(address_of(system, "QUERYKEEP_INTERNAL_URL"))
    yield made
    made.close()


def test_a_session_outlives_a_short_absence_of_the_api(
    system: System, road: Road, tmp_path: Path, analyst: Person
) -> None:
    url = f"http://127.0.0.1:{road.port}"
    with (
        own_middleware(system, tmp_path, QUERYKEEP_INTERNAL_URL=url) as own,
        analyst.editor(web=own.web) as editor,
    ):
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run("SELECT 1").results
        road.cut()
        refused = editor.refused(wire.OpenSession("", "other", system.postgresql.id))
        assert (refused.code, refused.retry) == ("internal", True)
        assert "API" in refused.message
        # Within the lease of its policy the open session goes on, and stored results can be read.
        assert editor.rows("SELECT 2") == [("2",)]
        assert editor.page(result_id).rows == (("1",),)
        road.mend()
        wait_until(own.is_ready, 60)
        editor.connect(system.postgresql.id, "other")
        assert editor.rows("SELECT 3", "other") == [("3",)]


def test_without_redis_a_revoked_grant_ends_sessions_all_the_same(
    system: System, tmp_path: Path, auditor: Person, admin: Admin
) -> None:
    dead = "redis://127.0.0.1:9/0"
    with (
        own_middleware(system, tmp_path, wait=False, QUERYKEEP_REDIS_URL=dead) as own,
        admin.grant("auditor", system.postgresql) as path,
    ):
        wait_until(lambda: _takes_windows(own), 60)
        with auditor.editor(web=own.web) as editor:
            editor.connect(system.postgresql.id)
            assert editor.rows("SELECT 1") == [("1",)]
            admin.delete(path)
            ended = editor.event(wire.SessionEnded)
            assert ended.reason.value == "revoked"
            assert not ended.can_reopen


def _takes_windows(own: OwnMiddleware) -> bool:
    """True once the runner listens, too; without Redis the whole never says that it is ready."""
    try:
        parts = httpx.get(f"{own.web}/readyz", trust_env=False).json()["parts"]
    except httpx.TransportError:
        return False
    return bool(parts["runner"]["ok"])


def test_a_full_result_store_ends_the_statement_and_not_the_session(
    system: System, tmp_path: Path, analyst: Person
) -> None:
    with (
        own_middleware(system, tmp_path, QUERYKEEP_RESULTS_LIMIT_BYTES="300000") as own,
        analyst.editor(web=own.web) as editor,
    ):
        editor.connect(system.postgresql.id)
        run = editor.run("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        assert run.states == [StatementState.FAILED]
        failure = run.one(wire.StatementFinished).failure
        assert failure is not None
        assert "result store is full" in failure.message
        for result_id in run.results:
            editor.ask(wire.CloseResult("", result_id))
        assert editor.rows("SELECT 1") == [("1",)]


def test_a_killed_middleware_keeps_tabs_and_tells_what_became_of_the_statement(
    second: OwnMiddleware, analyst: Person, admin: Admin, system: System
) -> None:
    with analyst.editor(web=second.web) as editor:
        editor.ask(wire.SaveTab("", tab("kept", "SELECT 44", 2)))
        session = editor.connect(system.postgresql.id)
        window_id = editor.window.window_id
        editor.start(SLOW["postgresql"])
        editor.event(wire.StatementStarted)
        runner = second.runner_pid
        second.process.kill()
        kill(runner)
        assert close_code(editor.socket) == 1006
    second.process.wait(10)
    second.start()
    wait_until(second.is_ready, 60)
    with analyst.editor(window_id, web=second.web) as editor:
        assert editor.window.window_id == window_id
        kept = next(one for one in editor.window.tabs if one.tab_id == "kept")
        assert (kept.text, kept.revision) == ("SELECT 44", 2)
        assert not editor.window.sessions
        editor.connect(system.postgresql.id)
        assert editor.rows("SELECT 1") == [("1",)]

    def recorded() -> list[dict[str, Any]]:
        return admin.list("/audit/statements", session=session.session_id, outcome="unknown")

    wait_until(lambda: len(recorded()) == 1, 60)
    wait_until(lambda: not is_running_at_target(system, SLOW["postgresql"]), 60)


def is_running_at_target(system: System, statement: str) -> bool:
    direct = system.postgresql.direct
    with psycopg.connect(
        host=direct.host, port=direct.port, user=direct.user,
        password=direct.password, dbname=direct.database,
    ) as connection:  # fmt: skip
        text = "select 1 from pg_stat_activity where query = %s and state = 'active'"
        return bool(connection.execute(text, (statement,)).fetchall())


def test_an_ended_web_session_closes_the_window_with_a_code_of_its_own(
    system: System, auditor: Person, admin: Admin
) -> None:
    """Ended from elsewhere while the person types: 4401, which sends the page to its sign-in."""
    elsewhere = Person(system.web, auditor.account)
    try:
        with auditor.editor() as editor:
            sessions = auditor.http.get("/api/v1/me/web-sessions").json()["results"]
            (mine,) = (one for one in sessions if one["is_current"])
            token = elsewhere.http.get("/api/v1/auth/csrf").json()["token"]
            ended = elsewhere.http.delete(
                f"/api/v1/me/web-sessions/{mine['id']}",
                headers={"X-CSRFToken": token, "Origin": system.web},
            )
            assert ended.status_code == 204
            assert close_code(editor.socket) == 4401
            assert auditor.http.get("/api/v1/me").status_code == 401
            assert elsewhere.http.get("/api/v1/me").status_code == 200
    finally:
        elsewhere.close()


def test_a_deactivated_or_deleted_person_is_out_at_once(system: System, admin: Admin) -> None:
    made = admin.make("/users", {"username": "leaver"})
    path = f"/users/{made['id']}"
    try:
        for change in ("deactivate", "delete"):
            password = admin.make(f"{path}/temporary-password", {})["password"]
            person = Person(system.web, _account("leaver", password))
            new = f"another long passphrase to {change}"
            changed = person.post("/api/v1/auth/password", {"current": password, "new": new})
            assert changed.status_code == 204, changed.text
            with person.editor() as editor:
                if change == "deactivate":
                    body = {"is_active": False, "deactivation_reason": "left"}
                    assert admin.http.patch(path, json=body).status_code == 200
                else:
                    admin.delete(path)
                assert close_code(editor.socket) == 4401
            assert person.http.get("/api/v1/me").status_code == 401
            person.close()
            if change == "deactivate":
                assert admin.http.patch(path, json={"is_active": True}).status_code == 200
    finally:
        admin.delete(path)


def _account(username: str, password: str) -> Any:
    from tests.fix_system import Account

    return Account(username, password, "")
