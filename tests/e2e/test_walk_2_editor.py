"""The analyst in the SQL editor, on both engines."""

from __future__ import annotations

import re

import psycopg
import pymysql
import pytest
from playwright.sync_api import expect
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Visit
from tests.e2e.screen import until
from tests.e2e.words import Language
from tests.fix_system import DemoConnection, System

pytestmark = pytest.mark.e2e

CONNECTIONS = ("shop-postgresql", "shop-mariadb")
ON_BOTH = pytest.mark.parametrize(
    ("name", "language"), [("shop-postgresql", "ko"), ("shop-mariadb", "en")]
)
MASK_RULES = ("PII e-mail", "PII phone", "PII resident number", "PII card number")
CUSTOMER_COLUMNS = [
    *("id", "name", "email", "phone", "rrn", "card_number", "birth_date", "city", "tier"),
    *("note", "created_at"),
]


def direct_rows(connection: DemoConnection, statement: str) -> list[tuple[object, ...]]:
    """What the database itself answers."""
    direct = connection.direct
    if connection.engine == "postgresql":
        with psycopg.connect(
            host=direct.host,
            port=direct.port,
            user=direct.user,
            password=direct.password,
            dbname=direct.database,
        ) as bare:
            return bare.execute(statement).fetchall()
    with (
        pymysql.connect(
            host=direct.host,
            port=direct.port,
            user=direct.user,
            password=direct.password,
            database=direct.database,
        ) as bare_mariadb,
        bare_mariadb.cursor() as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall())


def schema_of(connection: DemoConnection) -> str:
    return "public" if connection.engine == "postgresql" else connection.database


@ON_BOTH
def test_object_tree_shows_tables_columns_and_what_the_policy_does_to_them(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    connection = system.connections[name]
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(connection.id)
    tree = screen.page.get_by_role("tree", name=screen.words("tree.title"))
    schema = tree.get_by_role("treeitem", name=schema_of(connection), exact=True)
    expect(schema).to_have_attribute("aria-expanded", "true")
    tables = schema.locator("> ul > [role=treeitem]")
    expect(tables).to_have_count(8)
    shown = [str(item.get_attribute("aria-label")) for item in tables.all()]
    assert set(shown) == {
        *("customers", "products", "orders", "order_items", "employees", "payroll"),
        *("customer_contact", "order_summary"),
    }
    customers = tree.get_by_role("treeitem", name="customers", exact=True)
    customers.get_by_role("button", name="customers", exact=True).click()
    columns = customers.locator("[role=group] [role=treeitem]")
    expect(columns).to_have_count(len(CUSTOMER_COLUMNS))
    names = [text.strip() for text in columns.locator("button > span").all_text_contents()]
    assert names == CUSTOMER_COLUMNS
    title = (
        columns.nth(CUSTOMER_COLUMNS.index("email")).get_by_role("button").get_attribute("title")
    )
    assert title is not None
    assert screen.words("verdict.masked") in title
    assert "PII e-mail" in title
    employees = tree.get_by_role("treeitem", name="employees", exact=True)
    employees.get_by_role("button", name="employees", exact=True).click()
    salary = employees.locator("[role=group] [role=treeitem]").filter(has_text="salary")
    expect(salary.get_by_role("button")).to_have_attribute(
        "title", re.compile(re.escape(screen.words("verdict.denied")) + ".*Salaries")
    )
    screen.page.get_by_role("textbox", name=screen.words("tree.search")).fill("order_summ")
    expect(tree.get_by_role("treeitem", name="order_summary", exact=True)).to_be_visible()
    expect(tree.get_by_role("treeitem", name="customers", exact=True)).to_have_count(0)


@ON_BOTH
def test_customers_arrive_masked_and_the_rules_are_named(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    connection = system.connections[name]
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(connection.id)
    editor.run("SELECT * FROM customers")
    note = screen.page.locator(".qk-mask-note")
    expect(note).to_contain_text(screen.words("editor.maskedBy"))
    for rule in MASK_RULES:
        expect(note).to_contain_text(re.compile(rf"{re.escape(rule)} \(M-\d+\)"))
    # The grid lists the columns in sight.
    shown = [text for text in editor.header() if text]
    assert len(shown) >= 5
    assert shown == CUSTOMER_COLUMNS[: len(shown)]
    rows = direct_rows(
        connection,
        "SELECT id, name, email, phone, rrn, card_number FROM customers ORDER BY id",
    )
    bare = {row[0]: row for row in rows}
    for row in range(5):
        _, real_name, email, phone, rrn, card = bare[int(editor.cell(row, 0))]
        assert editor.cell(row, 1) == real_name
        masked = {column: editor.cell(row, 2 + at) for at, column in enumerate("eprc")}
        if email is not None:
            first, domain = str(email)[0], str(email).split("@")[1]
            assert masked["e"] == f"{first}*****@{domain}"
        if phone is not None:
            assert masked["p"] == f"***-****-{str(phone)[-4:]}"
        if rrn is not None:
            assert masked["r"] == "******-*******"
        if card is not None:
            assert masked["c"] == f"****-****-****-{str(card)[-4:]}"
    expect(editor.result_tab(1)).to_contain_text(f"{len(bare):,}")


REFUSALS = {
    "SELECT salary FROM employees": (r"employees\.salary", r"Salaries \(A-\d+\)"),
    "SELECT * FROM payroll": (r"payroll", r"Payroll \(A-\d+\)"),
    "DELETE FROM orders": (r"orders", None),
    "SELECT id FROM customers WHERE email = 'a@example.com'": (
        r"customers\.email",
        r"PII e-mail \(M-\d+\)",
    ),
}


@ON_BOTH
def test_refused_statements_name_object_rule_and_next_step(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    connection = system.connections[name]
    before = direct_rows(connection, "SELECT count(*) FROM orders")
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(connection.id)
    for statement, (object_, rule) in REFUSALS.items():
        editor.run(statement)
        failure = editor.failure
        expect(failure).to_have_count(1)
        expect(failure).to_contain_text(screen.words("verdict.denied"))
        expect(failure).to_contain_text(re.compile(object_))
        # In English the server's own words; another language says the same from their reason.
        told = failure.locator(".qk-failure-message").text_content() or ""
        assert bool(re.search(r"[가-힣]", told)) == (language == "ko"), told
        if rule is not None:
            expect(failure).to_contain_text(screen.words("editor.byRule"))
            expect(failure).to_contain_text(re.compile(rule))
        expect(
            failure.get_by_role("button", name=screen.words("editor.nextStep"))
            .or_(failure.locator(".qk-failure-actions span"))
            .first
        ).to_be_visible()
    assert direct_rows(connection, "SELECT count(*) FROM orders") == before
    # The next step of a rule is a page that says what it is and whom to ask.
    editor.run("SELECT salary FROM employees")
    editor.failure.get_by_role("button", name=screen.words("editor.nextStep")).click()
    expect(screen.page.get_by_role("heading", level=1)).to_contain_text(re.compile(r"A-\d+"))
    expect(screen.page.get_by_text(screen.words("ruleByCode.ask")).first).to_be_visible()


@ON_BOTH
def test_several_result_sets_each_have_their_tab(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(system.connections[name].id)
    editor.run(
        "SELECT id, sku FROM products WHERE id <= 3 ORDER BY id;\n"
        "-- 가운데 (between): a comment; with a semicolon\n"
        "SELECT id, email FROM customers WHERE id <= 2 ORDER BY id;\n"
        "SELECT 'a;b' AS text"
    )
    expect(screen.page.locator(".qk-result-tabs").get_by_role("tab")).to_have_count(4)
    editor.result_tab(1).click()
    assert editor.cell(2, 0) == "3"
    editor.result_tab(3).click()
    assert editor.cell(0, 0) == "a;b"
    editor.result_tab(2).click()
    assert re.fullmatch(r".\*{5}@.+", editor.cell(0, 1))
    expect(screen.page.locator(".qk-mask-note")).to_contain_text("PII e-mail")
    editor.show_messages()
    expect(screen.page.locator("article.qk-message")).to_have_count(3)


SERIES = {
    "shop-postgresql": "SELECT n, 'row ' || n AS label FROM generate_series(1, 300000) AS g(n)",
    "shop-mariadb": (
        "SELECT a.id * 1000 + b.id AS n, 'row' AS label "
        "FROM (SELECT id FROM orders WHERE id <= 300) a, "
        "(SELECT id FROM orders WHERE id <= 1000) b ORDER BY a.id, b.id"
    ),
}


@ON_BOTH
def test_large_result_scrolls_to_its_last_row(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(system.connections[name].id)
    editor.run(SERIES[name])
    expect(editor.result_tab(1)).to_contain_text("300,000")
    editor.scroll_to_end()
    last = {"shop-postgresql": "300000", "shop-mariadb": "301000"}[name]
    assert editor.cell(299_999, 0) == last


@ON_BOTH
def test_error_stands_at_its_position(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(system.connections[name].id)
    # Letters outside the basic plane and Hangul before it: positions count characters, not bytes.
    editor.run("SELECT '한글😀' AS a;\nSELECT nope_column FROM customers")
    marked = screen.page.locator(".cm-lintRange-error")
    expect(marked).to_have_count(1)
    if name == "shop-postgresql":
        expect(marked).to_have_text("nope_column")
    else:
        expect(marked).to_contain_text("nope_column")
    # Nobody forbade anything: it is told as what it is, and the statement before as not run.
    expect(editor.failure).to_have_count(1)
    expect(editor.failure).to_contain_text("nope_column")
    expect(editor.failure).to_contain_text(screen.words("refusalKind.unknown_column"))
    expect(editor.failure).not_to_contain_text(screen.words("verdict.denied"))
    first = screen.page.locator("article.qk-message").first
    expect(first).to_contain_text(screen.words("statementState.skipped"))
    editor.failure.get_by_role("button", name=screen.words("editor.goTo")).click()
    expect(screen.page.locator(".cm-activeLine")).to_have_text("SELECT nope_column FROM customers")


@pytest.mark.parametrize(("name", "language"), [("shop-postgresql", "ko")])
def test_tabs_texts_and_results_survive_a_reload(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(system.connections[name].id)
    editor.run("SELECT id, email FROM customers WHERE id = 7")
    masked = editor.cell(0, 1)
    expect(editor.tabs).to_have_count(1)
    screen.button("editor.newTab").click()
    expect(editor.tabs).to_have_count(2)
    editor.write("SELECT 1 -- 저장하지 않은 문장 (not run)")
    expect(screen.page.get_by_text(screen.words("editor.saved"), exact=True)).to_be_visible()
    screen.page.reload()
    expect(editor.tabs).to_have_count(2)
    expect(editor.text).to_have_text("SELECT 1 -- 저장하지 않은 문장 (not run)")
    editor.tabs.first.click()
    expect(editor.text).to_have_text("SELECT id, email FROM customers WHERE id = 7")
    assert editor.cell(0, 1) == masked
    # What was typed a moment before the reload, and not saved yet, is not lost either.
    editor.tabs.last.click()
    editor.write("SELECT 2")
    screen.page.reload()
    expect(editor.tabs).to_have_count(2)
    editor.tabs.last.click()
    expect(editor.text).to_have_text("SELECT 2")


@ON_BOTH
def test_running_statement_is_cancelled(
    visit: Visit, system: System, name: str, language: Language
) -> None:
    connection = system.connections[name]
    screen = visit("analyst", language)
    editor = EditorScreen(screen)
    editor.open(connection.id)
    editor.write("SELECT count(*) FROM order_items a, order_items b, order_items c")
    screen.page.keyboard.press("Control+Enter")
    screen.button("editor.cancel").click()
    expect(screen.button("editor.run")).to_be_visible()
    expect(screen.page.locator("article.qk-message")).to_contain_text(
        screen.words("statementState.cancelled")
    )
    expect(editor.failure).to_have_count(0)
    running = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND query LIKE '%order_items c%' AND query NOT LIKE '%pg_stat_activity%'",
        "mariadb": "SELECT count(*) FROM information_schema.processlist"
        " WHERE info LIKE '%order_items c%' AND info NOT LIKE '%processlist%'",
    }[connection.engine]
    until(screen.page, lambda: direct_rows(connection, running)[0][0], lambda count: count == 0)
    editor.run("SELECT 'still here' AS a")
    assert editor.cell(0, 0) == "still here"
