"""Hostile and plain texts: bounded, never an unexpected error, positions in characters, shapes."""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from tests.engines.postgresql.fix_cases import CaseDatabase

from querykeep_engines.postgresql.analysis.statements import major_version
from querykeep_engines.postgresql.session.state import split_search_path
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import StatementFacts, StatementSyntaxError

DEEP = {
    "brackets": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "operators": "SELECT " + "+".join(["1"] * 50_000),
    "minus": "SELECT " + "- " * 50_000 + "1",
    "casts": "SELECT 1" + "::int" * 50_000,
    "NOT": "SELECT " + "NOT " * 50_000 + "true",
    "subqueries": "SELECT " + "(SELECT " * 5_000 + "1" + ")" * 5_000,
    "UNION": " UNION ALL ".join(["SELECT 1"] * 50_000),
    "JOIN": "SELECT 1 FROM a" + " JOIN b ON true" * 50_000,
    "CASE": "SELECT " + "CASE WHEN true THEN " * 5_000 + "1" + " END" * 5_000,
    "named operators": "SELECT a" + " OPERATOR(pg_catalog.+) 1" * 50_000,
    "COLLATE": "SELECT 'a'" + ' COLLATE "C"' * 50_000,
    "CTEs in CTEs": "WITH a AS (" * 1_000 + "SELECT 1" + ") SELECT 1" * 1_000,
}


def analyze(database: CaseDatabase, text: str, **changes: object) -> tuple[StatementFacts, ...]:
    return database.analyzer.analyze(text, database.context(**changes), database.catalog)


@pytest.mark.parametrize("name", DEEP)
def test_deep_texts_are_refused(name: str, case_database: CaseDatabase) -> None:
    (facts,) = analyze(case_database, DEEP[name])
    assert facts.kind is StatementKind.UNKNOWN
    assert [problem.code for problem in facts.problems] == ["too_complex"]


def test_wide_texts_pass(case_database: CaseDatabase) -> None:
    wide = ", ".join(str(number) for number in range(100_000))
    (facts,) = analyze(case_database, f"SELECT id FROM customers WHERE id IN ({wide})")
    assert not facts.problems
    alternatives = " OR ".join(f"id = {number}" for number in range(5_000))
    (facts,) = analyze(case_database, f"SELECT id FROM customers WHERE {alternatives}")
    assert not facts.problems
    arms = " UNION ALL ".join(["SELECT email FROM customers"] * 300)
    (facts,) = analyze(case_database, arms)
    assert not facts.problems
    rows = ", ".join(["(1, 'a')"] * 50_000)
    (facts,) = analyze(case_database, f"INSERT INTO other.customers VALUES {rows}")
    assert not facts.problems


def test_growing_expressions_are_bounded(case_database: CaseDatabase) -> None:
    steps = ["a0 AS (SELECT email AS x FROM customers)"]
    steps += [f"a{n} AS (SELECT l.x FROM a{n - 1} l, a{n - 1} r)" for n in range(1, 60)]
    (facts,) = analyze(case_database, f"WITH {', '.join(steps)} SELECT x FROM a59")
    assert not facts.problems
    assert facts.outputs is not None
    assert {source.column for source in facts.outputs[0].sources} == {"email"}


def test_a_deep_text_does_not_end_the_process() -> None:
    script = (
        "from querykeep_engines.postgresql.analysis.parsing import parse, TooComplexError\n"
        "try:\n    parse('SELECT ' + '+'.join(['1'] * 500_000))\n"
        "except TooComplexError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n")


@pytest.mark.parametrize("text", ["", " ", ";;", "-- nothing", "/* nothing */"])
def test_empty_texts_have_no_statement(text: str, case_database: CaseDatabase) -> None:
    assert analyze(case_database, text) == ()


@pytest.mark.parametrize("text", ["SELECT 1\x00; DROP TABLE customers", "SELECT '\ud800'"])
def test_texts_that_no_server_takes_are_syntax_errors(
    text: str, case_database: CaseDatabase
) -> None:
    with pytest.raises(StatementSyntaxError):
        analyze(case_database, text)


def test_a_syntax_error_has_its_place_in_characters(case_database: CaseDatabase) -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        analyze(case_database, "SELECT '한국어', FROM customers")
    assert caught.value.position == "SELECT '한국어', FROM customers".index("FROM")


def test_positions_and_parts_are_in_characters(case_database: CaseDatabase) -> None:
    text = "SELECT '한국어'; \n SELECT 'é', id FROM customers WHERE email = 'ㄱ';  "
    first, second = analyze(case_database, text)
    assert (first.text, first.start) == ("SELECT '한국어'", 0)
    assert second.text == text[second.start : second.end]
    assert second.text.startswith("SELECT 'é'")
    (use,) = [use for use in second.columns if use.role.value == "predicate"]
    assert second.text[use.position :].startswith("email")


def test_standard_strings_are_required(case_database: CaseDatabase) -> None:
    setting = (("standard_conforming_strings", "off"),)
    (facts,) = analyze(case_database, "SELECT 1", settings=setting)
    assert [(p.code, p.matters_unmasked) for p in facts.problems] == [("unsafe", True)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ALTER ROLE a PASSWORD 'geheim'", "ALTER ROLE a PASSWORD '***'"),
        ("CREATE USER a WITH /* x */ PASSWORD /* y */ E'geheim'", None),
        ("CREATE SUBSCRIPTION s CONNECTION 'password=geheim' PUBLICATION p", None),
        ("CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'geheim', password 'geheim')", None),
        ("ALTER USER a PASSWORD $$geheim$$", None),
        ("ALTER USER a PASSWORD U&'geheim'", None),
    ],
)
def test_secrets_are_replaced(text: str, shown: str | None, case_database: CaseDatabase) -> None:
    (facts,) = analyze(case_database, text)
    assert facts.redacted_text is not None
    assert "geheim" not in facts.redacted_text
    assert shown in (None, facts.redacted_text)


def test_equal_shapes_have_equal_facts(case_database: CaseDatabase) -> None:
    context = case_database.context()
    pairs = [
        ("SELECT id FROM customers WHERE id = 1", "SELECT id  FROM customers WHERE id = 22"),
        ("SELECT id FROM customers WHERE name = 'a'", "SELECT id FROM customers WHERE name='bcd'"),
        (
            "SELECT id FROM orders WHERE id IN (1, 2) LIMIT 5",
            "SELECT id FROM orders WHERE id IN (3,4) LIMIT 9",
        ),
        (
            "SELECT id FROM orders WHERE id IN (SELECT id FROM products WHERE id IN (1, 2))",
            "SELECT id FROM orders WHERE id IN (SELECT id FROM products WHERE id IN (3, 4))",
        ),
    ]
    for left, right in pairs:
        assert case_database.analyzer.shape(left, context) is not None
        assert case_database.analyzer.shape(left, context) == case_database.analyzer.shape(
            right, context
        )
        (one,), (two,) = analyze(case_database, left), analyze(case_database, right)
        assert one.outputs == two.outputs
        assert [(u.column, u.role) for u in one.columns] == [
            (u.column, u.role) for u in two.columns
        ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT a, b FROM t ORDER BY 1", "SELECT a, b FROM t ORDER BY 2"),
        ("SELECT a, b FROM t GROUP BY (1)", "SELECT a, b FROM t GROUP BY (2)"),
        *(
            tuple(f"SELECT a FROM t WHERE (a, b) IN ({query} {n})" for n in (1, 2))
            for query in (
                "SELECT a, b FROM t ORDER BY c,",
                "SELECT a, b FROM t GROUP BY c,",
                "(SELECT a, b FROM t) ORDER BY 1,",
                "(SELECT a, b FROM t) UNION (SELECT a, b FROM t) ORDER BY 1,",
            )
        ),
        ("SELECT 'a'::regclass", "SELECT 'b'::regclass"),
        ("SELECT a FROM t WHERE b = 'x'::text", "SELECT a FROM t WHERE b = 'y'::text"),
        ("SELECT a FROM t", "SELECT A FROM t"),
        ("UPDATE t SET a = 'x'", "UPDATE t SET a = 'y'"),
        ("SET search_path = a", "SET search_path = b"),
    ],
)
def test_literals_that_matter_stay_in_the_shape(
    left: str, right: str, case_database: CaseDatabase
) -> None:
    context = case_database.context()
    one, two = (case_database.analyzer.shape(text, context) for text in (left, right))
    assert one is None or two is None or one != two


@pytest.mark.parametrize(
    "path",
    [
        "É, public",
        "ÉA, Public",
        '"É" , "qk A"',
        'PUBLIC,"É"',
        "pg_catalog, é\u00a0, public",
        "é" * 40 + ",public",
        '"' + "a" * 70 + '", public',
    ],
)
def test_a_search_path_is_read_as_the_server_reads_it(
    path: str, case_database: CaseDatabase
) -> None:
    """``set_config`` takes what SET would quote."""
    with psycopg.connect(case_database.conninfo) as connection:
        for name in ("É", "é", "éa", "Éa", "qk A", "é\u00a0", "é" * 31, "a" * 63):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        connection.execute("SELECT set_config('search_path', %s, true)", (path,))
        found = connection.execute("SELECT current_schemas(false), current_setting('search_path')")
        ((schemas, shown),) = found.fetchall()
        connection.rollback()
    assert list(split_search_path(shown)) == schemas


@pytest.mark.parametrize(("text", "major"), [("15.18 (Debian)", 15), ("18beta1", 18), ("", 0)])
def test_major_version(text: str, major: int) -> None:
    assert major_version(text) == major


VOCABULARY = """
SELECT FROM WHERE customers email id * , ( ) = 'a' 1 AND JOIN ON UNION ALL WITH x AS ORDER BY GROUP
lower ( . :: text CASE WHEN THEN END LATERAL IN EXISTS c orders NULL || count VALUES INSERT INTO
UPDATE SET DELETE RETURNING USING LIMIT DISTINCT ROW [ ] $1 ; EXPLAIN
"""
WORDS = VOCABULARY.split()


@settings(max_examples=1_500)
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=25))
def test_any_text_gives_facts_or_a_syntax_error(
    case_database: CaseDatabase, words: list[str]
) -> None:
    text = " ".join(words)
    try:
        facts = analyze(case_database, text)
    except StatementSyntaxError:
        return
    for one in facts:
        assert one.text == text[one.start : one.end]


def test_psql_describes_pass(case_database: CaseDatabase) -> None:
    target = case_database.target
    commands = [
        r"\d",
        r"\d customers",
        r"\d+ people",
        r"\dn+",
        r"\df",
        r"\du",
        r"\dT+",
        r"\dx",
        r"\l",
    ]
    commands += [
        r"\dp",
        r"\d+ customer_contact",
        r"\d logs",
        r"\sv customer_contact",
        r"\dC",
        r"\do",
    ]
    login = ["-h", target.host, "-p", str(target.port), "-U", target.username, target.database]
    seen = 0
    for command in commands:
        done = subprocess.run(
            ["psql", "-X", "-E", *login, "-c", command],
            env={"PGPASSWORD": target.password, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=True,
        )
        for text in re.findall(r"\*+ QUERY \*+\n(.*?)\n\*{20,}", done.stdout, re.DOTALL):
            seen += 1
            for facts in analyze(case_database, text):
                assert facts.problems == (), (command, text)
    assert seen > len(commands)
