"""What the cases cannot say: keys and constraints, generated columns, prepared names, settings that
other statements of the same text are read under, shapes and digests."""

from dataclasses import replace

import pytest
from tests.engines.mysql.shop_catalog import MASKED, columns, context, shop_catalog

from querykeep_engines.mysql.analysis.spelling import certain_key, loose_key
from querykeep_engines.mysql.analyzer import MysqlAnalyzer
from querykeep_guard.contracts.catalog import Column, Constraint, Index, Relation, Trigger
from querykeep_guard.sql.facts import (
    STORED_SIZE,
    ColumnRole,
    StatementFacts,
    StatementSyntaxError,
)

ANALYZER = MysqlAnalyzer()


@pytest.mark.parametrize("name", ["ſum", "mıd", "`ſum`", "`conſtraint`"])
def test_a_function_of_another_alphabet_is_none_of_the_servers(name: str) -> None:
    (facts,) = ANALYZER.analyze(f"SELECT {name}(id) FROM customers", context(), shop_catalog())
    assert facts.functions == (name.strip("`"),)
    assert [problem.code for problem in facts.problems] == ["unknown_function"]


@pytest.mark.parametrize("text", ["ſELECT 1", "SELECT id FROM customers lımıt 1"])
def test_a_keyword_of_another_alphabet_is_none(text: str) -> None:
    with pytest.raises(StatementSyntaxError):
        ANALYZER.analyze(text, context(), shop_catalog())


def test_keys_of_names_hold_for_every_letter() -> None:
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x10000)):
        char = chr(code)
        keys = {loose_key(other) for other in (char, char.lower(), char.upper(), char.casefold())}
        assert len(keys) == 1
        assert certain_key(char) in (char, char.lower())


@pytest.mark.parametrize(
    ("text", "is_doubtful"),
    [
        ("SELECT `Prénom` FROM (SELECT id AS `prénom` FROM customers) d", False),
        ("SELECT `имя` FROM (SELECT id AS `Имя` FROM customers) d", False),
        ("SELECT d.`이름` FROM (SELECT id AS `이름` FROM customers) d", False),
        ("SELECT `straße` FROM (SELECT id AS `straße`, 1 AS 'STRASSE' FROM customers) d", True),
        ("SELECT id FROM customers WHERE name IN ('ß', 'ẞ')", False),
        ("SELECT \u0131d FROM customers", True),
        ("SELECT `οδος` FROM (SELECT id AS `ΟΔΟΣ` FROM customers) d", True),
    ],
)
def test_a_name_of_uncertain_case_is_refused(text: str, is_doubtful: bool) -> None:
    (facts,) = ANALYZER.analyze(text, context(), shop_catalog())
    doubts = [problem for problem in facts.problems if problem.code == "ambiguous"]
    assert bool(doubts) is is_doubtful
    assert not any(problem.matters_unmasked for problem in doubts)


ACCOUNTS = Relation(
    "shop",
    "accounts",
    "table",
    (*columns("id email code"), Column("domain", "text", 4, generated="substr(`email`,5)")),
    indexes=(
        Index("PRIMARY", ("id",), unique=True, primary=True),
        Index("by_email", ("email",), unique=True, primary=False),
    ),
    constraints=(
        Constraint("code_fits", "check", ("code", "email"), definition="`code` < `email`"),
    ),
)
LOGINS = Relation(
    "shop",
    "logins",
    "table",
    columns("id email"),
    constraints=(
        Constraint(
            "of_account", "foreign_key", ("email",),
            ref_schema="shop", ref_table="accounts", ref_columns=("email",),
        ),
    ),
    triggers=(Trigger("note_delete", ("delete",)),),
)  # fmt: skip
HIDDEN = Relation("shop", "hidden", "view", columns("id"), definition="")
STALE = Relation("shop", "stale", "view", columns("id"), definition="select 1 AS `a`,2 AS `b`")
CATALOG = shop_catalog("mariadb", ACCOUNTS, LOGINS, HIDDEN, STALE)


def facts_of(
    text: str, prepared: tuple[tuple[str, str], ...] = (), temporary: tuple[str, ...] = ()
) -> StatementFacts:
    session = replace(context(), prepared=prepared, temporary=temporary)
    (facts,) = ANALYZER.analyze(text, session, CATALOG)
    return facts


def judged(text: str) -> set[str]:
    return {
        f"{use.column.table}.{use.column.column}"
        for use in facts_of(text).columns
        if use.role is ColumnRole.JUDGED and use.column.column in {*MASKED, "domain"}
    }


def test_a_unique_key_judges_what_is_inserted() -> None:
    assert judged("INSERT INTO accounts (id) VALUES (1)") == {"accounts.email"}
    assert judged("INSERT INTO customers (id, email) VALUES (1, 'a')") == set()


def test_a_unique_key_judges_an_update_of_its_columns_only() -> None:
    assert judged("UPDATE accounts SET email = 'x' WHERE id = 1") >= {"accounts.email"}
    assert judged("UPDATE accounts SET id = 2 WHERE id = 1") == set()


def test_a_check_judges_the_columns_that_it_names() -> None:
    assert "accounts.email" in judged("UPDATE accounts SET code = 'x' WHERE id = 1")


def test_a_foreign_key_judges_in_both_directions() -> None:
    assert judged("INSERT INTO logins (id, email) VALUES (1, 'x')") == {"accounts.email"}
    assert judged("DELETE FROM accounts WHERE id = 1") == {"logins.email", "accounts.email"}


def test_a_trigger_may_look_at_every_column() -> None:
    assert judged("DELETE FROM logins WHERE id = 1") == {"logins.email"}


def test_a_generated_column_carries_what_it_is_made_of() -> None:
    (output,) = facts_of("SELECT domain FROM accounts").outputs or ()
    assert {source.column for source in output.sources} == {"domain", "email"}
    assert output.expression.value == "total"


@pytest.mark.parametrize("view", ["hidden", "stale"])
def test_a_view_that_cannot_be_looked_into_is_refused(view: str) -> None:
    facts = facts_of(f"SELECT id FROM {view}")
    assert [problem.code for problem in facts.problems] == ["stale_catalog"]


def test_execute_is_judged_as_the_statement_behind_the_name() -> None:
    facts = facts_of("EXECUTE s", prepared=(("S", "DELETE FROM customers WHERE email = 'a'"),))
    assert facts.kind.value == "delete"
    assert facts.names == (("execute", "s"),)
    assert any(use.role is ColumnRole.PREDICATE for use in facts.columns)


def test_a_name_prepared_earlier_in_the_same_text_is_known() -> None:
    prepare, execute = ANALYZER.analyze(
        "PREPARE s FROM 'SELECT email FROM customers'; EXECUTE s", context(), CATALOG
    )
    assert prepare.kind.value == "prepare"
    assert execute.outputs is not None
    assert execute.text == "EXECUTE s"


def test_use_changes_where_later_names_of_the_text_are_looked_up() -> None:
    _, select = ANALYZER.analyze("USE other; SELECT email FROM customers", context(), CATALOG)
    assert [problem.object for problem in select.problems] == ["other.customers"]


def test_nothing_is_read_behind_a_change_of_sql_mode() -> None:
    _, same = ANALYZER.analyze("SET sql_mode='STRICT_ALL_TABLES'; SELECT 1", context(), CATALOG)
    assert same.problems == ()
    changed = ["'ANSI_QUOTES'", "@x", "CONCAT(@@sql_mode, ',ANSI_QUOTES')", "4", "'4'", "0x34"]
    changed += ["_utf16'AN'", "DEFAULT", "ANSI", "ANSI_QUOTES"]
    for mode in changed:
        _, other = ANALYZER.analyze(f"SET sql_mode={mode}; SELECT 1", context(), CATALOG)
        assert [problem.code for problem in other.problems] == ["unsafe"]


def test_texts_and_positions_count_in_the_statement_of_its_own() -> None:
    text = "SELECT 1;  SELECT id FROM customers WHERE email = 'a'"
    _, second = ANALYZER.analyze(text, context(), CATALOG)
    assert text[second.start : second.end] == second.text
    (use,) = [use for use in second.columns if use.role is ColumnRole.PREDICATE]
    assert second.text[use.position :].startswith("email")


def test_nothing_is_judged_without_a_known_sql_mode() -> None:
    bare = replace(context(), settings=())
    with pytest.raises(StatementSyntaxError, match="sql_mode"):
        ANALYZER.analyze("SELECT 1", bare, CATALOG)
    known = replace(CATALOG, settings=(("sql_mode", "ANSI_QUOTES"),))
    (facts,) = ANALYZER.analyze('SELECT "email" FROM customers', bare, known)
    assert [output.sources for output in facts.outputs or ()] != [frozenset()]


def test_a_temporary_table_hides_the_one_in_the_catalog() -> None:
    facts = facts_of("SELECT email FROM customers", temporary=("customers",))
    assert [(p.code, p.matters_unmasked) for p in facts.problems] == [("unsupported", False)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT id FROM orders WHERE id = 1", "SELECT id FROM orders WHERE id = 22"),
        ("SELECT id FROM orders LIMIT 5", "SELECT id FROM orders LIMIT 7"),
        ("DELETE FROM orders WHERE status = 'a'", "DELETE FROM orders WHERE status = 'b'"),
        ("SELECT 1 FROM (SELECT id FROM orders WHERE id=1) d",
         "SELECT 1 FROM (SELECT id FROM orders WHERE id=9) d"),
    ],
)  # fmt: skip
def test_literals_that_decide_nothing_share_a_shape(one: str, other: str) -> None:
    shape = ANALYZER.shape(one, context())
    assert shape is not None
    assert shape == ANALYZER.shape(other, context())
    assert facts_of(one).digest == facts_of(other).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT id, rrn FROM customers ORDER BY 1", "SELECT id, rrn FROM customers ORDER BY 2"),
        ("SELECT COUNT(*) FROM customers GROUP BY 1", "SELECT COUNT(*) FROM customers GROUP BY 2"),
        ("SELECT 'a' FROM customers", "SELECT 'b' FROM customers"),
        ("UPDATE customers SET note = 'a'", "UPDATE customers SET note = 'b'"),
        ("INSERT INTO customers (rrn) VALUES ('a')", "INSERT INTO customers (rrn) VALUES ('b')"),
        ("SELECT id FROM orders WHERE id = 1", "SELECT id FROM orders WHERE id = '1'"),
        ("SELECT `a` FROM orders WHERE id = 1", "SELECT `b` FROM orders WHERE id = 1"),
    ],
)  # fmt: skip
def test_literals_that_decide_keep_shapes_apart(one: str, other: str) -> None:
    assert ANALYZER.shape(one, context()) != ANALYZER.shape(other, context())


@pytest.mark.parametrize("text", ["SET @a = 1", "SHOW TABLES", "SELECT 'a"])
def test_other_statements_have_no_shape(text: str) -> None:
    assert ANALYZER.shape(text, context()) is None


def test_an_empty_text_holds_no_statement() -> None:
    for text in ("", "  ", "-- nothing", "/* nothing */"):
        assert ANALYZER.analyze(text, context(), CATALOG) == ()
    assert [f.kind.value for f in ANALYZER.analyze(";SELECT 1", context(), CATALOG)] == [
        "empty",
        "select",
    ]


def test_written_literals_are_noted_by_column() -> None:
    facts = facts_of("INSERT INTO customers (id, email) VALUES (1, 'k***'), (2, 'b')")
    assert [(str(c), v) for c, v in facts.written_literals] == [
        ("shop.customers.email", "k***"),
        ("shop.customers.email", "b"),
    ]


def test_show_index_and_table_status_tell_sizes_hidden() -> None:
    index = facts_of("SHOW INDEX FROM customers")
    hidden = [output.name for output in index.outputs or () if STORED_SIZE in output.sources]
    assert hidden == ["Cardinality"]
    status = facts_of("SHOW TABLE STATUS WHERE `Rows` > 5")
    hidden = [output.name for output in status.outputs or () if STORED_SIZE in output.sources]
    assert {"Rows", "Avg_row_length", "Data_length"} <= set(hidden)
    assert "Name" not in hidden
    assert any(u.column == STORED_SIZE and u.role is ColumnRole.PREDICATE for u in status.columns)


def test_analyze_of_a_write_has_its_where() -> None:
    assert facts_of("ANALYZE DELETE FROM orders").has_where is False
    assert facts_of("ANALYZE DELETE FROM orders WHERE id = 1").has_where is True
    assert facts_of("EXPLAIN DELETE FROM orders").has_where is None


def test_only_harmless_status_variables_may_be_looked_at() -> None:
    assert not facts_of("SHOW STATUS LIKE 'ssl_cipher'").problems
    for text in ("SHOW STATUS", "SHOW STATUS LIKE 'Bytes%'", "SHOW STATUS LIKE '%ssl_'"):
        assert facts_of(text).problems, text
