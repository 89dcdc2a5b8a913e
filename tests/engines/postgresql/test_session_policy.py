"""Session, analyzer, catalog and ``decide`` together on a real server: what a masked person gets by
every road of the protocol, compared with the direct connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors as pg_errors
from tests.engines.postgresql.harness import Governed, governed_by, plain_target, session_policy

from querykeep_demo.shop import Shop
from querykeep_engines.registry import engine
from querykeep_guard.contracts.policy import AccessRule, MaskerSpec, MaskingRule, ObjectPattern
from querykeep_guard.contracts.session import Target
from querykeep_guard.policy.decide import decide, syntax_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext, StatementSyntaxError

Connection = psycopg.Connection[tuple[object, ...]]
POLICY = session_policy(
    masking_rules=(
        MaskingRule(
            "m1", "mail", (ObjectPattern("public", "customers", "email"),), MaskerSpec("email")
        ),
        MaskingRule(
            "m2", "rrn", (ObjectPattern("public", "customers", "rrn"),), MaskerSpec("full")
        ),
    ),
    access_rules=(
        AccessRule("a1", "pay", (ObjectPattern("public", "payroll"),), columns_only=False),
    ),
)


@pytest.fixture(scope="module")
def target(shop_postgresql: Shop) -> Target:
    shop = shop_postgresql
    return plain_target(
        shop.host, shop.port, shop.account_user, shop.account_password, shop.database
    )


@pytest.fixture(scope="module")
def governed(target: Target) -> Iterator[Governed]:
    found = engine("postgresql")
    catalog = found.driver().crawl(target)

    def judge(text: str, context: SessionContext) -> tuple[Decision, ...]:
        try:
            facts = found.analyzer().analyze(text, context, catalog)
        except StatementSyntaxError as error:
            return (syntax_refusal(error, text, POLICY),)
        return tuple(decide(one, POLICY, datetime.now(UTC), catalog) for one in facts)

    with governed_by(target, judge, policy=POLICY) as server:
        yield server


@pytest.fixture
def masked(governed: Governed) -> Iterator[Connection]:
    with psycopg.connect(
        host="127.0.0.1",
        port=governed.port,
        user="ana",
        dbname="shop",
        sslmode="disable",
        autocommit=True,
    ) as connection:
        yield connection


def hide(value: object) -> object:
    if not isinstance(value, str):
        return value
    local, _, domain = value.rpartition("@")
    return f"{local[0]}*****@{domain}"


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize(
    ("sql", "mails"),
    [
        ("select id, email, name from customers order by id limit 50", (1,)),
        ("select c.name, c.email as x from customers c order by c.id limit 50", (1,)),
        ("select * from customer_contact order by id limit 50", (2,)),
        ("with w as (select id, email m from customers) select m from w order by id", (0,)),
        ("select id, total, status from orders order by id limit 50", ()),
    ],
)
def test_only_masked_cells_differ(
    masked: Connection,
    direct: Connection,
    sql: str,
    mails: tuple[int, ...],
    binary: bool,
    prepare: bool,
) -> None:
    expected = [
        tuple(hide(value) if index in mails else value for index, value in enumerate(row))
        for row in direct.execute(sql.encode()).fetchall()
    ]
    for _ in range(2):
        got = masked.execute(sql.encode(), binary=binary, prepare=prepare).fetchall()
        assert got == expected


def test_star_masks_every_rule(masked: Connection) -> None:
    rows = masked.execute("select * from customers where id < 20").fetchall()
    assert rows
    assert all(row[2] is None or "*****@" in str(row[2]) for row in rows)
    assert {row[4] for row in rows} <= {"*****", None}


def test_cursor_and_sql_prepare_are_masked(masked: Connection) -> None:
    with masked.transaction():
        masked.execute("declare c cursor for select id, email from customers order by id")
        rows = masked.execute("fetch 5 from c").fetchall()
    masked.execute("prepare p as select id, email from customers where id < $1")
    rows += masked.execute("execute p (5)").fetchall()
    masked.execute("deallocate p")
    assert len(rows) == 9
    assert all(row[1] is None or "*****@" in str(row[1]) for row in rows)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("select * from payroll", pg_errors.InsufficientPrivilege),
        ("select id from customers where email like 'a%'", pg_errors.InsufficientPrivilege),
        ("create table copied as select email from customers", pg_errors.InsufficientPrivilege),
        ("set role postgres", pg_errors.InsufficientPrivilege),
        ("selec 1", pg_errors.SyntaxError),
    ],
)
def test_refusals_leave_the_session_usable(
    masked: Connection, sql: str, error: type[Exception], prepare: bool
) -> None:
    with pytest.raises(error):
        masked.execute(sql.encode(), prepare=prepare)
    assert masked.execute("select 1").fetchone() == (1,)
    masked.execute("begin")
    with pytest.raises(error):
        masked.execute(sql.encode(), prepare=prepare)
    assert masked.info.transaction_status.name == "INERROR"
    masked.execute("rollback")
    assert masked.execute("select 1").fetchone() == (1,)


def test_syntax_error_has_its_position(masked: Connection) -> None:
    with pytest.raises(pg_errors.SyntaxError) as caught:
        masked.execute("select 1 frm customers x y")
    assert caught.value.diag.statement_position is not None


def test_copy_of_masked_columns_is_refused_and_others_pass(masked: Connection) -> None:
    cursor = masked.cursor()
    with pytest.raises(pg_errors.InsufficientPrivilege), cursor.copy("copy customers to stdout"):
        pass
    with cursor.copy("copy products to stdout") as copy:
        assert sum(1 for _ in copy.rows()) == 300


def test_search_path_decides_what_a_name_means(masked: Connection, direct: Connection) -> None:
    masked.execute("set search_path to pg_catalog")
    with pytest.raises(psycopg.Error):
        masked.execute("select email from customers")
    masked.execute("set search_path to public")
    row = masked.execute("select email from customers where id = 1").fetchone()
    expected = direct.execute("select email from customers where id = 1").fetchone()
    assert expected is not None
    assert row == (hide(expected[0]),)
