"""What clients may make the proxy hold: bounded, with a clear error, and the session goes on."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import closing
from pathlib import Path

import psycopg
import pymysql
import pytest
from tests.polling import until
from tests.proxy.fix_shop_proxy import only_value
from tests.proxy.test_real_servers import connect_mariadb, in_thread, pg_conninfo

from querykeep_demo.shop import Shop
from querykeep_engines.mysql.session import names
from querykeep_engines.postgresql.session import books, state

MEGABYTE = 1024 * 1024
FEW = 50
"""A limit that a test reaches in a moment."""


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pg_session(proxy) -> psycopg.Connection:
    return psycopg.connect(pg_conninfo(proxy, sslmode="disable"), autocommit=True)


def pg_admin(shop: Shop) -> psycopg.Connection:
    return psycopg.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password,
        dbname=shop.database, autocommit=True,
    )  # fmt: skip


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "REMEMBERED_NAMES", FEW)
    monkeypatch.setattr(state, "REMEMBERED_NAMES", FEW)


async def test_prepared_statements_of_sql_are_bounded(pg_proxy, monkeypatch):
    few(monkeypatch)

    def work() -> None:
        with pg_session(pg_proxy) as connection:
            for number in range(FEW):
                connection.execute(f"prepare s{number} as select {number}")
            with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                connection.execute("prepare one_more as select 1")
            connection.execute("deallocate s0")
            connection.execute("prepare one_more as select 7")
            assert only_value(connection.execute("execute one_more")) == 7

    await in_thread(work)


async def test_portals_are_bounded(pg_proxy, monkeypatch):
    few(monkeypatch)

    def work() -> None:
        with pg_session(pg_proxy) as connection:
            connection.execute("begin")
            for number in range(FEW - 1):
                connection.execute(f"declare c{number} cursor for select {number}")
            connection.execute("declare last cursor for select 1")
            with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                connection.execute("declare one_more cursor for select 1")
            connection.execute("rollback")
            assert only_value(connection.execute("select 1")) == 1

    await in_thread(work)


async def test_prepared_statements_of_mariadb_are_bounded(mariadb_proxy, monkeypatch):
    monkeypatch.setattr(names, "STATEMENTS", FEW)
    monkeypatch.setattr("querykeep_engines.mysql.session.prepared.STATEMENTS", FEW)

    def work() -> None:
        with closing(connect_mariadb(mariadb_proxy)) as connection, connection.cursor() as cursor:
            for number in range(FEW):
                cursor.execute(f"PREPARE s{number} FROM 'SELECT {number}'")
            with pytest.raises(pymysql.MySQLError) as refused:
                cursor.execute("PREPARE one_more FROM 'SELECT 1'")
            assert refused.value.args[0] == 1461
            for _ in range(FEW):
                connection._execute_command(0x16, "SELECT 1")
                for _packet in range(3):  # the statement, its column, the end of columns
                    connection._read_packet()
            connection._execute_command(0x16, "SELECT 1")
            with pytest.raises(pymysql.MySQLError) as refused:
                connection._read_packet()
            assert refused.value.args[0] == 1461
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == ((1,),)

    await in_thread(work)


async def test_a_statement_of_50_mb_is_refused_and_recorded(pg_proxy):
    text = "select length('" + "한" * (50 * MEGABYTE // 3) + "')"

    def work() -> None:
        with pg_session(pg_proxy) as connection:
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="recorded whole"):
                connection.execute(text)
            assert only_value(connection.execute("select 'still here'")) == "still here"

    await in_thread(work)
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("SessionClosed")))
    started = pg_proxy.api.events("StatementStarted")[0]
    assert (started["verdict"], started["error_code"]) == ("denied", "54000")
    assert hashlib.sha256(text.encode()).hexdigest() in started["statement"]
    assert started["statement"].startswith(text[:1000])


async def test_a_statement_of_50_mb_is_refused_and_recorded_on_mariadb(mariadb_proxy):
    text = "SELECT LENGTH('" + "x" * (50 * MEGABYTE) + "')"

    def work() -> None:
        with closing(connect_mariadb(mariadb_proxy, max_allowed_packet=1 << 30)) as connection:
            with pytest.raises(pymysql.MySQLError) as refused:
                connection.query(text)
            assert refused.value.args[0] == 1153
            connection.query("SELECT 1")

    await in_thread(work)
    await in_thread(
        mariadb_proxy.api.wait_for, lambda: bool(mariadb_proxy.api.events("SessionClosed"))
    )
    (started,) = (
        e for e in mariadb_proxy.api.events("StatementStarted") if e["verdict"] == "denied"
    )
    assert started["error_code"] == "1153"
    assert hashlib.sha256(text.encode()).hexdigest() in started["statement"]


async def test_a_message_beyond_the_limit_ends_the_session_with_an_error(pg_proxy):
    def work() -> None:
        with (
            closing(pg_session(pg_proxy)) as connection,
            pytest.raises(psycopg.OperationalError),
        ):
            connection.execute("select '" + "x" * (65 * MEGABYTE) + "'")

    await in_thread(work)
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("SessionClosed")))
    (closed,) = pg_proxy.api.events("SessionClosed")
    assert closed["reason"] == "protocol_error"
    assert "invalid length" in closed["detail"]


async def test_long_data_without_end_is_not_held_here(mariadb_proxy):
    """What a client sends for one parameter goes on to the target, which has a limit of its own."""

    def work() -> int:
        with closing(connect_mariadb(mariadb_proxy, ssl_disabled=True)) as connection:
            connection._execute_command(0x16, "SELECT LENGTH(?)")
            head = connection._read_packet()
            statement_id = head.get_all_data()[1:5]
            for _packet in range(4):
                connection._read_packet()
            before = resident_bytes()
            chunk = statement_id + b"\0\0" + b"x" * MEGABYTE
            for _ in range(40):
                connection._execute_command(0x18, chunk)
            connection.ping(reconnect=False)
            return resident_bytes() - before

    assert await in_thread(work) < 30 * MEGABYTE


@pytest.mark.parametrize("masked", [False, True])
async def test_a_client_that_does_not_read_costs_a_bounded_amount(pg_proxy, masked):
    """Some 600 MB of rows wait at the target, not here."""
    column = "c.email" if masked else "c.note"
    text = f"select o.id, {column} from orders o, customers c limit 10000000"
    client = await in_thread(pg_session, pg_proxy)
    before = resident_bytes()
    client.pgconn.send_query(text.encode())
    (session,) = pg_proxy.services.live
    seen: list[tuple[int, str]] = []
    with pg_admin(pg_proxy.shop) as admin:

        def stands_still() -> bool:
            """The target cannot get rid of its rows, and has not for twenty looks at it."""
            waits = only_value(
                admin.execute(
                    "select coalesce(max(wait_event), '') from pg_stat_activity"
                    " where query = %s and state = 'active'",
                    (text,),
                )
            )
            seen.append((session.report().bytes, waits))
            (sent, waits), *others = set(seen[-20:])
            return not others and len(seen) > 20 and sent > MEGABYTE and waits == "ClientWrite"

        async def looks() -> bool:
            return await in_thread(stands_still)

        await until(looks)
    assert resident_bytes() - before < 20 * MEGABYTE
    client.pgconn.finish()
    await until(lambda: len(pg_proxy.services.live) == 0)


async def test_connections_that_never_sign_in_are_bounded(pg_proxy):
    limit = 200
    before = resident_bytes()

    def opened() -> list[socket.socket]:
        return [
            socket.create_connection(("127.0.0.1", pg_proxy.port), 60) for _ in range(limit + 20)
        ]

    sockets = await in_thread(opened)
    try:

        def closed() -> int:
            count = 0
            for each in sockets:
                each.setblocking(False)
                try:
                    count += each.recv(1) == b""
                except (BlockingIOError, ConnectionResetError):
                    continue
            return count

        await until(lambda: closed() == 20)
        assert resident_bytes() - before < 20 * MEGABYTE
    finally:
        for each in sockets:
            each.close()

    def serves() -> bool:
        try:
            pg_session(pg_proxy).close()
        except psycopg.OperationalError:
            return False
        return True

    async def is_served() -> bool:
        return await in_thread(serves)

    await until(is_served)
