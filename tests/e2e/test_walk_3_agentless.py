"""The analyst's own tools through a proxy token: the same bytes, but for what is masked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mysql.connector
import psycopg
import pymysql
import pytest
from playwright.sync_api import expect
from psycopg import pq
from psycopg.conninfo import make_conninfo
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.roads import Road, bare, governed
from tests.fix_system import System

pytestmark = pytest.mark.e2e

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
CUSTOMERS = "SELECT * FROM customers ORDER BY id"
EMAIL, PHONE, RRN, CARD = 2, 3, 4, 5
# Without a masked column: every byte must be the database's own.
PLAIN = (
    "SELECT * FROM orders ORDER BY id",
    "SELECT * FROM order_items ORDER BY order_id, product_id",
    "SELECT * FROM products ORDER BY id",
    "SELECT id, name, department, hired_on FROM employees ORDER BY id",
    "SELECT * FROM order_summary ORDER BY order_id LIMIT 500",
    "SELECT status, count(*), sum(total), min(ordered_at) FROM orders GROUP BY status ORDER BY 1",
    "SELECT NULL AS nothing, '' AS empty, '가나다 😀' AS text, 1.50 AS number",
)


def as_masked(row: Sequence[object]) -> list[object]:
    """What the demo's rules make of a row of customers, written down from their description."""
    shown = list(row)
    if (email := row[EMAIL]) is not None:
        shown[EMAIL] = f"{str(email)[0]}*****@{str(email).split('@')[1]}"
    if (phone := row[PHONE]) is not None:
        shown[PHONE] = f"***-****-{str(phone)[-4:]}"
    if row[RRN] is not None:
        shown[RRN] = "******-*******"
    if (card := row[CARD]) is not None:
        shown[CARD] = f"****-****-****-{str(card)[-4:]}"
    return shown


Cells = list[list[bytes | None]]


def raw_cells(result: pq.abc.PGresult) -> Cells:
    """The cells as they came over the wire."""
    return [
        [result.get_value(row, column) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]


def wire_cells(connection: psycopg.Connection[object], statement: str, *, binary: bool) -> Cells:
    """Run a statement at libpq's level."""
    result = connection.pgconn.exec_params(
        statement.encode(), None, result_format=pq.Format.BINARY if binary else pq.Format.TEXT
    )
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return raw_cells(result)


def masked_cells(row: list[bytes | None]) -> list[bytes | None]:
    """``as_masked`` of a row's bytes (text reads the same in both formats)."""
    texts = [None if at not in (EMAIL, PHONE, RRN, CARD) or cell is None else cell.decode()
             for at, cell in enumerate(row)]  # fmt: skip
    return [
        str(mask).encode() if mask is not None else cell
        for mask, cell in zip(as_masked(texts), row, strict=True)
    ]


@TLS
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_psycopg_gets_the_same_bytes(system: System, tls: bool, binary: bool) -> None:
    road = governed(system, system.postgresql, tls=tls)
    with road.psycopg() as through, bare(system.postgresql).psycopg() as direct:
        assert through.pgconn.ssl_in_use is tls
        for statement in PLAIN:
            assert wire_cells(through, statement, binary=binary) == wire_cells(
                direct, statement, binary=binary
            )
        masked = wire_cells(through, CUSTOMERS, binary=binary)
        expected = [masked_cells(row) for row in wire_cells(direct, CUSTOMERS, binary=binary)]
        assert len(masked) == 2000
        assert masked == expected


@TLS
def test_psycopg_prepares_scrolls_and_pipelines(system: System, tls: bool) -> None:
    road = governed(system, system.postgresql, tls=tls)
    query = "SELECT id, email FROM customers WHERE id = %s"
    with road.psycopg() as through, bare(system.postgresql).psycopg() as direct:
        plain = dict(direct.execute("SELECT id, email FROM customers").fetchall())
        expected = {
            number: None if email is None else f"{email[0]}*****@{email.split('@')[1]}"
            for number, email in plain.items()
        }
        for number in range(1, 12):
            for binary in (False, True):
                cursor = through.execute(query, (number,), prepare=True, binary=binary)
                assert cursor.fetchone() == (number, expected[number])
        through.commit()
        with through.cursor(name="scroll") as cursor:
            cursor.itersize = 300
            cursor.execute("SELECT id, email FROM customers ORDER BY id")
            assert list(cursor) == sorted(expected.items())
        through.commit()
        with through.pipeline():
            sent = [through.execute(query, (number,)) for number in range(1, 101)]
        assert [cursor.fetchone() for cursor in sent] == [
            (number, expected[number]) for number in range(1, 101)
        ]


def in_pipeline(connection: psycopg.Connection[Any], *statements: str) -> None:
    """Send statements without waiting for any answer; a failure is raised at the end."""
    with connection.pipeline():
        for statement in statements:
            connection.execute(statement)


def test_refusal_in_a_transaction_leaves_what_postgresql_would_leave(system: System) -> None:
    with governed(system, system.postgresql).psycopg() as through:
        through.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="payroll"):
            through.execute("SELECT * FROM payroll")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            through.execute("SELECT 1")
        through.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"employees\.salary"):
            in_pipeline(through, "SELECT 1", "SELECT salary FROM employees", "SELECT 2")
        through.rollback()
        assert through.execute("SELECT 3").fetchone() == (3,)


@TLS
def test_psql_prints_the_same_bytes(system: System, tls: bool) -> None:
    road = governed(system, system.postgresql, tls=tls)
    direct = bare(system.postgresql)
    script = ";\n".join(PLAIN) + ";\n\\d orders\n"
    arguments = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1")
    through, plain = road.run(*arguments, text=script), direct.run(*arguments, text=script)
    assert through.returncode == plain.returncode == 0, through.stderr
    assert through.stdout == plain.stdout
    # A note may hold tabs and line ends: separators that no text holds.
    unaligned = ("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-c", CUSTOMERS)
    masked, rows = road.run(*unaligned), direct.run(*unaligned)
    expected = [
        "\x1f".join(
            "" if cell is None else str(cell)
            for cell in as_masked([text or None for text in line.split("\x1f")])
        )
        for line in rows.stdout.removesuffix("\n").split("\x1e")
    ]
    assert len(expected) == 2000
    assert masked.stdout.removesuffix("\n").split("\x1e") == expected
    refused = road.run("psql", "-X", "-v", "VERBOSITY=verbose", "-c", "SELECT * FROM payroll")
    assert refused.returncode != 0
    assert re.search(r"ERROR:  42501: .*payroll.*Payroll.*\(A-\d+\)", refused.stderr)


def test_pg_dump_is_refused_clearly_where_something_is_masked(
    system: System, tmp_path: Path
) -> None:
    road = governed(system, system.postgresql)
    for table, word in (("customers", "PII"), ("payroll", "Payroll")):
        file = tmp_path / f"{table}.sql"
        done = road.run("pg_dump", "-t", table, "-f", str(file))
        assert done.returncode != 0
        assert table in done.stderr
        assert word in done.stderr, done.stderr
        content = file.read_text() if file.exists() else ""
        assert "@" not in content


@TLS
def test_mariadb_client_prints_the_same_bytes(system: System, tls: bool) -> None:
    road = governed(system, system.mariadb, tls=tls)
    direct = bare(system.mariadb)
    for statement in PLAIN:
        through, plain = road.mariadb("-e", statement), direct.mariadb("-e", statement)
        assert through.returncode == plain.returncode == 0, through.stderr
        assert through.stdout == plain.stdout, statement
    rows = direct.mariadb("-N", "-e", CUSTOMERS).stdout.splitlines()
    expected = [
        "\t".join(
            "NULL" if cell is None else str(cell)
            for cell in as_masked([None if c == "NULL" else c for c in line.split("\t")])
        )
        for line in rows
    ]
    assert road.mariadb("-N", "-e", CUSTOMERS).stdout.splitlines() == expected
    refused = road.mariadb("-e", "SELECT salary FROM employees")
    assert refused.returncode != 0
    assert re.search(r"ERROR \d+ \(\w{5}\).*employees\.salary.*Salaries.*\(A-\d+\)", refused.stderr)
    status = road.mariadb("-e", "status")
    assert ("Not in use" in status.stdout) is not tls


@TLS
def test_pymysql_gets_the_same_rows(system: System, tls: bool) -> None:
    road = governed(system, system.mariadb, tls=tls)
    with road.pymysql() as through, bare(system.mariadb).pymysql() as direct:
        for statement in PLAIN:
            answers = []
            for connection in (through, direct):
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    answers.append((cursor.description, cursor.fetchall()))
            assert answers[0] == answers[1], statement
        with direct.cursor() as cursor:
            cursor.execute(CUSTOMERS)
            expected = [tuple(as_masked(row)) for row in cursor.fetchall()]
        with through.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(CUSTOMERS)
            assert list(cursor) == expected
        with through.cursor() as cursor:
            with pytest.raises(pymysql.err.MySQLError, match="payroll"):
                cursor.execute("SELECT * FROM payroll")
            cursor.execute("SELECT 'still here'")
            assert cursor.fetchone() == ("still here",)


@TLS
def test_connector_prepares_on_the_server(system: System, tls: bool) -> None:
    road, direct = governed(system, system.mariadb, tls=tls), bare(system.mariadb)

    def connect(where: Road) -> Any:
        options = {"ssl_ca": str(where.ca_file)} if where.ca_file else {"ssl_disabled": True}
        return mysql.connector.connect(
            host=where.host,
            port=where.port,
            user=where.user,
            password=where.password,
            database=where.database,
            use_pure=True,
            **options,
        )

    through, plain = connect(road), connect(direct)
    try:
        answers = []
        for connection in (through, plain):
            cursor = connection.cursor(prepared=True)
            cursor.execute("SELECT * FROM orders WHERE id <= %s ORDER BY id", (400,))
            first = cursor.fetchall()
            cursor.execute("SELECT * FROM orders WHERE id <= %s ORDER BY id", (3,))
            answers.append((first, cursor.fetchall()))
            cursor.close()
        assert answers[0] == answers[1]
        cursor = plain.cursor(prepared=True)
        cursor.execute("SELECT * FROM customers WHERE id <= %s ORDER BY id", (500,))
        expected = [tuple(as_masked(row)) for row in cursor.fetchall()]
        cursor = through.cursor(prepared=True)
        cursor.execute("SELECT * FROM customers WHERE id <= %s ORDER BY id", (500,))
        assert cursor.fetchall() == expected
    finally:
        through.close()
        plain.close()


BAD_ROADS: dict[str, Callable[[Road], dict[str, str]]] = {
    "wrong password": lambda road: {"password": road.password[::-1]},
    "unknown token": lambda _road: {"user": "analyst_nobody"},
    "unknown database": lambda _road: {"dbname": "elsewhere"},
}


@pytest.mark.parametrize("what", BAD_ROADS)
def test_sign_in_that_must_fail_says_why(system: System, what: str) -> None:
    road = governed(system, system.postgresql)
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(make_conninfo(**(road.libpq() | BAD_ROADS[what](road))))
    text = str(refused.value)
    assert ("elsewhere" if what == "unknown database" else "authentication failed") in text
    assert road.password not in text


def test_token_is_made_in_the_browser_shown_once_and_used(
    visit: Visit, api_of: Callable[[str], Api], system: System
) -> None:
    screen = visit("analyst", "ko", path="/my/connections")
    screen.page.locator(".qk-my-list").get_by_role("button", name="shop-postgresql").click()
    screen.button("proxyTokens.add").click()
    screen.dialog.get_by_label(screen.words("proxyTokens.name")).fill("walk token")
    screen.dialog.get_by_role("button", name=screen.words("proxyTokens.make"), exact=True).click()
    expect(screen.dialog.get_by_text(screen.words("secret.once"))).to_be_visible()
    api = api_of("analyst")
    (token,) = [row for row in api.rows("proxy-tokens") if row["name"] == "walk token"]
    try:
        url = screen.dialog.get_by_text(re.compile(r"^postgresql://")).text_content()
        assert url is not None
        with psycopg.connect(url, connect_timeout=30) as through:
            assert through.execute("SELECT count(*) FROM orders").fetchone() == (20_000,)
        password = url.split(":")[2].split("@")[0]
        assert len(password) >= 22  # 128 random bits in base64
        screen.button("secret.saved").click()
        expect(screen.page.get_by_text(password)).to_have_count(0)
        screen.page.reload()
        expect(screen.page.get_by_text("walk token")).to_be_visible()
        assert password not in screen.page.content()
        assert "password" not in api.read(f"proxy-tokens/{token['id']}")
    finally:
        api.remove(f"proxy-tokens/{token['id']}")
