"""A target that ends a session by itself: its own words reach the client, and are audited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from tests.proxy.test_faults import SLOW
from tests.proxy.test_real_servers import in_thread, pg_conninfo

MANY_ROWS = "select email from customers a, orders b, order_items c"


@contextmanager
def pg_admin(shop) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password,
        dbname=shop.database, autocommit=True,
    ) as connection:  # fmt: skip
        yield connection


def terminate(shop, statement: str, state: str) -> None:
    """End a backend as an operator would, once it is in this state with this statement."""
    with pg_admin(shop) as admin:
        while not admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = %s and state = %s and query = %s",
            (shop.account_user, state, statement),
        ).fetchall():
            threading.Event().wait(0.02)


def last_words(connection: psycopg.Connection, statement: str) -> tuple[str | None, str]:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement)
    assert connection.closed
    return caught.value.sqlstate, str(caught.value)


def words_while_idle(connection: psycopg.Connection) -> list[tuple[str | None, str | None]]:
    """Listen until the connection ends. A statement sent into an ended connection may meet its
    reset before the words are read, with any server."""
    heard: list[tuple[str | None, str | None]] = []
    connection.add_notice_handler(lambda told: heard.append((told.sqlstate, told.message_primary)))
    with pytest.raises(psycopg.OperationalError):
        list(connection.notifies(timeout=60))
    return heard


OPERATOR = ("57P01", "terminating connection due to administrator command")


@pytest.mark.parametrize("statement", [SLOW, MANY_ROWS])
async def test_postgresql_ended_by_an_operator_in_the_middle(pg_proxy, statement):
    def work() -> None:
        with closing(psycopg.connect(pg_conninfo(pg_proxy), autocommit=True)) as connection:
            killer = threading.Thread(target=terminate, args=(pg_proxy.shop, statement, "active"))
            killer.start()
            assert last_words(connection, statement) == OPERATOR
            killer.join()

    await in_thread(work)
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("SessionClosed")))
    (ended,) = pg_proxy.api.events("StatementCompleted")
    assert (ended["outcome"], ended["error_code"], ended["error"]) == ("error", *OPERATOR)
    (closed,) = pg_proxy.api.events("SessionClosed")
    assert closed["reason"] == "target_closed"
    assert OPERATOR[1] in closed["detail"]


async def test_postgresql_ended_while_idle(pg_proxy):
    def work() -> None:
        with closing(psycopg.connect(pg_conninfo(pg_proxy), autocommit=True)) as connection:
            connection.execute("select 1")
            terminate(pg_proxy.shop, "select 1", "idle")
            assert words_while_idle(connection) == [OPERATOR]

    await in_thread(work)


@pytest.mark.parametrize(
    ("setting", "begins", "words"),
    [
        (
            "idle_session_timeout",
            "",  # the limit runs from the sign-in on
            ("57P05", "terminating connection due to idle-session timeout"),
        ),
        (
            "idle_in_transaction_session_timeout",
            "begin",
            ("25P03", "terminating connection due to idle-in-transaction timeout"),
        ),
    ],
)
async def test_postgresql_ended_by_its_own_idle_limit(pg_proxy, setting, begins, words):
    shop = pg_proxy.shop

    def work() -> None:
        with pg_admin(shop) as admin:
            admin.execute(f"alter role {shop.account_user} set {setting} = '200ms'")
            try:
                connection = psycopg.connect(pg_conninfo(pg_proxy), autocommit=True)
            finally:
                admin.execute(f"alter role {shop.account_user} reset {setting}")
            with closing(connection):
                if begins:
                    connection.execute(begins)
                assert words_while_idle(connection) == [words]
            pg_proxy.api.wait_for(lambda: bool(pg_proxy.api.events("SessionClosed")))

    await in_thread(work)
