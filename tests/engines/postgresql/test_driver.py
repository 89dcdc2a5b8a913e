"""The native driver against a real server: streams, cancel, *Test*, crawl, processes."""

from __future__ import annotations

import dataclasses
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from querykeep_demo.servers import PostgresqlServer
from querykeep_demo.shop import Shop
from querykeep_engines.kit.driver import (
    DriverError,
    Notice,
    ResultStarted,
    RowBatch,
    SocketAddress,
    StatementDone,
    StatementFailed,
)
from querykeep_engines.postgresql.connection import PostgresqlConnection
from querykeep_engines.postgresql.driver import PostgresqlDriver
from querykeep_guard.contracts import codec
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.session import Target, TlsMode

DRIVER = PostgresqlDriver()


@pytest.fixture(scope="module")
def target(shop_postgresql: Shop) -> Target:
    shop = shop_postgresql
    return Target(
        "postgresql",
        "postgresql",
        shop.host,
        shop.port,
        shop.database,
        shop.account_user,
        shop.account_password,
    )


@pytest.fixture
def connection(target: Target) -> Iterator[PostgresqlConnection]:
    opened = DRIVER.connect(target)
    yield opened
    opened.close()


def test_values_are_the_servers_own_text(connection: PostgresqlConnection) -> None:
    text = (
        "SELECT 1::bigint AS big, 1.50::numeric(6,2), 'é'::text, '\\x00ff'::bytea, ARRAY[1,NULL], "
        "NULL::text, true, '2026-01-01'::date, 1e400::numeric, '{\"a\": 1}'::jsonb"
    )
    started, batch, done = connection.stream(text)
    assert isinstance(started, ResultStarted)
    kinds = [column.kind for column in started.columns]
    assert kinds == [
        *("integer", "decimal", "text", "binary", "array", "text", "boolean", "date"),
        *("decimal", "json"),
    ]
    assert started.columns[1].type_name == "numeric(6,2)"
    assert isinstance(batch, RowBatch)
    expected = ("1", "1.50", "é", "\\x00ff", "{1,NULL}", None, "t", "2026-01-01")
    assert batch.rows[0] == (*expected, "1" + "0" * 400, '{"a": 1}')
    assert done == StatementDone("SELECT 1", 1)


def test_a_text_may_hold_several_statements(connection: PostgresqlConnection) -> None:
    text = "SELECT 1; SELECT 2 WHERE false; SET x.y = 'z'; SELECT nothing"
    items = list(connection.stream(text))
    names = [type(item).__name__ for item in items]
    assert names == [
        *("ResultStarted", "RowBatch", "StatementDone"),
        *("ResultStarted", "StatementDone", "StatementDone", "StatementFailed"),
    ]
    failed = items[-1]
    assert isinstance(failed, StatementFailed)
    assert (failed.code, failed.fatal) == ("42703", False)
    assert failed.position == text.index("nothing")


def test_a_position_counts_characters(connection: PostgresqlConnection) -> None:
    text = "SELECT '한국어', nothing"
    (failed,) = connection.stream(text)
    assert isinstance(failed, StatementFailed)
    assert failed.position == text.index("nothing")


def test_rows_come_in_batches(connection: PostgresqlConnection) -> None:
    batches = [
        item
        for item in connection.stream("SELECT generate_series(1, 10000)", batch_rows=1000)
        if isinstance(item, RowBatch)
    ]
    assert sum(len(batch.rows) for batch in batches) == 10_000
    assert all(len(batch.rows) < 1200 for batch in batches)
    assert batches[-1].rows[-1] == ("10000",)


def test_notices_come_in_their_place(connection: PostgresqlConnection) -> None:
    items = list(connection.stream("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"))
    assert items == [Notice("NOTICE", "00000", "hello"), StatementDone("DO", None)]


def test_closing_early_cancels_and_leaves_the_connection_usable(
    connection: PostgresqlConnection,
) -> None:
    stream = connection.stream("SELECT generate_series(1, 1000000000)")
    assert isinstance(next(stream), ResultStarted)
    assert isinstance(next(stream), RowBatch)
    stream.close()  # type: ignore[attr-defined]
    assert connection.query("SELECT 1") == [("1",)]


def test_cancel_from_another_thread(connection: PostgresqlConnection, target: Target) -> None:
    watcher = DRIVER.connect(target)
    (pid,) = connection.query("SELECT pg_backend_pid()")[0]

    def cancel_once_it_runs() -> None:
        text = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"
        while watcher.query(text) == [("0",)]:
            pass
        connection.cancel()

    thread = threading.Thread(target=cancel_once_it_runs)
    thread.start()
    (failed,) = connection.stream("SELECT pg_sleep(60)")
    thread.join()
    watcher.close()
    assert isinstance(failed, StatementFailed)
    assert failed.code == "57014"
    assert connection.query("SELECT 1") == [("1",)]


def test_transactions_are_seen(connection: PostgresqlConnection) -> None:
    assert not connection.in_transaction
    list(connection.stream("BEGIN"))
    assert connection.in_transaction
    list(connection.stream("SELECT nothing"))
    assert connection.in_transaction
    list(connection.stream("ROLLBACK"))
    assert not connection.in_transaction


def test_copy_out_is_rows_of_text_and_copy_in_is_refused(
    connection: PostgresqlConnection,
) -> None:
    items = list(connection.stream("COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT"))
    assert items[1:] == [RowBatch((("1\ta",), ("2\t\\N",))), StatementDone("COPY 2", 2)]
    list(connection.stream("CREATE TEMP TABLE t (a integer)"))
    (failed,) = connection.stream("COPY t FROM STDIN")
    assert isinstance(failed, StatementFailed)
    assert connection.query("SELECT count(*) FROM t") == [("0",)]


def test_a_nul_and_an_empty_text(connection: PostgresqlConnection) -> None:
    (failed,) = connection.stream("SELECT 1\x00")
    assert isinstance(failed, StatementFailed)
    assert list(connection.stream("")) == [StatementDone("", None)]


def test_processes_and_kill(connection: PostgresqlConnection, target: Target) -> None:
    (pid,) = connection.query("SELECT pg_backend_pid()")[0]
    assert any(process.native_id == pid for process in DRIVER.processes(target))
    assert pid is not None
    DRIVER.kill(target, pid)
    *_, failed = connection.stream("SELECT 1")
    assert isinstance(failed, StatementFailed)
    assert failed.fatal
    with pytest.raises(DriverError, match="no server process"):
        DRIVER.kill(target, "999999999")
    with pytest.raises(DriverError, match="not a process id"):
        DRIVER.kill(target, "1; DROP TABLE x")


def test_a_cancel_request_is_one_packet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        target = Target(
            "postgresql", "postgresql", "127.0.0.1", port, "d", "u", "p", TlsMode.DISABLE
        )
        received = bytearray()

        def accept() -> None:
            with server.accept()[0] as peer:
                received.extend(peer.recv(100))

        thread = threading.Thread(target=accept)
        thread.start()
        DRIVER.cancel(target, struct.pack("!i", 77) + b"secretsecret")
        thread.join()
    assert bytes(received) == struct.pack("!iii", 24, 80877102, 77) + b"secretsecret"
    with pytest.raises(DriverError, match="not a backend key"):
        DRIVER.cancel(target, b"")


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, None),
        ({"host": "no-such-host.invalid"}, "dns"),
        ({"port": 1}, "tcp"),
        ({"tls_mode": TlsMode.VERIFY_FULL}, "tls"),
        ({"password": "wrong"}, "authentication"),
        ({"username": "nobody_of_that_name"}, "authentication"),
        ({"database": "nowhere"}, "database"),
    ],
)
def test_probe_tells_the_failing_step(
    changes: dict[str, object], failed: str | None, target: Target
) -> None:
    report = DRIVER.probe(dataclasses.replace(target, **changes))  # type: ignore[arg-type]
    steps = [step.name for step in report.steps]
    assert steps == ["dns", "tcp", "tls", "authentication", "database", "permission"]
    assert [step.name for step in report.steps if step.state == "failed"] == (
        [failed] if failed else []
    )
    assert report.ok is (failed is None)
    assert target.password not in repr(report)


def test_probe_warns_of_a_superuser(target: Target, shop_postgresql: Shop) -> None:
    shop = shop_postgresql
    report = DRIVER.probe(dataclasses.replace(target, username=shop.user, password=shop.password))
    assert report.ok
    assert report.steps[-1].state == "warning"
    assert "superuser" in report.steps[-1].message


def test_a_governed_socket_is_a_unix_socket(postgresql_server: PostgresqlServer) -> None:
    with pytest.raises(DriverError, match="not named"):
        DRIVER.connect_governed(SocketAddress(unix_path="/tmp/x.sock"), "shop")
    address = SocketAddress(
        host=postgresql_server.host,
        port=postgresql_server.port,
        username=postgresql_server.user,
        password=postgresql_server.password,
    )
    governed = DRIVER.connect_governed(address, postgresql_server.database)
    assert governed.query("SELECT current_setting('client_encoding')") == [("UTF8",)]
    governed.close()


def test_crawl_holds_the_shop(target: Target) -> None:
    catalog = DRIVER.crawl(target)
    relations = {(r.schema, r.name): r for r in catalog.relations}
    customers = relations["public", "customers"]
    assert [column.name for column in customers.columns][:4] == ["id", "name", "email", "phone"]
    assert customers.kind == "table"
    assert [index.columns for index in customers.indexes if index.primary] == [("id",)]
    assert relations["public", "customer_contact"].kind == "view"
    assert "FROM public.customers" in relations["public", "customer_contact"].definition
    orders = relations["public", "orders"]
    (key,) = [c for c in orders.constraints if c.kind == "foreign_key"]
    assert (key.columns, key.ref_table, key.ref_columns) == (("customer_id",), "customers", ("id",))
    assert relations["pg_catalog", "pg_class"].kind == "table"
    assert relations["information_schema", "columns"].kind == "system_view"
    assert codec.loads(Catalog, codec.dumps(catalog)) == catalog


def test_fingerprint_moves_with_ddl_and_only_with_it(
    target: Target, connection: PostgresqlConnection
) -> None:
    before = DRIVER.crawl(target).fingerprint
    assert DRIVER.fingerprint(target) == before
    list(connection.stream("CREATE TEMP TABLE mine (a integer); ANALYZE customers"))
    list(connection.stream("UPDATE customers SET note = note WHERE id = 1"))
    assert DRIVER.fingerprint(target) == before
    list(connection.stream("CREATE TABLE fingerprint_moves (a integer)"))
    moved = DRIVER.fingerprint(target)
    list(connection.stream("ALTER TABLE fingerprint_moves RENAME COLUMN a TO b"))
    again = DRIVER.fingerprint(target)
    list(connection.stream("DROP TABLE fingerprint_moves"))
    assert len({before, moved, again}) == 3
