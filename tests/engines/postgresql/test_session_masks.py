"""What a masked person gets from a real server: results, errors and refusals."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest
from psycopg import errors as pg_errors
from tests.engines.postgresql.clients import FULL, Connection, connect, masking, run
from tests.engines.postgresql.harness import (
    allow,
    allow_all,
    deny,
    governed_by,
    mask,
    session_policy,
    split,
)

from querykeep_engines.kit import session as kit
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.policy import MaskerSpec, MaskingRule, ObjectPattern
from querykeep_guard.contracts.session import Target
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import ColumnOrigin, SessionContext


def test_masked_cells_are_masked_in_text_and_binary_and_nothing_else_differs(
    target: Target, direct: Connection
) -> None:
    sql = "select id, email from customers order by id"
    expected = [
        (row[0], None if row[1] is None else FULL) for row in direct.execute(sql).fetchall()
    ]
    with governed_by(target, masking) as server, connect(server, autocommit=True) as connection:
        for binary in (False, True):
            assert connection.execute(sql, binary=binary).fetchall() == expected
        for _ in range(3):
            assert connection.execute(sql, prepare=True).fetchall() == expected
        assert connection.execute("select count(*) from orders").fetchone() == (20_000,)
        assert {event.verdict for event in server.started() if "email" in event.statement} == {
            Verdict.MASKED
        }


def test_masked_column_that_is_no_text_becomes_null(target: Target) -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text, MaskPlan(3, (mask(0), mask(2)))),)

    with governed_by(target, decide) as server, connect(server, autocommit=True) as connection:
        for binary in (False, True):
            row = connection.execute(
                "select id, name, created_at from customers where id = 1", binary=binary
            ).fetchone()
            assert row is not None
            assert row[0] is None
            assert row[1]
            assert row[2] is None


def test_server_side_cursor_is_masked(target: Target) -> None:
    with governed_by(target, masking) as server, connect(server) as connection:
        with connection.cursor("c1") as cursor:
            cursor.execute("select id, email from customers")
            rows = cursor.fetchmany(100)
        assert len(rows) == 100
        assert {row[1] for row in rows} <= {FULL, None}
        named = [context for text, context in server.contexts if text.lower().startswith("fetch")]
        assert dict(named[0].prepared)["c1"].lower().startswith("declare")


def run_pipeline(connection: Connection, *texts: LiteralString) -> None:
    with connection.pipeline():
        for text in texts:
            connection.execute(text)


def test_pipeline_runs_and_a_refusal_aborts_it_like_an_error(target: Target) -> None:
    with governed_by(target, masking) as server, connect(server) as connection:
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", (n,)) for n in range(50)]
            assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(50)]
        connection.commit()
        with pytest.raises(pg_errors.InsufficientPrivilege, match="payroll"):
            run_pipeline(connection, "select 1", "select * from payroll", "select 2")
        assert connection.info.transaction_status.name == "INERROR"
        connection.rollback()
        assert connection.execute("select 3").fetchone() == (3,)
        assert not any(event.statement == "select 2" for event in server.started())


@pytest.mark.parametrize("prepare", [False, True])
def test_refusal_in_a_transaction_aborts_it_at_both_ends(target: Target, prepare: bool) -> None:
    with governed_by(target, masking) as server, connect(server) as connection:
        connection.execute("create temp table kept (a int)")
        with pytest.raises(pg_errors.InsufficientPrivilege) as caught:
            connection.execute("select * from payroll", prepare=prepare)
        assert caught.value.diag.message_primary == "table payroll is refused"
        with pytest.raises(pg_errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        assert connection.execute("select to_regclass('kept')").fetchone() == (None,)
        refused = [event for event in server.started() if event.verdict is Verdict.DENIED]
        assert [event.error_code for event in refused] == ["42501"]
        assert not any(
            event.statement_id == refused[0].statement_id for event in server.completed()
        )


def test_refusal_outside_a_transaction_leaves_the_session_idle(target: Target) -> None:
    with governed_by(target, masking) as server:
        done = run(server, "psql", "-X", "-A", "-t", stdin="select * from payroll;\nselect 7;\n")
    assert "table payroll is refused" in done.stderr
    assert done.stdout == "7\n"


def test_text_with_a_refused_statement_runs_nothing_of_it(
    target: Target, direct: Connection
) -> None:
    with governed_by(target, masking) as server:
        done = run(server, "psql", "-X", "-c", "create table never (a int); select * from payroll")
    assert "table payroll is refused" in done.stderr
    assert direct.execute("select to_regclass('never')").fetchone() == (None,)
    assert {event.verdict for event in server.started()} == {Verdict.DENIED}


def test_error_text_is_cut_down_where_a_masked_column_is_in_reach(target: Target) -> None:
    with governed_by(target, masking) as server, connect(server, autocommit=True) as connection:
        with pytest.raises(pg_errors.InvalidTextRepresentation) as caught:
            connection.execute("select id, email from customers where email::int = 1")
        assert "@" not in str(caught.value)
        assert "hidden" in str(caught.value)
        assert caught.value.diag.message_detail is None
        with pytest.raises(pg_errors.InvalidTextRepresentation, match='"abc"'):
            connection.execute("select 'abc'::int")
        assert [event.outcome for event in server.completed()] == [Outcome.ERROR] * 2
        assert "@" not in server.completed()[0].error


def test_result_of_another_origin_is_ended_before_a_row_is_sent(target: Target) -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        wrong = ColumnOrigin(table_oid=1, attribute=1)
        return tuple(allow(part, MaskPlan(1, origins=(wrong,))) for part in split(text))

    for prepare in (False, True):
        with governed_by(target, decide) as server, connect(server, autocommit=True) as connection:
            with pytest.raises(psycopg.Error, match="another table column") as caught:
                connection.execute("select name from customers", prepare=prepare)
            assert caught.value.sqlstate == "42501"
            server.wait_for(lambda: bool(server.closings()))
            assert server.completed()[0].outcome is Outcome.ERROR
            assert server.completed()[0].rows == 0
            assert server.closings()[0].reason.value == "result_mismatch"


def test_result_of_another_width_is_ended(target: Target) -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text, MaskPlan(3, (mask(1),))),)

    with (
        governed_by(target, decide) as server,
        connect(server, autocommit=True) as connection,
        pytest.raises(psycopg.Error, match="2 columns where 3"),
    ):
        connection.execute("select id, email from customers")


def test_copy_with_masks_is_refused(target: Target) -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text, MaskPlan(2, (mask(1),))),)

    with governed_by(target, decide) as server:
        done = run(server, "psql", "-X", "-c", "copy customers (id, email) to stdout")
    assert "COPY of masked columns is refused" in done.stderr
    assert done.stdout == ""


def test_policy_change_voids_prepared_statements(target: Target) -> None:
    seen: list[str] = []

    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        seen.append(text)
        if "employees" in text and seen.count(text) > 1:
            return (deny(text, "employees is refused now"),)
        return allow_all(text, _context)

    with governed_by(target, decide) as server, connect(server, autocommit=True) as connection:
        connection.prepare_threshold = 0
        connection.execute("select count(*) from employees")
        connection.execute("select count(*) from employees")
        shell = server.shells[-1]
        rule = MaskingRule("m", "m", (ObjectPattern(),), MaskerSpec("full"))
        shell.post(kit.PolicyChanged(session_policy(version=2, masking_rules=(rule,))))
        connection.execute("select 1")
        with pytest.raises(pg_errors.InsufficientPrivilege, match="refused now"):
            connection.execute("select count(*) from employees")
        assert server.started()[-1].policy_version == 2
