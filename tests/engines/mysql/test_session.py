"""MysqlSession between real clients and a real MariaDB: sign-in, rows, masks, refusals, endings."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import mysql.connector
import pymysql
import pytest
from mysql.connector.cursor import MySQLCursorPrepared
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor
from tests.engines.mysql.harness import MysqlGoverned, governed_by
from tests.engines.postgresql.harness import (
    PASSWORD,
    allow,
    allow_all,
    deny,
    mask,
    session_policy,
    split,
)

from querykeep_demo.shop import Shop
from querykeep_engines.kit import session as kit
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.policy import Limits
from querykeep_guard.contracts.session import EndReason, SignInRefusal, Target, TlsMode
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import ColumnOrigin, SessionContext


@pytest.fixture
def target(shop_mariadb: Shop) -> Target:
    return Target(
        "mariadb",
        "mariadb",
        shop_mariadb.host,
        shop_mariadb.port,
        "shop",
        shop_mariadb.account_user,
        shop_mariadb.account_password,
        TlsMode.DISABLE,
    )


@pytest.fixture
def governed(target: Target) -> Iterator[MysqlGoverned]:
    with governed_by(target, mask_by_text) as server:
        yield server


CUSTOMERS = "SELECT id, name, email, phone, birth_date FROM customers ORDER BY id"


def mask_by_text(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    """Mask columns 2 (email) and 4 (a date) of CUSTOMERS; refuse what names salary; else allow."""
    decisions = []
    for part in split(text):
        if "salary" in part:
            decisions.append(deny(part, 'column "shop.employees.salary" is refused', "column"))
        elif part.startswith("SELECT id, name, email"):
            plan = MaskPlan(5, (mask(2, "email"), mask(4)), redact_errors=True)
            decisions.append(allow(part, plan))
        else:
            decisions.append(allow(part))
    return tuple(decisions)


def connect(governed: MysqlGoverned, **options: Any) -> pymysql.Connection:  # type: ignore[type-arg]
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": governed.port,
        "user": "analyst",
        "password": PASSWORD,
        "ssl_disabled": True,
        "database": "shop",
    }
    return pymysql.connect(**{**values, **options})


def streaming(governed: MysqlGoverned) -> Any:
    return closing(connect(governed, cursorclass=SSCursor))


def direct(shop: Shop, text: str) -> list[tuple[Any, ...]]:
    connection = pymysql.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password, database="shop"
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())


def test_text_rows_are_the_direct_ones_but_for_the_masks(
    governed: MysqlGoverned, shop_mariadb
) -> None:  # type: ignore[no-untyped-def]
    with closing(connect(governed)) as connection, connection.cursor() as cursor:
        cursor.execute(CUSTOMERS)
        rows = list(cursor.fetchall())
    expected = [
        (i, name, f"{email[0]}*****@{email.split('@')[1]}" if email else None, phone, None)
        for i, name, email, phone, _ in direct(shop_mariadb, CUSTOMERS)
    ]
    assert rows == expected
    governed.wait_for(lambda: len(governed.completed()) >= 2)
    started = [event for event in governed.started() if event.statement == CUSTOMERS]
    assert [event.verdict for event in started] == [Verdict.MASKED]
    done = [e for e in governed.completed() if e.statement_id == started[0].statement_id]
    assert (done[0].outcome, done[0].rows) == (Outcome.OK, len(expected))


def test_binary_rows_are_masked_too(governed: MysqlGoverned, shop_mariadb: Shop) -> None:
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
    assert isinstance(cursor, MySQLCursorPrepared)
    text = "SELECT id, name, email, phone, birth_date FROM customers WHERE id < %s ORDER BY id"
    cursor.execute(text, (50,))
    rows = cursor.fetchall()
    cursor.execute(text, (3,))
    assert len(cursor.fetchall()) == 2
    cursor.close()
    connection.close()
    plain = direct(shop_mariadb, text.replace("%s", "50"))
    assert [row[:2] for row in rows] == [row[:2] for row in plain]
    assert all("*****@" in str(row[2]) for row in rows if row[2] is not None)
    assert {row[4] for row in rows} == {None}
    executed = [event for event in governed.started() if event.protocol == "prepared"]
    assert [event.parameters for event in executed] == [1, 1]


def test_a_refused_statement_leaves_connection_and_transaction(governed: MysqlGoverned) -> None:
    with closing(connect(governed)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE products SET name = name WHERE id = 1")
        with pytest.raises(pymysql.err.OperationalError) as refused:
            cursor.execute("SELECT salary FROM employees")
        assert refused.value.args[0] == 1143
        assert "shop.employees.salary" in refused.value.args[1]
        cursor.execute("SELECT @@in_transaction")
        assert cursor.fetchall() == ((1,),)
        cursor.execute("ROLLBACK")
    denied = [event for event in governed.started() if event.verdict is Verdict.DENIED]
    assert [event.statement for event in denied] == ["SELECT salary FROM employees"]


def test_a_text_of_several_statements_is_decided_whole(governed: MysqlGoverned) -> None:
    flag = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with closing(connect(governed, client_flag=flag)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 2, 3; SELECT 4")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        assert found == [((1,),), ((2, 3),), ((4,),)]
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("INSERT INTO products (id) VALUES (99999); SELECT salary FROM employees")
        cursor.execute("SELECT COUNT(*) FROM products WHERE id = 99999")
        assert cursor.fetchall() == ((0,),)
    insert, salary = [e for e in governed.started() if e.verdict is Verdict.DENIED]
    assert insert.error == "not run: another statement of the same text was refused"
    assert (salary.error_code, "salary" in salary.error) == ("1143", True)
    governed.wait_for(lambda: any("SELECT 4" in e.statement for e in governed.started()))
    assert not [e for e in governed.completed() if e.outcome is not Outcome.OK]


def test_after_an_error_the_rest_of_a_text_is_recorded_as_not_run(governed: MysqlGoverned) -> None:
    flag = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with closing(connect(governed, client_flag=flag)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT * FROM nowhere; SELECT 2")
        with pytest.raises(pymysql.err.ProgrammingError):
            cursor.nextset()
        cursor.execute("SELECT 3")
        assert cursor.fetchall() == ((3,),)
    governed.wait_for(lambda: len(governed.completed()) >= 5)
    ended = {event.statement: event.statement_id for event in governed.started()}
    outcome = {event.statement_id: event for event in governed.completed()}
    assert outcome[ended["SELECT 1"]].outcome is Outcome.OK
    assert outcome[ended[" SELECT * FROM nowhere"]].error_code == "1146"
    assert "not run" in outcome[ended[" SELECT 2"]].error


def test_an_unexpected_column_ends_the_result_before_a_row(target: Target) -> None:
    def wrong(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        origin = ColumnOrigin(schema="shop", table="customers", column="name")
        return tuple(allow(part, MaskPlan(1, origins=(origin,))) for part in split(text))

    with governed_by(target, wrong) as governed, closing(connect(governed)) as connection:
        with connection.cursor() as cursor:
            with pytest.raises(pymysql.err.OperationalError) as ended:
                cursor.execute("SELECT email FROM customers")
            assert ended.value.args[0] == 1142
        governed.wait_for(lambda: bool(governed.closings()))
        assert governed.closings()[0].reason is EndReason.RESULT_MISMATCH


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong", ""])
def test_a_client_proves_itself(target: Target, plugin: str, password: str) -> None:
    flavoured = replace(target, flavour="mariadb" if "native" in plugin else "mysql")
    with governed_by(flavoured, client_auth=True) as governed:
        if password == PASSWORD:
            with closing(connect(governed)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchall() == ((1,),)
            return
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect(governed, password=password)
        assert refused.value.args[0] == 1045


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("locked", 1045),
        ("no_grant", 1045),
        ("unknown_database", 1049),
        ("policy_unreachable", 1053),
    ],
)
def test_a_refused_sign_in_says_why(target: Target, code: str, number: int) -> None:
    with governed_by(
        target, client_auth=True, refuse=SignInRefusal(code, "because of the test")
    ) as governed:
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connect(governed)
        assert refused.value.args == (number, "because of the test")


def test_the_mariadb_client_works(governed: MysqlGoverned) -> None:
    client = shutil.which("mariadb")
    assert client is not None
    done = subprocess.run(
        [
            client,
            "--no-defaults",
            "--skip-ssl",
            "-h127.0.0.1",
            f"-P{governed.port}",
            "-uanalyst",
            f"-p{PASSWORD}",
            "shop",
            "--batch",
            "-e",
            "SELECT COUNT(*) FROM orders; SHOW TABLES; SELECT id, name, email, phone, birth_date "
            "FROM customers ORDER BY id LIMIT 1",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "20000" in done.stdout
    assert "*****@" in done.stdout


def test_state_is_read_again_only_after_what_may_change_it(governed: MysqlGoverned) -> None:
    with closing(connect(governed)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES'")
        cursor.execute("SELECT 2")
        connection.select_db("information_schema")
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchall() == (("information_schema",),)
    modes = {text: dict(context.settings)["sql_mode"] for text, context in governed.contexts}
    assert "ANSI_QUOTES" not in modes["SELECT 1"]
    assert "ANSI_QUOTES" in modes["SELECT 2"]
    databases = {text: context.database for text, context in governed.contexts}
    assert databases["SELECT 1"] == "shop"
    assert databases["SELECT DATABASE()"] == "information_schema"


def test_a_large_result_streams_in_bounded_memory(target: Target) -> None:
    with (
        governed_by(target) as governed,
        closing(connect(governed, cursorclass=SSCursor)) as connection,
    ):
        with connection.cursor() as cursor:
            cursor.execute("SELECT a.* FROM order_items a, (SELECT 1 UNION SELECT 2) b")
            count, peak = 0, 0
            while cursor.fetchone() is not None:
                count += 1
                session = governed.shells[0].session
                peak = max(peak, session._server_reader.buffered)  # type: ignore[attr-defined]
        assert count == 100_000
        assert peak < 1 << 20


def test_the_row_limit_ends_a_result_and_leaves_the_session(target: Target) -> None:
    policy = session_policy(limits=Limits(max_rows=10))
    with (
        governed_by(target, policy=policy) as governed,
        closing(connect(governed)) as connection,
        connection.cursor() as cursor,
    ):
        with pytest.raises(pymysql.err.OperationalError) as limited:
            cursor.execute("SELECT * FROM order_items")
        assert limited.value.args[0] == 1104
        cursor.execute("SELECT * FROM products LIMIT 10")
        assert len(cursor.fetchall()) == 10


@pytest.mark.parametrize("by_kill", [True, False])
def test_a_running_statement_can_be_cancelled(target: Target, by_kill: bool) -> None:
    slow = "SELECT COUNT(*) FROM orders a, orders b, orders c WHERE a.total + b.total < c.total"
    with governed_by(target) as governed, closing(connect(governed)) as connection:
        failed: list[BaseException] = []

        def run() -> None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(slow)
            except pymysql.err.OperationalError as error:
                failed.append(error)

        worker = threading.Thread(target=run)
        worker.start()
        governed.wait_for(lambda: any(e.statement == slow for e in governed.started()))
        while worker.is_alive():
            if by_kill:
                with closing(connect(governed)) as other, other.cursor() as cursor:
                    cursor.execute(f"KILL QUERY {connection.thread_id()}")
            else:
                governed.shells[0].post(kit.CancelRequested(by_admin=True))
            worker.join(0.5)
        assert failed[0].args[0] == 1317
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        ended = {e.statement_id: e.outcome for e in governed.completed()}
        run_id = next(e.statement_id for e in governed.started() if e.statement == slow)
        assert ended[run_id] is (Outcome.CANCELLED if by_kill else Outcome.KILLED)


def test_an_end_is_told_and_recorded(governed: MysqlGoverned) -> None:
    with closing(connect(governed)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, name FROM customers LIMIT 3")
        governed.shells[0].post(kit.EndRequested(EndReason.REVOKED, "your grant was revoked"))
        governed.wait_for(lambda: bool(governed.closings()))
        with pytest.raises(pymysql.err.Error) as told, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert told.value.args == (1927, "your grant was revoked")
    assert governed.closings()[0].reason is EndReason.REVOKED


def test_a_policy_change_stops_a_result_on_its_way(target: Target) -> None:
    refused: set[str] = set()

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        if text in refused:
            return (deny(text),)
        return allow_all(text, context)

    text = "SELECT a.*, SLEEP(0.01) FROM order_items a"
    with (
        governed_by(target, decide) as governed,
        closing(connect(governed, cursorclass=SSCursor)) as connection,
    ):
        with connection.cursor() as cursor:
            cursor.execute(text)
            cursor.fetchone()
            refused.add(text)
            governed.shells[0].post(kit.PolicyChanged(session_policy(version=2)))
            with pytest.raises(pymysql.err.OperationalError) as stopped:
                cursor.fetchall()
            assert "policy changed" in stopped.value.args[1]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert list(cursor.fetchall()) == [(1,)]


def test_a_policy_change_reaches_the_later_statements_of_a_text(target: Target) -> None:
    is_hidden = threading.Event()
    text = "USE information_schema; SELECT SLEEP(30); SELECT email FROM shop.customers"
    asked: list[SessionContext] = []

    def decide(whole: str, context: SessionContext) -> tuple[Decision, ...]:
        asked.append(context)
        parts = whole.split("; ")
        return tuple(deny(p) if is_hidden.is_set() and "email" in p else allow(p) for p in parts)

    with (
        governed_by(target, decide) as governed,
        closing(connect(governed, client_flag=CLIENT.MULTI_STATEMENTS)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1")
        connection._execute_command(3, text)  # type: ignore[attr-defined]
        governed.wait_for(lambda: sum("SLEEP" in e.statement for e in governed.started()) == 1)
        connection._read_ok_packet()  # type: ignore[attr-defined]
        is_hidden.set()
        governed.shells[0].post(kit.PolicyChanged(session_policy(version=2)))
        with pytest.raises(pymysql.err.OperationalError, match="policy changed"):
            connection._read_packet()  # type: ignore[attr-defined]
        cursor.execute("SELECT 1")
    texts = {event.statement_id: event.statement for event in governed.started()}
    ended = {texts[event.statement_id]: event.outcome for event in governed.completed()}
    assert [ended[part] for part in text.split("; ")] == [
        Outcome.OK,
        Outcome.KILLED,
        Outcome.ERROR,
    ]
    assert asked[-2] == asked[-3]


@pytest.mark.parametrize("code", [0x05, 0x08, 0x0C, 0x12, 0x15, 0x1E, 0x7F])
def test_a_command_outside_the_table_is_refused_by_name(governed: MysqlGoverned, code: int) -> None:
    with closing(connect(governed)) as connection:
        connection._execute_command(code, b"x")  # type: ignore[attr-defined]
        with pytest.raises(pymysql.err.OperationalError) as refused:
            connection._read_ok_packet()  # type: ignore[attr-defined]
        assert refused.value.args[0] == 1047
        connection.ping(reconnect=False)


def test_garbage_ends_with_an_error_and_not_a_crash(governed: MysqlGoverned) -> None:
    with socket.create_connection(("127.0.0.1", governed.port), 10) as raw:
        raw.recv(4096)
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        raw.settimeout(10)
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert answer[4:5] == b"\xff"


def test_how_the_server_found_the_rows_is_hidden_where_masks_are(
    governed: MysqlGoverned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which plan a server takes follows from sizes of what is hidden."""
    no_index_used = 0x20
    seen: list[int] = []

    read = vars(pymysql.connections)["EOFPacketWrapper"]

    def noted(packet: Any) -> Any:
        found = read(packet)
        seen.append(found.server_status)
        return found

    monkeypatch.setattr("pymysql.connections.EOFPacketWrapper", noted)
    with closing(connect(governed)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM customers WHERE name > ''")
        assert seen.pop() & no_index_used
        seen.clear()
        cursor.execute("SELECT id, name, email, phone, birth_date FROM customers WHERE name > ''")
    assert seen
    assert not any(status & no_index_used for status in seen)
