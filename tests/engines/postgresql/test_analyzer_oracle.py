"""The server as judge: a role that may read all but the masked columns runs each SELECT case.

Its permission error must come exactly when the facts name a masked column. Where PostgreSQL runs
the statement, the width, names and origins of the result must be what the facts say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.engines.postgresql import case_files
from tests.engines.postgresql.case_files import Case
from tests.engines.postgresql.fix_cases import CaseDatabase

from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import StatementFacts

MASKED = {
    ("public", "customers"): {"email", "phone", "rrn", "card_number"},
    ("public", "people"): {"email", "email_lower", "email_size"},
    ("public", "payroll"): {"amount"},
}
KINDS = (StatementKind.SELECT,)
CASES = [
    case
    for case in case_files.load()
    if case.oracle
    and not case.problems
    and case.kind == "select"
    and not case.context
    and not case.number
]


@pytest.fixture(scope="module")
def reader(case_database: CaseDatabase) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that has become the role; views use the rights of who asks."""
    with psycopg.connect(case_database.conninfo) as connection:
        connection.execute("CREATE ROLE oracle_reader")
        connection.execute("GRANT USAGE ON SCHEMA app, other TO oracle_reader")
        for relation in case_database.catalog.relations:
            if relation.schema not in ("public", "app", "other") or relation.kind == "sequence":
                continue
            name = f"{relation.schema}.{relation.name}"
            if relation.kind == "view":
                connection.execute(f"ALTER VIEW {name} SET (security_invoker = on)".encode())
            hidden = MASKED.get((relation.schema, relation.name), set())
            shown = [column.name for column in relation.columns if column.name not in hidden]
            columns = ", ".join(shown)
            connection.execute(f"GRANT SELECT ({columns}) ON {name} TO oracle_reader".encode())
        connection.execute("SET ROLE oracle_reader")
        yield connection
        connection.rollback()


def _names_masked(facts: StatementFacts) -> bool:
    return any(
        use.column.column in MASKED.get((use.column.schema, use.column.table), set())
        for use in facts.columns
    )


def _raise(result: psycopg.pq.abc.PGresult) -> None:
    if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        code = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b""
        raise psycopg.errors.lookup(code.decode())(result.error_message.decode())


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_server_denies_what_names_a_masked_column(
    case: Case, case_database: CaseDatabase, reader: psycopg.Connection[tuple[object, ...]]
) -> None:
    facts = case_database.analyzer.analyze(
        case.statement, case_database.context(), case_database.catalog
    )[0]
    reader.execute("SAVEPOINT before")
    denied, description = False, None
    try:
        result = reader.pgconn.prepare(b"", case.statement.encode())
        _raise(result)
        description = reader.pgconn.describe_prepared(b"")
        # Rights are checked when it starts to run; parameters are NULL.
        nothing: Any = [None] * description.nparams
        _raise(reader.pgconn.exec_prepared(b"", nothing))
    except psycopg.errors.InsufficientPrivilege:
        denied = True
    finally:
        reader.execute("ROLLBACK TO before")
    assert denied == _names_masked(facts)
    if description is not None and facts.outputs is not None:
        assert description.nfields == len(facts.outputs)
        for index, output in enumerate(facts.outputs):
            assert (description.fname(index) or b"").decode() == output.name
            expected = (output.origin.table_oid, output.origin.attribute) if output.origin else None
            found = (description.ftable(index), description.ftablecol(index))
            assert found == (expected or (0, 0))
