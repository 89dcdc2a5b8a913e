"""Texts run in the editor, on both engines: masks, refusals, results, errors, transactions."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from tests.fix_system import DemoConnection, System
from tests.middleware.browser import Editor, Person
from tests.middleware.conftest import Admin, wait_until

from querykeep_guard.contracts.audit import Verdict
from querykeep_guard.policy.reasons import REASONS
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import HistoryEntry, RunScope, RunState, StatementState

STRINGS = Path(__file__).parents[2] / "services/middleware/web/src/i18n"
SLOW = {
    "postgresql": "SELECT count(*) FROM generate_series(1, 100000000000)",
    "mariadb": "SELECT SLEEP(600)",
}
MASKED = {"email", "phone", "rrn", "card_number"}


def test_masked_columns_name_their_rules(editor: Editor) -> None:
    run = editor.run("SELECT * FROM customers WHERE id = 1")
    assert run.states == [StatementState.DONE]
    started = run.one(wire.StatementStarted)
    assert started.verdict is Verdict.MASKED
    columns = run.one(wire.ResultStarted).columns
    assert {column.name for column in columns if column.masked_by} == MASKED
    for column in columns:
        for rule in column.masked_by:
            assert rule.kind == "masking"
            assert rule.code
            assert rule.name
            assert column.sources
            assert all(source.endswith(f"customers.{column.name}") for source in column.sources)
    names = [column.name for column in columns]
    (row,) = editor.page(run.results[0]).rows
    email = row[names.index("email")]
    assert email is not None
    assert email[1:6] == "*****"
    assert "@" in email


def test_an_alias_and_a_view_carry_masks(editor: Editor) -> None:
    run = editor.run(
        "SELECT c.email AS a, v.phone FROM customers c JOIN customer_contact v "
        "ON v.id = c.id WHERE c.id = 1"
    )
    columns = run.one(wire.ResultStarted).columns
    assert [bool(column.masked_by) for column in columns] == [True, True]


def test_a_refusal_names_object_rule_and_next_step(editor: Editor) -> None:
    text = "SELECT name,\n  salary FROM employees"
    run = editor.run(text)
    assert run.states == [StatementState.REFUSED]
    assert run.finished.state is RunState.REFUSED
    failure = run.one(wire.StatementFinished).failure
    assert failure is not None
    assert failure.verdict is Verdict.DENIED
    assert failure.object.endswith("employees.salary")
    assert failure.rules
    assert all(rule.effect == "deny" for rule in failure.rules)
    assert failure.next_step
    assert failure.position == text.index("salary")
    assert failure.code in ("42501", "1143")
    assert not run.results


def test_a_refused_table_and_a_delete_without_where(editor: Editor) -> None:
    for text in ("SELECT * FROM payroll", "DELETE FROM orders"):
        run = editor.run(text)
        assert run.states == [StatementState.REFUSED], text
        failure = run.one(wire.StatementFinished).failure
        assert failure is not None
        assert failure.rules or failure.next_step, text


def test_a_text_with_a_refused_statement_runs_nothing(editor: Editor) -> None:
    run = editor.run("SELECT 1; SELECT salary FROM employees; SELECT 2")
    skipped, refused = StatementState.SKIPPED, StatementState.REFUSED
    assert run.states == [skipped, refused, skipped]
    failures = [one.failure for one in run.all(wire.StatementFinished)]
    assert [failure is not None for failure in failures] == [False, True, False]
    assert not run.results


def test_every_reason_has_its_words_in_both_languages() -> None:
    for language in ("en", "ko"):
        strings = json.loads((STRINGS / f"{language}.json").read_text("utf-8"))
        assert set(strings["refusalText"]) == set(REASONS)
        for code, text in strings["refusalText"].items():
            known, _ = REASONS[code]
            assert set(re.findall(r"{{(\w+)}}", text)) <= {*known}, code


def test_several_result_sets(editor: Editor) -> None:
    text = "SELECT 1 AS a; SELECT 2 AS b, 3 AS c; SELECT name FROM products WHERE id = 1"
    run = editor.run(text)
    assert run.states == [StatementState.DONE] * 3
    assert [editor.page(one).rows for one in run.results[:2]] == [(("1",),), (("2", "3"),)]
    spans = [text[one.start : one.end] for one in run.all(wire.StatementStarted)]
    assert spans == text.split("; ")


def test_a_syntax_error_has_its_position(editor: Editor) -> None:
    text = "SELECT 1;\nSELEC 한글 2"
    run = editor.run(text)
    assert run.finished.state in (RunState.FAILED, RunState.REFUSED)
    failures = [one.failure for one in run.all(wire.StatementFinished)] + [run.finished.failure]
    failure = next(one for one in failures if one is not None)
    assert failure.position == text.index("SELEC 한")
    assert not run.results


def test_an_error_of_the_server_has_its_own_code(
    editor: Editor, connection: DemoConnection
) -> None:
    run = editor.run(
        "SELECT id FROM orders WHERE id = 'x'::int"
        if "postgres" in connection.name
        else "SELECT name FROM products WHERE id = (SELECT 1 UNION SELECT 2)"
    )
    failure = run.one(wire.StatementFinished).failure
    assert failure is not None
    assert failure.code == ("22P02" if "postgres" in connection.name else "1242")
    assert run.states == [StatementState.FAILED]


def test_statements_go_on_after_an_error_when_asked(
    editor: Editor, connection: DemoConnection
) -> None:
    bad = "SELECT 1/0" if "postgres" in connection.name else "SELECT (SELECT 1 UNION SELECT 2)"
    text = f"SELECT 1; {bad}; SELECT salary FROM employees; SELECT 4"
    run = editor.run(text, stop_on_error=False)
    assert run.states == [
        StatementState.DONE,
        StatementState.FAILED,
        StatementState.REFUSED,
        StatementState.DONE,
    ]
    spans = [text[one.start : one.end] for one in run.all(wire.StatementStarted)]
    assert spans == ["SELECT 1", bad, "SELECT salary FROM employees", "SELECT 4"]
    refused = next(
        one.failure
        for one in run.all(wire.StatementFinished)
        if one.state is StatementState.REFUSED
    )
    assert refused is not None
    assert refused.position == text.index("salary")
    assert editor.page(run.results[-1]).rows == (("4",),)


def test_statements_stop_after_an_error_otherwise(
    editor: Editor, connection: DemoConnection
) -> None:
    bad = "SELECT 1/0" if "postgres" in connection.name else "SELECT (SELECT 1 UNION SELECT 2)"
    run = editor.run(f"SELECT 1; {bad}; SELECT 4")
    assert run.states == [StatementState.DONE, StatementState.FAILED, StatementState.SKIPPED]


def test_values_are_exact(editor: Editor, connection: DemoConnection) -> None:
    if "postgres" in connection.name:
        text = (
            "SELECT 9223372036854775807::bigint,"
            " 12345678901234567890.12345678901234567890::numeric,"
            " '\\x00ff'::bytea, NULL::text, '한글 😀'::text, true, '2026-01-02'::date"
        )
        expected: tuple[str | None, ...] = (
            "9223372036854775807",
            "12345678901234567890.12345678901234567890",
            "\\x00ff",
            None,
            "한글 😀",
            "t",
            "2026-01-02",
        )
    else:
        text = (
            "SELECT CAST(18446744073709551615 AS UNSIGNED),"
            " CAST('12345678901234567890.12345678901234567890' AS DECIMAL(40,20)),"
            " UNHEX('00ff'), NULL, '한글 😀', CAST('2026-01-02' AS DATE)"
        )
        expected = (
            "18446744073709551615",
            "12345678901234567890.12345678901234567890",
            "\\x00ff",
            None,
            "한글 😀",
            "2026-01-02",
        )
    assert editor.rows(text) == [expected]


def test_a_running_statement_is_cancelled(editor: Editor, connection: DemoConnection) -> None:
    slow = SLOW[connection.engine]
    before = len(editor.seen)
    run_id = editor.start(slow)
    editor.event(wire.StatementStarted)
    editor.ask(wire.CancelRun("", "t"))
    run = editor.finish(run_id, before)
    assert run.states == [StatementState.CANCELLED]
    assert run.finished.state is RunState.CANCELLED
    assert editor.rows("SELECT 1") == [("1",)]


def test_a_busy_tab_takes_no_second_text(editor: Editor, connection: DemoConnection) -> None:
    slow = SLOW[connection.engine]
    before = len(editor.seen)
    run_id = editor.start(slow)
    editor.event(wire.StatementStarted)
    busy = editor.refused(wire.RunText("", "t", "another-run", RunScope.ALL, "SELECT 1"))
    assert busy.code == "busy"
    editor.send(wire.CancelRun("", "t"))
    editor.finish(run_id, before)


def test_a_repeated_run_id_runs_once(developer: Person, system: System) -> None:
    with developer.editor() as editor:
        editor.connect(system.postgresql.id, auto_commit=False)
        message = wire.RunText(
            "",
            "t",
            "run-once",
            RunScope.ALL,
            "UPDATE products SET in_stock = in_stock + 1 WHERE id = 1",
        )
        before = editor.rows("SELECT in_stock FROM products WHERE id = 1")
        editor.ask(message)
        editor.until(lambda one: isinstance(one, wire.RunFinished) and one.run_id == "run-once")
        assert isinstance(editor.ask(message), wire.RequestDone)
        after = editor.rows("SELECT in_stock FROM products WHERE id = 1")
        assert int(after[0][0] or 0) == int(before[0][0] or 0) + 1
        editor.ask(wire.EndTransaction("", "t", commit=False))
        assert editor.rows("SELECT in_stock FROM products WHERE id = 1") == before


def test_manual_transactions(developer: Person, connection: DemoConnection) -> None:
    sku = "SELECT sku FROM products WHERE id = 2"
    with developer.editor() as editor:
        editor.connect(connection.id, auto_commit=False)
        (old,) = editor.rows(sku)
        opened = editor.seen[-1]
        changed = [one for one in editor.seen if isinstance(one, wire.TransactionChanged)]
        assert changed, opened
        assert changed[-1].transaction.is_open
        run = editor.run("UPDATE products SET name = name WHERE id = 2")
        assert run.states == [StatementState.DONE]
        refused = editor.refused(wire.SetAutoCommit("", "t", auto_commit=True))
        assert refused.code == "transaction_open"
        editor.ask(wire.EndTransaction("", "t", commit=False))
        editor.ask(wire.SetAutoCommit("", "t", auto_commit=True))
        assert editor.rows(sku) == [old]
        last = [one for one in editor.seen if isinstance(one, wire.TransactionChanged)][-1]
        assert last.transaction.auto_commit
        assert not last.transaction.is_open


def test_closing_a_session_rolls_back(developer: Person, connection: DemoConnection) -> None:
    name = "SELECT name FROM products WHERE id = 3"
    with developer.editor() as editor:
        editor.connect(connection.id)
        before = editor.rows(name)
        editor.connect(connection.id, auto_commit=False)
        editor.run("UPDATE products SET name = 'gone' WHERE id = 3")
        editor.ask(wire.CloseSession("", "t"))
        ended = [one for one in editor.seen if isinstance(one, wire.SessionEnded)][-1]
        assert ended.rolled_back
        assert ended.can_reopen
        editor.connect(connection.id)
        assert editor.rows(name) == before


def test_history_keeps_what_was_run(editor: Editor, connection: DemoConnection) -> None:
    mark = f"SELECT {time.monotonic_ns()} AS mark"
    editor.run(mark)
    editor.run(f"{mark}; SELECT salary FROM employees")

    def entries() -> list[HistoryEntry]:
        page = editor.ask(wire.ListHistory("", connection.id, mark[7:20]))
        return list(page.entries)

    wait_until(lambda: len(entries()) >= 1)
    first = entries()[-1]
    assert first.text == mark
    assert first.state is StatementState.DONE
    assert first.row_count == 1


def test_a_notice_comes_through(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        run = editor.run("COMMIT")
    assert [one.notice.severity for one in run.all(wire.NoticeShown)] == ["WARNING"]


def test_running_without_a_session(analyst: Person) -> None:
    with analyst.editor() as editor:
        answer = editor.refused(wire.RunText("", "nowhere", "r", RunScope.ALL, "SELECT 1"))
        assert answer.code == "no_session"
        assert answer.next_step


def test_a_connection_without_grant(auditor: Person, system: System) -> None:
    with auditor.editor() as editor:
        answer = editor.refused(wire.OpenSession("", "t", system.postgresql.id))
        assert answer.code == "no_grant"
        assert "shop-postgresql" in answer.message


def test_the_record_holds_what_the_person_ran_and_one_name_of_the_editor(
    analyst: Person, admin: Admin, connection: DemoConnection
) -> None:
    """The editor's driver adds no statements of its own, and is called the same on each engine."""
    with analyst.editor() as editor:
        opened = editor.connect(connection.id)
        editor.run("SELECT 41 + 1")
        live = admin.list("/sessions", user="analyst", route="editor")
        (mine,) = (one for one in live if one["id"] == opened.session_id)
        assert mine["client"] == {"address": "127.0.0.1", "program": "querykeep-editor"}

    def recorded() -> list[dict[str, Any]]:
        return admin.list("/audit/statements", session=opened.session_id)

    wait_until(lambda: bool(recorded()))
    (statement,) = recorded()
    assert statement["statement"] == "SELECT 41 + 1"
    client = statement["client"]
    assert (client["program"], client["version"]) == ("querykeep-editor", "")


def test_a_refusal_carries_a_code_with_arguments_in_editor_and_record(
    analyst: Person, admin: Admin, connection: DemoConnection
) -> None:
    with analyst.editor() as editor:
        opened = editor.connect(connection.id)
        run = editor.run("SELECT name FROM customers WHERE email = 'x'")
        (finished,) = run.all(wire.StatementFinished)
        assert finished.failure is not None
        reason = finished.failure.reason
        assert reason is not None
        assert reason.code == "column_use_refused"
        assert reason.arguments["object"].endswith(".customers.email")
        assert reason.arguments["clause"] == "WHERE"
        assert reason.arguments["rule_code"].startswith("M-")

    def recorded() -> list[dict[str, Any]]:
        return admin.list("/audit/statements", session=opened.session_id)

    wait_until(lambda: bool(recorded()))
    (statement,) = recorded()
    assert statement["reason"] == {"code": reason.code, "arguments": dict(reason.arguments)}
