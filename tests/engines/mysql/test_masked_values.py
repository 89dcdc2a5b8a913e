"""A mask shows a value of the column's own type, in text and binary rows, to real clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import mysql.connector
import pymysql
import pytest
from tests.engines.mysql.harness import MysqlGoverned, governed_by
from tests.engines.postgresql.harness import PASSWORD, allow

from querykeep_demo.shop import Shop
from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.contracts.session import Target, TlsMode
from querykeep_guard.policy.decision import ColumnMask, Decision, MaskPlan
from querykeep_guard.sql.facts import SessionContext

# column, its value, masker, what a client must read
SHOWN: tuple[tuple[str, str, MaskerSpec, object], ...] = (
    ("TINYINT", "-7", MaskerSpec("number_round", (("step", "5"),)), -10),
    ("TINYINT", "7", MaskerSpec("number_fixed", (("value", "200"),)), None),
    ("TINYINT UNSIGNED", "7", MaskerSpec("number_fixed", (("value", "200"),)), 200),
    ("SMALLINT", "1234", MaskerSpec("number_round", (("step", "100"),)), 1200),
    ("MEDIUMINT", "1234567", MaskerSpec("number_round"), 1000000),
    ("INT", "5432100", MaskerSpec("number_round"), 5000000),
    ("INT(9) UNSIGNED ZEROFILL", "5432100", MaskerSpec("number_round"), 5000000),
    (
        "BIGINT UNSIGNED",
        "18446744073709551615",
        MaskerSpec("number_round", (("step", "10"),)),
        18446744073709551610,
    ),
    ("DECIMAL(20,3)", "-5432100.125", MaskerSpec("number_round"), Decimal(-6000000)),
    ("FLOAT", "123.5", MaskerSpec("number_round", (("step", "10"),)), 120.0),
    ("DOUBLE", "1e20", MaskerSpec("number_fixed", (("value", "7"),)), 7.0),
    ("DATE", "'1990-03-15'", MaskerSpec("date_year"), date(1990, 1, 1)),
    ("DATETIME(6)", "'1990-03-15 10:11:12.5'", MaskerSpec("date_month"), datetime(1990, 3, 1)),
    ("TIMESTAMP", "'1990-03-15 10:11:12'", MaskerSpec("date_fixed"), datetime(1970, 1, 1)),
    ("TIME", "'10:11:12'", MaskerSpec("date_year"), None),
    ("YEAR", "1990", MaskerSpec("number_round"), None),
    ("BIT(8)", "5", MaskerSpec("number_round"), None),
    ("VARBINARY(9)", "'secret'", MaskerSpec("full"), None),
    ("INT", "7", MaskerSpec("email"), None),
    ("JSON", """'{"a": [1, "x"]}'""", MaskerSpec("json_values"), '{"a": [0, "*****"]}'),
    ("VARCHAR(20) CHARACTER SET euckr", "'김민수'", MaskerSpec("name_middle"), "김*수"),
    ("VARCHAR(20)", "'a lot'", MaskerSpec("number_round"), "*****"),
    ("VARCHAR(20)", "'x'", MaskerSpec("null"), None),
    ("ENUM('red','blue')", "'red'", MaskerSpec("keep_first"), "******"),
)
COLUMNS = ", ".join(f"c{at}" for at in range(len(SHOWN)))
STATEMENT = f"SELECT {COLUMNS} FROM masked_values WHERE id < 2"


def decided(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    if not text.startswith(f"SELECT {COLUMNS}"):
        return (allow(text),)
    masks = tuple(
        ColumnMask(at, spec, ("r1",), ("Hidden",), ())
        for at, (_column, _value, spec, _shown) in enumerate(SHOWN)
    )
    return (allow(text, MaskPlan(len(masks), masks)),)


@pytest.fixture
def table(shop_mariadb: Shop) -> Iterator[None]:
    shop = shop_mariadb
    connection = pymysql.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password, database="shop"
    )
    columns = ", ".join(f"c{at} {column}" for at, (column, *_rest) in enumerate(SHOWN))
    values = ", ".join(value for _column, value, *_rest in SHOWN)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS masked_values")
        cursor.execute(f"CREATE TABLE masked_values (id INT, {columns})")
        cursor.execute(f"INSERT INTO masked_values VALUES (1, {values})")
        cursor.execute("INSERT INTO masked_values (id) VALUES (0)")
        connection.commit()
        yield
        cursor.execute("DROP TABLE masked_values")


@pytest.fixture
def governed(shop_mariadb: Shop, table: None) -> Iterator[MysqlGoverned]:
    shop = shop_mariadb
    target = Target(
        "mariadb",
        "mariadb",
        shop.host,
        shop.port,
        "shop",
        shop.user,
        shop.password,
        TlsMode.DISABLE,
    )
    with governed_by(target, decided) as server:
        yield server


def check(rows: list[tuple[Any, ...]]) -> None:
    assert [list(row) for row in rows] == [
        [shown for _column, _value, _spec, shown in SHOWN],
        [None] * len(SHOWN),
    ]


def test_text_rows_have_values_of_their_types(governed: MysqlGoverned) -> None:
    connection = pymysql.connect(
        host="127.0.0.1",
        port=governed.port,
        user="analyst",
        password=PASSWORD,
        ssl_disabled=True,
        database="shop",
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"{STATEMENT} ORDER BY id DESC")
        check(list(cursor.fetchall()))


def test_binary_rows_have_values_of_their_types(governed: MysqlGoverned) -> None:
    connection = mysql.connector.connect(
        host="127.0.0.1",
        port=governed.port,
        user="analyst",
        password=PASSWORD,
        database="shop",
        ssl_disabled=True,
        use_pure=True,
        collation="utf8mb4_general_ci",
    )
    cursor = connection.cursor(prepared=True)
    cursor.execute(f"{STATEMENT} AND id < %s ORDER BY id DESC", (9,))
    check([tuple(row) for row in cursor.fetchall()])
    cursor.close()
    connection.close()
