"""The native driver against a real MariaDB: streams, exact texts, *Test*, crawl, cancel."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pymysql
import pytest

from querykeep_engines.kit.driver import (
    DriverError,
    ResultStarted,
    RowBatch,
    StatementDone,
    StatementFailed,
)
from querykeep_engines.mysql.connection import near_position
from querykeep_engines.mysql.driver import MysqlDriver
from querykeep_guard.contracts.session import Target, TlsMode


@pytest.fixture
def target(shop_mariadb) -> Target:  # type: ignore[no-untyped-def]
    return Target(
        "mariadb",
        "mariadb",
        shop_mariadb.host,
        shop_mariadb.port,
        "shop",
        shop_mariadb.account_user,
        shop_mariadb.account_password,
        TlsMode.PREFER,
    )


@pytest.fixture
def superuser(shop_mariadb) -> Iterator[pymysql.Connection]:  # type: ignore[no-untyped-def,type-arg]
    connection = pymysql.connect(
        host=shop_mariadb.host,
        port=shop_mariadb.port,
        user=shop_mariadb.user,
        password=shop_mariadb.password,
        database="shop",
        autocommit=True,
    )
    yield connection
    connection.close()


def test_values_come_as_exact_text(target: Target) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    try:
        items = list(
            connection.stream(
                "SELECT 18446744073709551615, CAST('1.10' AS DECIMAL(10,2)), NULL, '한글',"
                " X'00ff', '2024-02-30' + INTERVAL 0 DAY, TIME('-12:00:01'), b'101'"
            )
        )
    finally:
        connection.close()
    started, batch, done = items
    assert isinstance(started, ResultStarted)
    assert [c.kind for c in started.columns][:5] == [
        "integer",
        "decimal",
        "other",
        "text",
        "binary",
    ]
    assert isinstance(batch, RowBatch)
    assert batch.rows == (
        ("18446744073709551615", "1.10", None, "한글", "\\x00ff", None, "-12:00:01", "\\x05"),
    )
    assert done == StatementDone("SELECT 1", 1)


def test_several_results_and_an_error_in_the_middle(target: Target) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    try:
        items = list(connection.stream("SELECT 1; SELECT * FROM nowhere; SELECT 2"))
        assert items[2] == StatementDone("SELECT 1", 1)
        failed = items[3]
        assert isinstance(failed, StatementFailed)
        assert (failed.code, failed.fatal) == ("1146", False)
        assert len(items) == 4
        assert connection.query("SELECT 3") == [("3",)]
    finally:
        connection.close()


def test_the_transaction_state_follows_the_server(target: Target) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    try:
        assert not connection.in_transaction
        connection.query("BEGIN")
        assert connection.in_transaction
        connection.query("SELECT id FROM customers LIMIT 3")
        assert connection.in_transaction
        connection.query("ROLLBACK")
        assert not connection.in_transaction
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("SELECT * FORM customers", "FORM"),
        ("SELECT 1,\n  2\nFROM FROM customers", "FROM customers"),
        ("SELECT '한글', FROM t", "FROM t"),
    ],
)
def test_a_syntax_error_has_its_place(target: Target, text: str, quoted: str) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    try:
        (failed,) = connection.stream(text)
    finally:
        connection.close()
    assert isinstance(failed, StatementFailed)
    assert text[failed.position :].startswith(quoted)


def test_an_error_without_a_place_has_none() -> None:
    assert near_position("SELECT 1", "Table 'a.b' doesn't exist") == -1


def test_cancel_from_another_thread(target: Target) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    rows = "SELECT a.id FROM orders a, orders b, orders c WHERE a.total + b.total + c.total < 0"
    started = threading.Event()
    got: list[object] = []

    def run() -> None:
        started.set()
        got.extend(connection.stream(rows))

    worker = threading.Thread(target=run)
    worker.start()
    started.wait(5)
    while worker.is_alive():
        connection.cancel()
        worker.join(0.2)
    connection.close()
    failed = got[-1]
    assert isinstance(failed, StatementFailed)
    assert failed.code == "1317"


def test_a_reader_that_goes_away_leaves_the_connection_usable(target: Target) -> None:
    connection = MysqlDriver("mariadb").connect(target)
    try:
        stream = connection.stream("SELECT a.* FROM order_items a, customers LIMIT 3000000")
        assert isinstance(next(stream), ResultStarted)
        assert isinstance(next(stream), RowBatch)
        stream.close()
        assert connection.query("SELECT 1") == [("1",)]
    finally:
        connection.close()


def changed(target: Target, **fields: object) -> Target:
    values = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    return Target(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"host": "no-such-host.invalid"}, "dns"),
        ({"port": 1}, "tcp"),
        ({"tls_mode": TlsMode.REQUIRE}, "tls"),
        ({"password": "wrong"}, "authentication"),
        ({"database": "elsewhere"}, "database"),
    ],
)
def test_a_failing_step_is_told_apart(target: Target, fields: dict[str, object], step: str) -> None:
    report = MysqlDriver("mariadb").probe(changed(target, **fields))
    assert not report.ok
    assert [s.name for s in report.steps if s.state == "failed"] == [step]


def test_an_ordinary_account_passes_and_a_superuser_is_warned_of(
    target: Target,
    shop_mariadb,  # type: ignore[no-untyped-def]
) -> None:
    report = MysqlDriver("mariadb").probe(target)
    assert report.ok, report
    assert report.flavour == "mariadb"
    assert [s.state for s in report.steps if s.name == "permission"] == ["ok"]
    root = changed(target, username=shop_mariadb.user, password=shop_mariadb.password)
    warned = [s for s in MysqlDriver("mariadb").probe(root).steps if s.name == "permission"]
    assert warned[0].state == "warning"
    assert "SUPER" in warned[0].message


def test_the_crawl_reads_what_analysis_needs(target: Target) -> None:
    catalog = MysqlDriver("mariadb").crawl(target)
    relations = {(r.schema, r.name): r for r in catalog.relations}
    customers = relations["shop", "customers"]
    assert [c.name for c in customers.columns][:4] == ["id", "name", "email", "phone"]
    assert [i.columns for i in customers.indexes if i.primary] == [("id",)]
    view = relations["shop", "customer_contact"]
    assert view.kind == "view"
    assert "`email`" in view.definition
    assert relations["information_schema", "TABLES"].kind == "system_view"
    assert catalog.complete
    assert dict(catalog.settings)["lower_case_table_names"] in {"0", "1", "2"}


def test_the_fingerprint_follows_every_change(target: Target, superuser) -> None:  # type: ignore[no-untyped-def]
    driver = MysqlDriver("mariadb")
    seen = [driver.fingerprint(target)]
    steps = (
        "CREATE TABLE fp (a INT PRIMARY KEY, b INT)",
        "ALTER TABLE fp MODIFY b BIGINT",
        "ALTER TABLE fp ADD INDEX by_b (b)",
        "CREATE VIEW fp_view AS SELECT a FROM fp",
        "CREATE OR REPLACE VIEW fp_view AS SELECT b FROM fp",
        "CREATE TRIGGER fp_trigger BEFORE INSERT ON fp FOR EACH ROW SET NEW.b = 1",
        "ALTER TABLE fp ADD CONSTRAINT fp_check CHECK (b > 0)",
    )
    with superuser.cursor() as cursor:
        try:
            for step in steps:
                cursor.execute(step)
                seen.append(driver.fingerprint(target))
        finally:
            cursor.execute("DROP VIEW IF EXISTS fp_view")
            cursor.execute("DROP TABLE IF EXISTS fp")
    assert len(set(seen)) == len(steps) + 1
    assert driver.fingerprint(target) == seen[0]
    assert driver.crawl(target).fingerprint == seen[0]


def test_processes_and_kill(target: Target) -> None:
    driver = MysqlDriver("mariadb")
    victim = driver.connect(target)
    thread = victim.query("SELECT CONNECTION_ID()")[0][0]
    assert thread in {process.native_id for process in driver.processes(target)}
    assert thread is not None
    driver.kill(target, thread)
    (failed,) = victim.stream("SELECT 1")
    assert isinstance(failed, StatementFailed)
    assert failed.fatal
    with pytest.raises(DriverError):
        driver.kill(target, "1; DROP TABLE x")


def test_what_a_dead_process_left_is_ended_unless_the_number_may_be_another_s(
    target: Target,
) -> None:
    driver = MysqlDriver("mariadb")
    connection = driver.connect(target)
    try:
        ((thread,),) = connection.query("SELECT CONNECTION_ID()")
        native_id = str(thread).encode()
        ((_, uptime_s),) = connection.query("SHOW GLOBAL STATUS LIKE 'Uptime'")
        before_the_server = float(uptime_s or 0) + 3600
        driver.stop_left_running(target, native_id, before_the_server)
        assert connection.query("SELECT 1") == [("1",)]
        driver.stop_left_running(target, native_id, 0.0)
        with pytest.raises(DriverError):
            connection.query("SELECT 1")
        driver.stop_left_running(target, native_id, 0.0)  # none there any more
    finally:
        connection.close()
