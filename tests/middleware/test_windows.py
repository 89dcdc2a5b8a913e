"""Windows: resumed, taken over, kept over a restart; frames that are none; who may open one."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path

import httpx
import pytest
from tests.fix_system import System
from tests.middleware.browser import Editor, Person, close_code, open_socket
from tests.middleware.conftest import (
    Admin,
    OwnMiddleware,
    is_alive,
    kill,
    own_middleware,
    wait_until,
)
from websockets.exceptions import ConnectionClosed

from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.frames import encode
from querykeep_middleware.editor.shapes import RunState, StatementState, TabState


def tab(name: str, text: str, revision: int = 1, connection_id: str = "") -> TabState:
    """A tab's state."""
    return TabState(name, name.upper(), connection_id, text, revision)


def test_a_reload_resumes_everything(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        run = editor.run("SELECT id FROM orders WHERE id < 11")
        before = editor.page(run.results[0]).rows
        window_id = editor.window.window_id
    with analyst.editor(window_id) as editor:
        window = editor.window
        assert window.resumed
        assert window.window_id == window_id
        assert [session.tab_id for session in window.sessions] == ["t"]
        (snapshot,) = window.runs
        assert snapshot.run_id == run.run_id
        assert snapshot.state is RunState.DONE
        (statement,) = snapshot.statements
        assert statement.state is StatementState.DONE
        (result,) = statement.results
        assert (result.result_id, result.rows, result.complete) == (run.results[0], 10, True)
        assert editor.page(result.result_id).rows == before
        assert editor.rows("SELECT 1") == [("1",)]


def test_a_run_goes_on_while_nobody_looks(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        run_id = editor.start("SELECT count(*) FROM generate_series(1, 3000000)")
        editor.event(wire.StatementStarted)
        window_id = editor.window.window_id
    with analyst.editor(window_id) as editor:
        if editor.window.runs[0].state is RunState.RUNNING:
            editor.finish(run_id)
    with analyst.editor(window_id) as editor:
        assert editor.window.runs[0].state is RunState.DONE
        result_id = editor.window.runs[0].statements[0].results[0].result_id
        assert editor.page(result_id).rows == (("3000000",),)


def test_a_second_socket_takes_the_window(analyst: Person) -> None:
    with analyst.editor() as first, analyst.editor(first.window.window_id) as second:
        assert second.window.window_id == first.window.window_id
        assert isinstance(first.next(), wire.WindowTaken)
        assert close_code(first.socket) == 4409
        assert isinstance(second.ask(wire.Ping("")), wire.Pong)


def test_another_person_cannot_open_it(analyst: Person, developer: Person) -> None:
    with analyst.editor() as mine, developer.editor(mine.window.window_id) as other:
        assert other.window.window_id != mine.window.window_id
        assert not other.window.resumed
        assert other.window.username == "developer"
        assert isinstance(mine.ask(wire.Ping("")), wire.Pong)


def test_tabs_are_kept_in_order_and_by_revision(developer: Person) -> None:
    with developer.editor() as editor:
        for name in ("a", "b", "c"):
            assert editor.ask(wire.SaveTab("", tab(name, f"-- {name}"))).revision == 1
        assert editor.ask(wire.SaveTab("", tab("b", "new", 5))).revision == 5
        assert editor.ask(wire.SaveTab("", tab("b", "old", 3))).revision == 5
        editor.ask(wire.ArrangeTabs("", ("c", "a", "b"), "a"))
        window_id = editor.window.window_id
    with developer.editor(window_id) as editor:
        kept = [one for one in editor.window.tabs if one.tab_id in ("a", "b", "c")]
        assert [one.tab_id for one in kept] == ["c", "a", "b"]
        assert kept[2].text == "new"
        assert editor.window.active_tab == "a"
        editor.ask(wire.RemoveTab("", "b"))
    with developer.editor(window_id) as editor:
        assert "b" not in [one.tab_id for one in editor.window.tabs]


def test_a_new_window_offers_the_last_tabs(auditor: Person) -> None:
    with auditor.editor() as editor:
        editor.ask(wire.SaveTab("", tab("kept", "SELECT 1")))
    with auditor.editor() as editor:
        assert not editor.window.resumed
        assert "kept" in [one.tab_id for one in editor.window.tabs]
        assert not editor.window.sessions


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        "[]",
        '{"type": "ping", "request": "1"}',
        '{"type": "open_window", "request": 5}',
        json.dumps({"type": "open_window", "request": "1", "protocol": "x"}),
        "[" * 10_000,
    ],
)
def test_a_first_frame_that_is_no_opening(analyst: Person, frame: str) -> None:
    with open_socket(analyst.web, analyst.cookies) as socket:
        socket.send(frame)
        assert close_code(socket) == 4400


def test_an_older_page_is_told_to_reload(analyst: Person) -> None:
    with open_socket(analyst.web, analyst.cookies) as socket:
        socket.send(encode(wire.OpenWindow("1", wire.PROTOCOL_VERSION + 1)))
        assert close_code(socket) == 4426


def test_binary_frames_are_refused(analyst: Person) -> None:
    with open_socket(analyst.web, analyst.cookies) as socket:
        socket.send(b"\x00\x01")
        assert close_code(socket) == 4400


def test_a_bad_request_is_answered_and_the_window_lives(analyst: Person) -> None:
    with analyst.editor() as editor:
        editor.socket.send('{"type": "run_text", "request": "x", "tab_id": 5}')
        answer = editor.next()
        assert isinstance(answer, wire.RequestFailed)
        assert (answer.request, answer.code) == ("x", "bad_request")
        assert editor.refused(wire.FetchRows("", "nothing", 0, 10)).code == "expired"
        assert editor.refused(wire.FetchRows("", "nothing", 0, 0)).code == "bad_request"
        assert isinstance(editor.ask(wire.Ping("")), wire.Pong)
        editor.socket.send("{}")
        assert close_code(editor.socket) == 4400


def test_a_wrong_origin_is_refused(analyst: Person) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        with open_socket(analyst.web, analyst.cookies, origin=origin) as socket:
            assert close_code(socket) == 4403


def test_without_a_web_session_nobody_gets_in(analyst: Person) -> None:
    with open_socket(analyst.web) as socket:
        assert close_code(socket) == 4401
    with open_socket(analyst.web, f"querykeep_session={uuid.uuid4().hex}") as socket:
        assert close_code(socket) == 4401


def test_only_one_path_is_a_socket(analyst: Person) -> None:
    with open_socket(analyst.web, analyst.cookies, path="/ws/other") as socket:
        assert close_code(socket) == 4400


def test_an_oversized_message_closes_the_socket(analyst: Person) -> None:
    with open_socket(analyst.web) as socket:
        with contextlib.suppress(ConnectionClosed, ConnectionError):
            socket.send("x" * 200_000)
        # Told, or cut off in the middle of what is too long.
        assert close_code(socket) in (1009, 4401, 1006)
    with analyst.editor() as editor:
        # Within the limit of someone known, and refused in words.
        answer = editor.refused(wire.SaveTab("", tab("huge", "x" * (wire.MAX_TAB_CHARACTERS + 1))))
        assert answer.code == "too_large"


def test_sign_out_closes_windows_and_sessions_at_once(
    auditor: Person, admin: Admin, system: System
) -> None:
    with admin.grant("auditor", system.postgresql), auditor.editor() as editor:
        session = editor.connect(system.postgresql.id)
        auditor.sign_out()
        assert close_code(editor.socket) == 4401
        wait_until(lambda: session.session_id not in [one["id"] for one in admin.list("/sessions")])


def test_a_revoked_grant_ends_session_and_results(
    auditor: Person, admin: Admin, system: System
) -> None:
    with auditor.editor() as editor, admin.grant("auditor", system.postgresql) as path:
        session = editor.connect(system.postgresql.id)
        run = editor.run("SELECT id FROM orders WHERE id < 4")
        assert len(editor.page(run.results[0]).rows) == 3
        # A result whose session was closed long before is bound all the same.
        editor.connect(system.postgresql.id, "closed")
        other = editor.run("SELECT id FROM orders WHERE id < 3", "closed")
        editor.ask(wire.CloseSession("", "closed"))
        admin.delete(path)
        ended = editor.event(wire.SessionEnded)
        while ended.tab_id != "t":
            ended = editor.event(wire.SessionEnded)
        assert ended.session_id == session.session_id
        assert ended.reason.value == "revoked"
        assert "shop-postgresql" in ended.message
        assert not ended.can_reopen
        for result_id in (run.results[0], other.results[0]):
            wait_until(lambda one=result_id: _is_gone(editor, one))  # type: ignore[misc]
        assert editor.refused(wire.OpenSession("", "t", system.postgresql.id)).code == "no_grant"


def _is_gone(editor: Editor, result_id: str) -> bool:
    answer = editor.ask(wire.FetchRows("", result_id, 0, 10))
    return isinstance(answer, wire.RequestFailed) and answer.code == "expired"


def test_a_stricter_rule_removes_results_read_before_it(
    analyst: Person, admin: Admin, system: System
) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        read = editor.run("SELECT id, city FROM customers WHERE id < 4")
        untouched = editor.run("SELECT id FROM orders WHERE id < 4")
        editor.ask(wire.CloseSession("", "t"))
        rule = admin.make(
            "/access-rules",
            {
                "name": f"No city {uuid.uuid4().hex[:8]}",
                "connections": [system.postgresql.id],
                "objects": [{"schema": "public", "table": "customers", "column": "city"}],
                "applies_to": {"everyone": True, "users": [], "groups": []},
                "exempt": {"users": [], "groups": []},
                "is_enabled": True,
            },
        )
        try:
            wait_until(lambda: _is_gone(editor, read.results[0]))
            assert len(editor.page(untouched.results[0]).rows) == 3
        finally:
            admin.delete(f"/access-rules/{rule['id']}")


def test_an_administrator_ends_a_session(analyst: Person, admin: Admin, system: System) -> None:
    with analyst.editor() as editor:
        session = editor.connect(system.mariadb.id)
        admin.http.post(f"/sessions/{session.session_id}/end", json={"reason": "maintenance"})
        ended = editor.event(wire.SessionEnded)
        assert ended.session_id == session.session_id
        assert ended.reason.value == "killed"
        assert "maintenance" in ended.message


def test_tabs_outlive_a_restart(second: OwnMiddleware, analyst: Person) -> None:
    with analyst.editor(web=second.web) as editor:
        editor.ask(wire.SaveTab("", tab("kept", "SELECT 42", 3)))
        window_id = editor.window.window_id
        second.process.terminate()
        assert close_code(editor.socket) == 1012
    assert second.process.wait(30) == 0
    second.start()
    wait_until(second.is_ready, 60)
    with analyst.editor(window_id, web=second.web) as editor:
        assert editor.window.window_id == window_id
        assert editor.window.resumed
        kept = next(one for one in editor.window.tabs if one.tab_id == "kept")
        assert (kept.text, kept.revision) == ("SELECT 42", 3)


def test_a_killed_runner_comes_back(second: OwnMiddleware, analyst: Person, system: System) -> None:
    with analyst.editor(web=second.web) as editor:
        editor.ask(wire.SaveTab("", tab("kept", "SELECT 43")))
        editor.connect(system.postgresql.id)
        window_id = editor.window.window_id
        before = second.runner_pid
        kill(before)
        assert close_code(editor.socket) == 1012
    wait_until(lambda: second.runner_pid != before)
    wait_until(second.is_ready, 60)
    with analyst.editor(window_id, web=second.web) as editor:
        assert "kept" in [one.tab_id for one in editor.window.tabs]
        assert not editor.window.sessions
        editor.connect(system.postgresql.id)
        assert editor.rows("SELECT 1") == [("1",)]


def test_the_runner_ends_with_a_killed_web_process(second: OwnMiddleware) -> None:
    runner = second.runner_pid
    second.process.kill()
    second.process.wait(10)
    wait_until(lambda: not is_alive(runner))


def test_with_the_api_away_nobody_gets_in(system: System, tmp_path: Path, analyst: Person) -> None:
    with own_middleware(
        system,
        tmp_path,
        wait=False,
        QUERYKEEP_INTERNAL_URL="http://127.0.0.1:9",
        QUERYKEEP_API_URL="http://127.0.0.1:9",
    ) as own:

        def answers() -> bool:
            try:
                return httpx.get(f"{own.web}/readyz", trust_env=False).status_code == 503
            except httpx.TransportError:
                return False

        wait_until(answers, 60)
        assert httpx.get(f"{own.web}/healthz", trust_env=False).status_code == 200
        with open_socket(own.web, analyst.cookies) as socket:
            assert close_code(socket) == 1012
        answer = httpx.get(f"{own.web}/api/v1/me", trust_env=False)
        assert answer.status_code == 502
        assert answer.json()["code"] == "api_away"
