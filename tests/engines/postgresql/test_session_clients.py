"""Real clients against a real server through the session: results equal the direct ones but for
masked cells, refusals leave the session usable, cancel and limits work."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import LiteralString

import asyncpg  # type: ignore[import-untyped] # ships no types
import psycopg
import pytest
import trio
from psycopg import errors as pg_errors
from psycopg.rows import tuple_row
from tests.engines.postgresql.harness import (
    Governed,
    allow,
    allow_all,
    deny,
    governed_by,
    mask,
    plain_target,
    session_policy,
    split,
)

from querykeep_demo.shop import Shop
from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.testing import FakeClient
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    BackendMessage,
    CopyResponse,
    DataRow,
    ErrorResponse,
    ReadyForQuery,
)
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.policy import Limits, MaskerSpec, MaskingRule, ObjectPattern
from querykeep_guard.contracts.session import EndReason, Target
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import ColumnOrigin, SessionContext

Connection = psycopg.Connection[tuple[object, ...]]
FULL = "*****"


@pytest.fixture
def target(shop_postgresql: Shop) -> Target:
    shop = shop_postgresql
    return plain_target(
        shop.host, shop.port, shop.account_user, shop.account_password, shop.database
    )


@pytest.fixture
def direct(target: Target) -> Iterator[Connection]:
    with psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database,
        autocommit=True,
    ) as connection:
        yield connection


@pytest.fixture
def governed(target: Target) -> Iterator[Governed]:
    with governed_by(target) as server:
        yield server


def connect(server: Governed, **options: object) -> Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user="ana",
        dbname="shop",
        sslmode="disable",
        row_factory=tuple_row,
        **options,  # type: ignore[arg-type]
    )


def masking(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    """Mask the second column of what reads two columns of customers; refuse payroll."""
    found = []
    for part in split(text):
        if "payroll" in part:
            found.append(deny(part, "table payroll is refused"))
        elif "id, email" in part or part.lower().lstrip().startswith(("fetch", "execute")):
            found.append(allow(part, MaskPlan(2, (mask(1),), redact_errors=True)))
        else:
            found.append(allow(part))
    return tuple(found)


def environment(server: Governed) -> dict[str, str]:
    return {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "ana",
        "PGDATABASE": "shop",
        "PGSSLMODE": "disable",
    }


def run(server: Governed, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=environment(server),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_psql_runs_several_statements_and_meta_commands(governed: Governed) -> None:
    done = run(
        governed, "psql", "-X", "-A", "-t", "-c", "select 1; select 2", "-c", "\\d customers"
    )
    assert done.stderr == ""
    assert done.stdout.startswith("1\n2\n")
    assert "card_number|character varying(25)" in done.stdout
    first, second = governed.started()[:2]
    assert (first.statement.strip(), second.statement.strip()) == ("select 1", "select 2")
    assert [event.outcome for event in governed.completed()[:2]] == [Outcome.OK, Outcome.OK]


def test_every_statement_is_recorded_before_it_completes(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("select * from customers")
    governed.wait_for(lambda: bool(governed.closings()))
    started, completed = governed.started()[0], governed.completed()[0]
    assert governed.events.index(started) < governed.events.index(completed)
    assert completed.statement_id == started.statement_id
    assert completed.rows == 2000
    assert completed.bytes > 100_000
    assert governed.closings()[0].statements == 1
    assert governed.closings()[0].rows == 2000


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


def test_search_path_is_read_back_after_set_rollback_and_function(governed: Governed) -> None:
    with connect(governed) as connection:
        connection.execute("select 1")
        connection.execute("set search_path to pg_catalog, public")
        connection.execute("select 2")
        connection.rollback()
        connection.execute("select 3")
        connection.execute("select set_config('search_path', 'public', true)")
        connection.execute("select 4")
        connection.commit()
        connection.execute("select 5")
    paths = {text: context.search_path for text, context in governed.contexts}
    default = ("$user", "public")
    assert paths["select 1"] == default
    assert paths["select 2"] == ("pg_catalog", "public")
    assert paths["select 3"] == default
    assert paths["select 4"] == ("public",)
    assert paths["select 5"] == default


def test_search_path_is_read_inside_a_pipeline(governed: Governed) -> None:
    with connect(governed) as connection, connection.pipeline():
        connection.execute("set search_path to pg_catalog")
        cursor = connection.execute("select current_schemas(false)::text")
        connection.execute("set local search_path to public")
        again = connection.execute("show search_path")
        assert cursor.fetchone() == ("{pg_catalog}",)
        assert again.fetchone() == ("public",)
    paths = {text: context.search_path for text, context in governed.contexts}
    assert paths["select current_schemas(false)::text"] == ("pg_catalog",)
    assert paths["show search_path"] == ("public",)


def test_set_transaction_after_begin_still_works(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("begin")
        connection.execute("set transaction isolation level serializable")
        assert connection.execute("show transaction_isolation").fetchone() == ("serializable",)
        connection.execute("rollback")


def test_copy_out_and_in_pass_and_are_counted(governed: Governed, direct: Connection) -> None:
    direct.execute("create table if not exists copied (a int, b text)")
    with connect(governed, autocommit=True) as connection:
        cursor = connection.cursor()
        with cursor.copy("copy copied from stdin") as copy:
            for number in range(5000):
                copy.write_row((number, "글" * 10))
        with cursor.copy("copy copied to stdout") as copy:
            rows = sum(1 for _ in copy.rows())
        assert rows == 5000
        with pytest.raises(pg_errors.BadCopyFileFormat), cursor.copy("copy copied from stdin") as c:
            c.write(b"1\t2\t3\n")
        assert connection.execute("select count(*) from copied").fetchone() == (5000,)
    direct.execute("drop table copied")
    assert governed.completed()[1].rows == 5000


@pytest.mark.parametrize("fail", [False, True])
def test_copy_in_by_the_extended_protocol_ignores_the_sync_sent_before_it(
    governed: Governed, direct: Connection, fail: bool
) -> None:
    direct.execute("create table if not exists copied_too (a int)")
    copy = "copy copied_too from stdin"
    with socket.create_connection(("127.0.0.1", governed.port)) as sock:
        client = FakeClient()
        sock.sendall(FakeClient.startup())
        receive_until(sock, client, lambda m: isinstance(m, ReadyForQuery))
        series = encode.parse("", copy) + encode.bind("", "") + encode.describe("P", "")
        sock.sendall(series + encode.execute("") + encode.SYNC)
        receive_until(sock, client, lambda m: isinstance(m, CopyResponse))
        end = encode.copy_fail("changed my mind") if fail else encode.COPY_DONE
        sock.sendall(encode.copy_data(b"1\n2\n") + end + encode.SYNC + encode.query("select 7"))
        first = receive_until(sock, client, lambda m: isinstance(m, ReadyForQuery))
        assert [m.get("C") for m in first if isinstance(m, ErrorResponse)] == ["57014"] * fail
        second = receive_until(sock, client, lambda m: isinstance(m, ReadyForQuery))
        assert DataRow((b"7",)) in second
        sock.sendall(encode.TERMINATE)
    rows = direct.execute("select count(*) from copied_too").fetchone()
    direct.execute("drop table copied_too")
    assert rows == (0 if fail else 2,)
    assert governed.completed()[0].rows == (0 if fail else 2)


def receive_until(
    sock: socket.socket, client: FakeClient, last: Callable[[BackendMessage], bool]
) -> list[BackendMessage]:
    """Read messages up to and with the one wanted; what follows stays for the next call."""
    sock.settimeout(20)
    while not any(last(message) for message in client.messages):
        data = sock.recv(65536)
        assert data
        client.feed(data)
    index = next(i for i, message in enumerate(client.messages) if last(message))
    found, client.messages = client.messages[: index + 1], client.messages[index + 1 :]
    return found


def test_copy_with_masks_is_refused(target: Target) -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text, MaskPlan(2, (mask(1),))),)

    with governed_by(target, decide) as server:
        done = run(server, "psql", "-X", "-c", "copy customers (id, email) to stdout")
    assert "COPY of masked columns is refused" in done.stderr
    assert done.stdout == ""


def once_active(direct: Connection, text: str, act: Callable[[], None]) -> threading.Thread:
    """Act in a thread as soon as the target works on a statement."""

    def work() -> None:
        deadline = time.monotonic() + 20
        while not active(direct, text):
            assert time.monotonic() < deadline
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def active(direct: Connection, text: str) -> int:
    row = direct.execute(
        "select count(*) from pg_stat_activity where query = %s and state = 'active'", (text,)
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_cancel_from_the_client_reaches_the_target(governed: Governed, direct: Connection) -> None:
    with connect(governed, autocommit=True) as connection:
        timer = once_active(direct, "select pg_sleep(30)", connection.cancel_safe)
        with pytest.raises(pg_errors.QueryCanceled):
            connection.execute("select pg_sleep(30)")
        timer.join()
        assert governed.completed()[-1].outcome is Outcome.CANCELLED
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (kit.CancelRequested(by_admin=True), "an administrator ended it"),
        (kit.CancelRequested(time_limit=True), "longer than the limit"),
    ],
)
def test_cancel_by_others_says_why(
    governed: Governed, direct: Connection, event: kit.Event, words: str
) -> None:
    with connect(governed, autocommit=True) as connection:
        timer = once_active(direct, "select pg_sleep(30)", lambda: governed.shells[-1].post(event))
        with pytest.raises(pg_errors.QueryCanceled, match=words):
            connection.execute("select pg_sleep(30)")
        timer.join()
        assert governed.completed()[-1].outcome is Outcome.KILLED
        assert connection.execute("select 1").fetchone() == (1,)


def test_client_gone_mid_statement_cancels_at_the_target(
    governed: Governed, direct: Connection
) -> None:
    connection = connect(governed, autocommit=True)
    connection.pgconn.send_query(b"select pg_sleep(31)")
    once_active(direct, "select pg_sleep(31)", connection.pgconn.finish).join()
    governed.wait_for(lambda: bool(governed.closings()))
    assert governed.completed()[-1].outcome is Outcome.CANCELLED
    assert any(isinstance(command, kit.CancelAtTarget) for command in governed.commands)
    deadline = time.monotonic() + 20
    while active(direct, "select pg_sleep(31)"):
        assert time.monotonic() < deadline


def test_session_end_is_told(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("select 1")
        governed.shells[-1].post(kit.EndRequested(EndReason.REVOKED, "your grant was revoked"))
        governed.wait_for(lambda: bool(governed.closings()))
        with pytest.raises(psycopg.OperationalError, match="grant was revoked") as caught:
            connection.execute("select 1")
        assert caught.value.sqlstate in ("57P01", None)
    assert governed.closings()[0].reason is EndReason.REVOKED


@pytest.mark.parametrize("prepare", [False, True])
def test_row_limit_ends_the_result(target: Target, prepare: bool) -> None:
    policy = session_policy(limits=Limits(max_rows=10))
    with governed_by(target, policy=policy) as server:
        with connect(server, autocommit=True) as connection:
            with pytest.raises(psycopg.Error, match="after 10 rows"):
                connection.execute("select * from orders", prepare=prepare)
            assert len(connection.execute("select 1 from orders limit 10").fetchall()) == 10
        assert server.completed()[0].rows == 10
        assert server.completed()[0].outcome is Outcome.KILLED


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


def test_large_result_keeps_memory_bounded(target: Target) -> None:
    with governed_by(target, chunk=1 << 20) as server, connect(server) as connection:
        with connection.cursor() as cursor:
            for _ in cursor.stream(
                "select repeat('x', 30000000) from generate_series(1, 3)", size=1
            ):
                decoder = server.shells[-1].session._from_server
                assert decoder.buffered < 1 << 20
        rows = sum(1 for _ in cursor_rows(connection))
        assert rows == 300_000
        assert server.completed()[-1].rows == 300_000


def cursor_rows(connection: Connection) -> Iterator[object]:
    with connection.cursor() as cursor:
        yield from cursor.stream("select g, repeat('y', 50) from generate_series(1, 300000) g")


async def test_asyncpg_statements_cursors_and_types(target: Target) -> None:
    def work() -> None:
        async def main(port: int) -> None:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=port, user="ana", database="shop", ssl=False
            )
            rows = await connection.fetch("select id, email from customers where id < $1", 10)
            assert {row["email"] for row in rows} <= {FULL, None}
            async with connection.transaction():
                total = 0
                async for row in connection.cursor("select id, email from customers"):
                    assert row["email"] in (FULL, None)
                    total += 1
                assert total == 2000
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("select * from payroll")
            assert await connection.fetchval("select 1") == 1
            await connection.close()

        with governed_by(target, masking) as server:
            asyncio.run(main(server.port))

    await trio.to_thread.run_sync(work)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(governed: Governed, mode: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(
        "\\set n random(1, 2000)\nbegin;\nselect name from customers where id = :n;\nend;\n"
    )
    done = run(governed, "pgbench", "-n", "-M", mode, "-t", "50", "-c", "2", "-f", str(script))
    assert done.returncode == 0, done.stderr
    assert "100/100" in done.stdout
    assert len(governed.completed()) >= 300
    assert {event.outcome for event in governed.completed()} == {Outcome.OK}


def test_pg_dump_equals_the_direct_one(governed: Governed, target: Target) -> None:
    words = ("pg_dump", "-t", "products", "--no-comments")
    through = run(governed, *words)
    assert through.stderr == ""
    bare = subprocess.run(
        words,
        env={
            **os.environ,
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGUSER": target.username,
            "PGPASSWORD": target.password,
            "PGDATABASE": "shop",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    strip = [line for line in bare.stdout.splitlines() if "restrict" not in line]
    assert [line for line in through.stdout.splitlines() if "restrict" not in line] == strip


def test_listen_and_notify_pass(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("listen tell")
        connection.execute("notify tell, 'hello'")
        found = next(connection.notifies(timeout=10))
        assert found.payload == "hello"


def test_empty_statements(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("")
        connection.execute(";")
        connection.execute("", prepare=True)
        assert connection.execute("select 1").fetchone() == (1,)
    assert [event.statement for event in governed.started()] == ["select 1"]


def test_target_password_wrong_is_told_without_the_account(target: Target) -> None:
    wrong = dataclasses.replace(target, password="not-it")
    with governed_by(wrong) as server, pytest.raises(psycopg.OperationalError) as caught:
        connect(server)
    assert "the stored account of connection" in str(caught.value)
    assert target.username not in str(caught.value)
    assert "not-it" not in str(caught.value)


def test_target_down_is_told(target: Target) -> None:
    with (
        governed_by(dataclasses.replace(target, port=1)) as server,
        pytest.raises(psycopg.OperationalError, match="cannot be reached"),
    ):
        connect(server)
    server.wait_for(lambda: bool(server.closings()))
    assert server.closings()[0].reason.value == "target_unreachable"
