"""What was found by attack, one test each: sizes, places, counters, judged writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pymysql
import pytest
from tests.fix_system import DemoConnection, System


def postgresql(shop: DemoConnection, user: str) -> psycopg.Connection:
    token = shop.tokens[user]
    return psycopg.connect(
        host=shop.host,
        port=shop.port,
        user=token.username,
        password=token.password,
        dbname=shop.database,
        autocommit=True,
    )


@pytest.fixture
def analyst_pg(system: System) -> Iterator[psycopg.Connection]:
    with closing(postgresql(system.postgresql, "analyst")) as connection:
        yield connection


@contextmanager
def mariadb(system: System, user: str) -> Iterator[pymysql.cursors.Cursor]:
    shop = system.mariadb
    token = shop.tokens[user]
    connection = pymysql.connect(
        host=shop.host,
        port=shop.port,
        user=token.username,
        password=token.password,
        database=shop.database,
    )
    with closing(connection), connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def analyst_my(system: System) -> Iterator[pymysql.cursors.Cursor]:
    with mariadb(system, "analyst") as cursor:
        yield cursor


def test_sizes_in_the_catalog_are_null_and_tools_go_on(analyst_pg: psycopg.Connection) -> None:
    row = analyst_pg.execute(
        "SELECT relname, relpages, reltuples::bigint, pg_table_size(oid), "
        "pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relname = 'customers'"
    ).fetchone()
    assert row is not None
    assert row[:4] == ("customers", None, None, None)
    assert set(row[4]) == {"*"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT relname FROM pg_class WHERE relpages > 40",
        "SELECT relname FROM pg_class ORDER BY reltuples",
        "SELECT max(relpages) FROM pg_class",
        "SELECT 1 / (relpages - 41) FROM pg_class",
        "SELECT 1 FROM products WHERE pg_relation_size('customers') > 300000",
        "SELECT ctid FROM customers",
        "SELECT id, ctid FROM pg_tables, customers",
        "SELECT id FROM customers TABLESAMPLE SYSTEM (10)",
    ],
)
def test_sizes_and_places_decide_nothing(analyst_pg: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst_pg.execute(statement)


def test_places_of_a_table_without_anything_hidden_may_be_seen(
    analyst_pg: psycopg.Connection,
) -> None:
    assert analyst_pg.execute("SELECT ctid FROM products LIMIT 1").fetchone()
    assert analyst_pg.execute("SELECT id FROM orders TABLESAMPLE SYSTEM (50)").fetchall()


def test_a_refused_table_does_not_judge_the_deletes_of_another(system: System) -> None:
    with (
        closing(postgresql(system.postgresql, "developer")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"payroll"),
    ):
        connection.execute("DELETE FROM employees WHERE id = 150")


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW SESSION STATUS LIKE 'Bytes_sent'",
        "SHOW STATUS",
        "SELECT * FROM information_schema.SESSION_STATUS",
        "SELECT table_name FROM information_schema.TABLES WHERE data_length > 1",
        "SHOW TABLE STATUS WHERE `Rows` > 1000",
        "SHOW INDEX FROM payroll WHERE cardinality > 10",
    ],
)
def test_counters_and_sizes_of_mariadb_tell_nothing(
    analyst_my: pymysql.cursors.Cursor, statement: str
) -> None:
    with pytest.raises(pymysql.err.OperationalError) as refused:
        analyst_my.execute(statement)
    assert refused.value.args[0] in (1142, 1143)


def test_what_tools_ask_of_mariadb_answers_with_sizes_hidden(
    analyst_my: pymysql.cursors.Cursor,
) -> None:
    analyst_my.execute("SHOW INDEX FROM payroll")
    assert {row[6] for row in analyst_my.fetchall()} == {None}
    analyst_my.execute("SHOW TABLE STATUS LIKE 'customers'")
    (row,) = analyst_my.fetchall()
    assert row[0] == "customers"
    assert row[4:10] == (None,) * 6
    analyst_my.execute(
        "SELECT table_rows FROM information_schema.TABLES WHERE table_name='payroll'"
    )
    assert analyst_my.fetchall() == ((None,),)


def test_analyze_does_not_run_a_delete_without_where(system: System) -> None:
    with (
        mariadb(system, "developer") as cursor,
        pytest.raises(pymysql.err.OperationalError, match="without WHERE"),
    ):
        cursor.execute("ANALYZE DELETE FROM order_items")
