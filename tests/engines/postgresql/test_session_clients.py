"""Real clients against a real server through the session: results equal the direct ones."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped] # ships no types
import pytest
import trio
from psycopg import errors as pg_errors
from tests.engines.postgresql.clients import FULL, Connection, connect, masking, run
from tests.engines.postgresql.harness import (
    Governed,
    governed_by,
)

from querykeep_engines.postgresql.testing import FakeClient
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    BackendMessage,
    CopyResponse,
    DataRow,
    ErrorResponse,
    ReadyForQuery,
)
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.session import Target


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
