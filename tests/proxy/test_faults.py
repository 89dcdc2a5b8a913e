"""Faults around a session, as clients of both engines see them. docs/operations/faults.md has the
whole list; what is shown elsewhere is named there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace

import psycopg
import pymysql
import pytest
import trio
from tests.polling import until
from tests.proxy.fix_shop_proxy import ShopProxy, open_shop_proxy
from tests.proxy.test_real_servers import connect_mariadb, in_thread, pg_conninfo

SLOW = "select count(*) from order_items a, order_items b, order_items c"


@dataclass
class Road:
    """One engine's client: how it connects, and what number its errors have."""

    engine: str
    open: Callable[..., AsyncIterator[ShopProxy]]

    def connect(self, proxy: ShopProxy):
        if self.engine == "postgresql":
            return psycopg.connect(pg_conninfo(proxy, sslmode="disable"), autocommit=True)
        return connect_mariadb(proxy, ssl_disabled=True)

    def failure(self, proxy: ShopProxy) -> str:
        """Return the error's number of a connect that must fail."""
        with pytest.raises((psycopg.OperationalError, pymysql.MySQLError)) as caught:
            self.connect(proxy).close()
        return str(caught.value) if self.engine == "postgresql" else str(caught.value.args[0])


@pytest.fixture(params=["postgresql", "mariadb"])
def road(request, internal_api, tmp_path, tls_certificate) -> Road:
    shop = request.getfixturevalue(f"shop_{request.param}")

    def opened(**options):
        return open_shop_proxy(shop, internal_api, tmp_path, tls_certificate, **options)

    return Road(request.param, opened)


def either(road: Road, postgresql: str, mariadb: str) -> str:
    return postgresql if road.engine == "postgresql" else mariadb


async def sign_in_fails(road: Road, proxy: ShopProxy, words: str, number: str) -> None:
    assert either(road, words, number) in await in_thread(road.failure, proxy)
    await until(lambda: len(proxy.services.live) == 0)


async def test_the_target_is_down(road):
    async with road.open() as proxy:
        proxy.api.target = replace(proxy.api.target, port=1)
        await sign_in_fails(road, proxy, "cannot be reached (tcp)", "1429")


async def test_the_target_does_not_answer(road):
    """It takes the connection and says nothing; then the sign-in's own limit counts."""
    silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with road.open(sign_in_timeout_s=1.0) as proxy:
        port = silent[0].socket.getsockname()[1]
        proxy.api.target = replace(proxy.api.target, port=port)
        await sign_in_fails(road, proxy, "sign-in was not completed", "1927")
    await silent[0].aclose()


async def test_the_stored_password_is_wrong(road):
    async with road.open() as proxy:
        proxy.api.target = replace(proxy.api.target, password="another")
        text = await in_thread(road.failure, proxy)
        assert either(road, "stored account", "1429") in text
        assert "another" not in text
        await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("SessionClosed")))
        assert proxy.api.events("SessionClosed")[0]["reason"] == "target_unreachable"


async def test_the_policy_service_is_away(road):
    async with road.open() as proxy:
        proxy.api.down = True
        await sign_in_fails(road, proxy, "policy service", "1053")


async def test_tls_is_required(road):
    async with road.open() as proxy:
        (info,) = proxy.api.connections
        with proxy.api.lock:
            proxy.api.connections = [replace(info, tls_required=True)]
        proxy.api.change_policy()

        async def refused() -> bool:
            try:
                await in_thread(lambda: road.connect(proxy).close())
            except (psycopg.OperationalError, pymysql.MySQLError):
                return True
            return False

        await until(refused)
        await sign_in_fails(road, proxy, "over TLS only", "1045")
        await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("SignInRefused")))
        assert proxy.api.events("SignInRefused")[0]["code"] == "tls_required"


async def test_a_full_spool_runs_nothing_and_says_so(road):
    async with road.open(spool_limit_bytes=60_000) as proxy:
        proxy.api.accept_records = False

        def fill(connection) -> None:
            cursor = connection.cursor()
            for number in range(1000):
                cursor.execute(f"select 'filler {number}', '{'x' * 500}'")

        def work() -> str:
            with closing(road.connect(proxy)) as connection:
                with pytest.raises((psycopg.Error, pymysql.MySQLError)) as caught:
                    fill(connection)
                error = caught.value
            return str(error.sqlstate) if isinstance(error, psycopg.Error) else str(error.args[0])

        assert await in_thread(work) == either(road, "53100", "1021")
        await until(lambda: len(proxy.services.live) == 0)
        proxy.api.accept_records = True
        await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("SessionClosed")))
        assert proxy.api.events("SessionClosed")[0]["reason"] == "spool_full"


@asynccontextmanager
async def running(road: Road, proxy: ShopProxy):
    """Give a client whose statement runs at the target."""
    connection = await in_thread(road.connect, proxy)
    if road.engine == "postgresql":
        connection.pgconn.send_query(SLOW.encode())
    else:
        connection._execute_command(3, SLOW)
    await until(lambda: any(session.report().statement_id for session in proxy.services.live))
    yield connection


def is_running(proxy: ShopProxy) -> bool:
    shop = proxy.shop
    if shop.engine == "postgresql":
        with psycopg.connect(
            host=shop.host, port=shop.port, user=shop.user, password=shop.password,
            dbname=shop.database,
        ) as direct:  # fmt: skip
            text = "select 1 from pg_stat_activity where query = %s and state = 'active'"
            return bool(direct.execute(text, (SLOW,)).fetchall())
    with (
        closing(
            pymysql.connect(host=shop.host, port=shop.port, user=shop.user, password=shop.password)
        ) as maria,
        maria.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 FROM information_schema.processlist WHERE info = %s", (SLOW,))
        return bool(cursor.fetchall())


async def test_a_client_that_goes_away_leaves_nothing_running(road):
    async with road.open() as proxy, running(road, proxy) as connection:

        async def at_target(expected: bool) -> bool:
            return await in_thread(is_running, proxy) is expected

        await until(lambda: at_target(True))
        if road.engine == "postgresql":
            connection.pgconn.finish()
        else:
            connection._force_close()
        await until(lambda: at_target(False))
        await until(lambda: len(proxy.services.live) == 0)
        await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("SessionClosed")))
        outcomes = {e["outcome"] for e in proxy.api.events("StatementCompleted")}
        assert "cancelled" in outcomes
