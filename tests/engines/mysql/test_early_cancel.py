"""A cancel that arrives before its statement has begun at the target is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import mysql.connector
import pymysql
import pytest
from mysql.connector.cursor import MySQLCursorPrepared
from tests.engines.mysql.harness import MysqlGoverned, governed_by
from tests.engines.postgresql.harness import PASSWORD, allow_all

from querykeep_demo.shop import Shop
from querykeep_engines.kit import session as kit
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.session import Target, TlsMode
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

SLOW = "SELECT SLEEP(0.5)"
STATEMENT = "SELECT 'never runs'"
Check = Callable[[], None]


@pytest.fixture
def governed(shop_mariadb: Shop) -> Iterator[MysqlGoverned]:
    shop = shop_mariadb
    target = Target(
        "mariadb", "mariadb", shop.host, shop.port, "shop", shop.account_user,
        shop.account_password, TlsMode.DISABLE,
    )  # fmt: skip
    with governed_by(target) as server:
        yield server


def cancel_while_judged(governed: MysqlGoverned, *, nth: int, by_admin: bool) -> None:
    """Have a cancel arrive while the nth decision on STATEMENT is being made."""
    seen = 0

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        nonlocal seen
        if text == STATEMENT:
            seen += 1
            if seen == nth:
                governed.shells[-1].post(kit.CancelRequested(by_admin=by_admin))
        return allow_all(text, context)

    governed.decide = decide


def outcomes(governed: MysqlGoverned) -> list[tuple[Verdict, Outcome, str]]:
    governed.wait_for(lambda: len(governed.completed()) == len(governed.started()))
    ended = {event.statement_id: event for event in governed.completed()}
    return [
        (event.verdict, ended[event.statement_id].outcome, ended[event.statement_id].error_code)
        for event in governed.started()
        if event.statement == STATEMENT
    ]


@pytest.mark.parametrize("by_admin", [False, True])
def test_a_query_cancelled_while_it_is_judged_does_not_run(
    governed: MysqlGoverned, by_admin: bool
) -> None:
    cancel_while_judged(governed, nth=1, by_admin=by_admin)
    with (
        closing(
            pymysql.connect(
                host="127.0.0.1", port=governed.port, user="a", password=PASSWORD, database="shop"
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        with pytest.raises(pymysql.err.OperationalError) as caught:
            cursor.execute(STATEMENT)
        assert caught.value.args[0] == 1317
        cursor.execute(STATEMENT)
        assert cursor.fetchall() == (("never runs",),)
    outcome = Outcome.KILLED if by_admin else Outcome.CANCELLED
    assert outcomes(governed) == [
        (Verdict.ALLOWED, outcome, "1317"),
        (Verdict.ALLOWED, Outcome.OK, ""),
    ]


@pytest.mark.parametrize(("nth", "recorded"), [(1, 0), (2, 1)])
def test_a_prepared_statement_cancelled_while_it_is_judged_does_not_run(
    governed: MysqlGoverned, nth: int, recorded: int
) -> None:
    """The first decision is that on the prepare, which runs nothing."""
    cancel_while_judged(governed, nth=nth, by_admin=False)
    connection = mysql.connector.connect(
        host="127.0.0.1", port=governed.port, user="a", password=PASSWORD, database="shop",
        use_pure=True, ssl_disabled=True, collation="utf8mb4_general_ci",
    )  # fmt: skip
    with (
        closing(connection),
        closing(connection.cursor(cursor_class=MySQLCursorPrepared)) as cursor,
    ):
        with pytest.raises(mysql.connector.Error) as caught:
            cursor.execute(STATEMENT)
        assert caught.value.errno == 1317
    assert outcomes(governed) == [(Verdict.ALLOWED, Outcome.CANCELLED, "1317")] * recorded


def test_a_cancel_that_comes_too_late_does_not_change_what_is_recorded(
    governed: MysqlGoverned,
) -> None:
    """A statement that came to its own end is not recorded as cancelled."""
    with (
        closing(
            pymysql.connect(
                host="127.0.0.1", port=governed.port, user="a", password=PASSWORD, database="shop"
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        shell = governed.shells[-1]
        shell._cancel = lambda native_id: None  # type: ignore[method-assign] # lost on its way
        worker = threading.Thread(target=cursor.execute, args=(SLOW,))
        worker.start()
        governed.wait_for(lambda: any(event.statement == SLOW for event in governed.started()))
        shell.post(kit.CancelRequested())
        worker.join(60)
        assert cursor.fetchall() == ((0,),)
    governed.wait_for(lambda: len(governed.completed()) == len(governed.started()))
    assert {event.outcome for event in governed.completed()} == {Outcome.OK}
