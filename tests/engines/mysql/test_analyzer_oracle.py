"""The server is the oracle: a real MariaDB says which texts it takes, and which touch a masked
column (a user without rights on those columns is refused exactly then)."""

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from tests.engines.mysql.generator import statements
from tests.engines.mysql.shop_catalog import MASKED, TABLES, VIEWS, context, shop_catalog
from tests.engines.mysql.test_analyzer_cases import Case, all_cases, analyze

from querykeep_demo.shop import Shop
from querykeep_engines.mysql.analyzer import MysqlAnalyzer
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import Effect, StatementFacts, StatementSyntaxError

SYNTAX_ERROR = 1064
DENIED = {1142, 1143}
WITNESS = "column_witness"

VIEW_DENIED = 1356
NOT_VERSIONED = 4124
UNKNOWN = {1054, 1064, 1305, 1370, NOT_VERSIONED}

REFUSED_KNOWINGLY = {
    "SELECT count (email) FROM customers": "the server looks for a stored function",
    "SELECT * FROM customers PROCEDURE ANALYSE()": "PROCEDURE is not supported",
    "BEGIN NOT ATOMIC SELECT 1; END": "compound statements are not supported",
    "SELECT id /*!0800001 , email */ FROM customers": "a version of seven digits",
    "SELECT id /*! /* */ , email */ FROM customers": "a comment inside a comment",
    "SELECT id --\x01 , email\n FROM customers": "a control character",
    "SELECT 1 FROM customers": "Oracle's grammar is not supported",
    "SELECT id FROM customers LIMIT 5 ROWS EXAMINED 10": "tells how many rows a plan reads",
    "SELECT _gbk'a' FROM customers": "a character set whose bytes look like ASCII",
    "SELECT 0x4g FROM customers": "a name that looks like a number",
    "SELECT 1e5x FROM customers": "a number that runs into a name",
    "SELECT 1.x FROM customers": "a number that runs into a name",
    "SELECT `email ` FROM customers": "a name that ends with a space",
}
"""Texts that this server takes and we refuse, with the reason; each was looked at by a person."""

TAKEN_KNOWINGLY = {
    "ALTER USER a IDENTIFIED WITH caching_sha2_password BY 'secret'": "MySQL's form; classified",
}
"""Texts that we take and this server does not."""

REVIEWED = {
    "WITH Customers AS (SELECT 1 email) SELECT email FROM customers": "refused as ambiguous: the "
    "server takes the common table although its name differs in case",
    "SELECT a.id FROM customers a JOIN customers b USING (email)": "the server asks no right for "
    "columns of USING",
    "SELECT id FROM customers HAVING email LIKE 'a%'": "the server stops at its own error first",
    "SELECT shop.concat(email) x FROM customers": "the server stops at the function first",
    "SELECT id FROM customers PARTITION (p0)": "the server stops at the missing partition first",
}
"""Where we name a masked column and the server does not mind; each was looked at by a person."""

FUZZ_SEED = 20260101
FUZZ_STATEMENTS = 400


def mariadb_cases() -> list[Any]:
    return [
        param
        for param in all_cases()
        if isinstance(param.values[0], Case) and param.values[0].flavour == "mariadb"
    ]


@pytest.fixture(scope="module")
def root(shop_mariadb: Shop) -> Iterator[pymysql.Connection]:
    connection = pymysql.connect(
        host=shop_mariadb.host,
        port=shop_mariadb.port,
        user=shop_mariadb.user,
        password=shop_mariadb.password,
        database="shop",
        autocommit=False,
    )
    yield connection
    connection.close()


def granted(table: str, names: str) -> str:
    allowed = ", ".join(
        name for name in names.split() if table.startswith("order") or name not in MASKED
    )
    return f"GRANT SELECT ({allowed}) ON shop.{table} TO {WITNESS}@'%'"


@pytest.fixture(scope="module")
def witness(root: pymysql.Connection, shop_mariadb: Shop) -> Iterator[pymysql.Connection]:
    """A user with every right on rows but SELECT on the masked columns."""
    with root.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE USER {WITNESS}@'%' IDENTIFIED BY 'witness'")
        for table, names in TABLES.items():
            cursor.execute(granted(table, names))
        for view, (names, _) in VIEWS.items():
            cursor.execute(granted(view, names))
    connection = pymysql.connect(
        host=shop_mariadb.host,
        port=shop_mariadb.port,
        user=WITNESS,
        password="witness",
        database="shop",
        autocommit=False,
    )
    yield connection
    connection.close()
    with root.cursor() as cursor:
        cursor.execute(f"DROP USER {WITNESS}@'%'")


def error_of(connection: pymysql.Connection, statement: str, sql_mode: str = "") -> int:
    """Run a statement, take its rows, undo it; return the error's number or 0."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = %s", (sql_mode,))
        try:
            cursor.execute(statement)
            cursor.fetchall()
        except pymysql.err.Error as error:
            return int(error.args[0])
        finally:
            connection.rollback()
    return 0


def prepared_error(connection: pymysql.Connection, case: Case) -> int:
    """Let the server parse a statement without running it; return the error's number or 0."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = %s", (case.data.get("sql_mode", ""),))
        try:
            cursor.execute("PREPARE probe FROM %s", (case.statement,))
        except pymysql.err.Error as error:
            return int(error.args[0])
    return 0


@pytest.mark.parametrize("case", mariadb_cases())
def test_server_parses_what_we_parse(case: Case, root: pymysql.Connection) -> None:
    if case.data.get("statements", 1) != 1 and case.data.get("kind") != "create":
        assert prepared_error(root, case) == SYNTAX_ERROR  # PREPARE takes one statement only
        return
    try:
        analyze(case)
    except StatementSyntaxError:
        is_error = prepared_error(root, case) == SYNTAX_ERROR
        assert is_error or case.statement in REFUSED_KNOWINGLY
    else:
        is_error = prepared_error(root, case) == SYNTAX_ERROR
        assert not is_error or case.statement in TAKEN_KNOWINGLY or case.data.get("statements")


def masked_named(facts: StatementFacts) -> set[str]:
    return {use.column.column for use in facts.columns} & MASKED


@pytest.mark.parametrize("case", mariadb_cases())
def test_server_denies_where_a_masked_column_is_named(
    case: Case, witness: pymysql.Connection
) -> None:
    try:
        found = analyze(case)
    except StatementSyntaxError:
        found = ()
    for facts in found:
        if facts.kind is not StatementKind.SELECT or Effect.PROCEDURE in facts.effects:
            continue
        if any(problem.code == "unsafe" for problem in facts.problems):
            continue
        error = error_of(witness, facts.text, case.data.get("sql_mode", ""))
        if error == VIEW_DENIED:
            assert any(name.name in VIEWS for name in facts.reads)
        elif error in DENIED:
            assert masked_named(facts) or facts.problems
        elif masked_named(facts):
            assert case.statement in REVIEWED or error in UNKNOWN


def test_generated_queries_agree_with_the_server(witness: pymysql.Connection) -> None:
    catalog, session = shop_catalog(), context()
    analyzer = MysqlAnalyzer()
    denied = 0
    for statement in statements(FUZZ_SEED, FUZZ_STATEMENTS):
        (facts,) = analyzer.analyze(statement, session, catalog)
        assert facts.problems == (), statement
        error = error_of(witness, "EXPLAIN " + statement)
        assert error in {0, *DENIED}, statement
        assert bool(masked_named(facts)) == (error in DENIED), statement
        denied += error in DENIED
    assert FUZZ_STATEMENTS * 0.3 < denied < FUZZ_STATEMENTS * 0.7


def fields_of(connection: pymysql.Connection, text: str) -> list[Any]:
    """Run a query; return the server's description of its columns, none when it refuses."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = '', max_statement_time = 1")
        try:
            cursor.execute(text)
        except pymysql.err.Error:
            return []
        fields = list(cursor._result.fields)  # type: ignore[attr-defined] # no public way
        cursor.fetchall()
    return fields


def test_result_columns_are_those_of_the_facts(root: pymysql.Connection) -> None:
    """Width, names and origins of results agree with the server's own description."""
    compared = 0
    for param in mariadb_cases():
        case = param.values[0]
        if case.data.get("refused") or case.data.get("sql_mode"):
            continue
        facts = analyze(case)[0]
        if facts.problems or facts.kind is not StatementKind.SELECT or not facts.outputs:
            continue
        text = facts.text
        fields = fields_of(root, text)
        if not fields:
            continue
        assert len(fields) == len(facts.outputs), text
        for field, output in zip(fields, facts.outputs, strict=True):
            compared += 1
            named_alike = field.name.casefold() == output.name.casefold()
            # VALUES rows and \\N are named in other ways by each server.
            assert named_alike or output.name in ("\\N", "column_0"), text
            if output.origin is not None and field.org_table:
                described = (field.db.decode(), field.org_table, field.org_name)
                origin = output.origin
                assert described == (origin.schema, origin.table, origin.column), text
    assert compared > 100
