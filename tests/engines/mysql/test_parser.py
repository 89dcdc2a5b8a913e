"""The parser drops no token, and takes any text in bounded time without an error of its own."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.mysql.generator import statements
from tests.engines.mysql.shop_catalog import context, shop_catalog
from tests.engines.mysql.test_analyzer_cases import Case, all_cases

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.analyzer import MysqlAnalyzer
from querykeep_engines.mysql.syntax.lexer import tokenize
from querykeep_engines.mysql.syntax.modes import LexicalModes
from querykeep_engines.mysql.syntax.parser import parse_statement
from querykeep_engines.mysql.syntax.printer import print_tree
from querykeep_guard.sql.facts import StatementSyntaxError

SEED = 20260101
MARKS = ["(", ")", ",", ".", ";", "'", '"', "`", "/*", "*/", "/*!", "@", "--", "*", "?"]
ANALYZER = MysqlAnalyzer()
CATALOG = shop_catalog()
MARIADB = LexicalModes.of(context("mariadb"))


def essence(tokens: list[Token]) -> list[tuple[TokenKind, str]]:
    return [(token.kind, token.value) for token in tokens if token.kind is not TokenKind.END]


def check_printed(text: str, modes: LexicalModes) -> None:
    for tokens in tokenize(text, modes):
        if len(tokens) == 1:
            continue
        printed = print_tree(parse_statement(tokens, modes, text))
        (again,) = tokenize(printed, modes)
        assert essence(again) == essence(tokens)


@pytest.mark.parametrize("case", all_cases())
def test_printed_tree_has_the_same_tokens(case: Case) -> None:
    if case.data.get("refused") or case.data.get("statements") == 1:
        return  # not understood, or a stored program whose body holds semicolons
    modes = LexicalModes.of(context(case.flavour, case.data.get("sql_mode", "")))
    check_printed(case.statement, modes)


def test_printed_tree_of_generated_queries() -> None:
    for statement in statements(SEED, 300):
        check_printed(statement, MARIADB)


def takes_or_refuses(text: str) -> None:
    """Analyze a text; anything but facts or a refusal is a failure of ours."""
    for flavour in ("mysql", "mariadb"):
        position = -1
        try:
            ANALYZER.analyze(text, context(flavour), CATALOG)
        except StatementSyntaxError as error:
            position = error.position
        assert -1 <= position <= len(text)


@given(st.text(alphabet="seltcfrom *,.'\"`@#-/\\!;()=<>|&123aux\n\0é한", max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    takes_or_refuses(text)


def test_rows_that_end_in_the_middle_are_taken_or_refused():
    for text in ("INSERT INTO customers VALUES (", "INSERT INTO customers VALUES (1,", "VALUES ("):
        takes_or_refuses(text)


def test_damaged_statements_are_taken_or_refused() -> None:
    chance = random.Random(SEED)
    texts = [param.values[0].data["statement"] for param in all_cases()]
    for _ in range(1500):
        words = chance.choice(texts).split(" ")
        other = chance.choice(texts).split(" ")
        place = chance.randrange(len(words))
        match chance.randrange(4):
            case 0:
                del words[place]
            case 1:
                words.insert(place, chance.choice(other))
            case 2:
                words = words[:place] + other[chance.randrange(len(other)) :]
            case _:
                words[place] = chance.choice(MARKS)
        takes_or_refuses(" ".join(words))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
        "SELECT " + "-" * 10_001 + "1",
        "SELECT " + "NOT " * 10_000 + "1",
        "SELECT " + "(SELECT " * 5_000 + "1" + ")" * 5_000,
        "SELECT 1 FROM " + "(" * 5_000 + "customers" + ")" * 5_000,
        "SELECT " + "CASE WHEN 1 THEN " * 3_000 + "1" + " END" * 3_000,
        "WITH " + "a AS (WITH " * 1_000 + "b AS (SELECT 1) SELECT 1" + ") SELECT 1" * 1_000,
        "SELECT " + "{a " * 4_000 + "1" + "}" * 4_000,
        "SELECT " + "@a := " * 8_000 + "1",
    ],
    ids=["paren", "minus", "not", "subquery", "table", "case", "with", "brace", "assign"],
)
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(StatementSyntaxError, match=r"nested|syntax error"):
        ANALYZER.analyze(text, context(), CATALOG)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM customers WHERE id IN (" + ",".join(map(str, range(20_000))) + ")",
        "SELECT id FROM customers WHERE " + " OR ".join(["id = 1"] * 5_000),
        "SELECT " + " + ".join(["1"] * 10_000),
        "SELECT 1" + " UNION ALL SELECT 1" * 1_000,
        "INSERT INTO orders (id, status) VALUES " + ",".join(["(1, 'x')"] * 10_000),
    ],
    ids=["in", "or", "sum", "union", "rows"],
)
def test_width_is_taken_in_linear_time(text: str) -> None:
    half = text[: len(text) // 2]
    started = time.process_time()
    tokenize(half.replace("'", " "), MARIADB)
    unit = time.process_time() - started
    started = time.process_time()
    (facts,) = ANALYZER.analyze(text, context(), CATALOG)
    assert facts.problems == ()
    assert time.process_time() - started < 100 * unit + 0.5


def test_exponential_common_tables_are_linear() -> None:
    parts = ["t0 AS (SELECT email a FROM customers)"]
    parts += [f"t{i} AS (SELECT x.a FROM t{i - 1} x, t{i - 1} y)" for i in range(1, 200)]
    text = f"WITH {', '.join(parts)} SELECT a FROM t199"
    (facts,) = ANALYZER.analyze(text, context(), CATALOG)
    assert facts.outputs is not None
    assert {str(source) for source in facts.outputs[0].sources} == {"shop.customers.email"}


def test_nested_recursive_tables_are_bounded() -> None:
    text = "SELECT 1"
    for i in range(20):
        text = (
            f"WITH RECURSIVE r{i} AS (({text}) UNION ALL SELECT 1 FROM r{i} WHERE 0) "
            f"SELECT 1 FROM r{i}"
        )
    with pytest.raises(StatementSyntaxError, match="too many queries"):
        ANALYZER.analyze(text, context(), CATALOG)
