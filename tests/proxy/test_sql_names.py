"""Names that SQL makes on a MariaDB connection: prepared statements and temporary tables."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pymysql
import pytest
from tests.proxy.test_real_servers import connect_mariadb, in_thread


def ask(cursor, text: str):
    cursor.execute(text)
    return cursor.fetchall()


def refusal(cursor, text: str) -> tuple[int, str]:
    with pytest.raises(pymysql.MySQLError) as caught:
        cursor.execute(text)
    return caught.value.args[0], str(caught.value.args[1])


async def in_session(proxy, work, **options) -> None:
    def run() -> None:
        with (
            closing(connect_mariadb(proxy, autocommit=True, **options)) as connection,
            connection.cursor() as cursor,
        ):
            work(cursor)

    await in_thread(run)


async def test_a_prepared_name_is_judged_by_the_text_behind_it(mariadb_proxy):
    def work(cursor) -> None:
        ask(cursor, "PREPARE one FROM 'SELECT id, email FROM customers WHERE id = ?'")
        ask(cursor, "SET @id = 3")
        ((id_, email),) = ask(cursor, "EXECUTE one USING @id")
        assert id_ == 3
        assert "*****@" in email
        ask(cursor, "PREPARE one FROM 'SELECT COUNT(*) FROM orders'")
        assert ask(cursor, "EXECUTE one") == ((20_000,),)
        ask(cursor, "PREPARE pay FROM 'SELECT * FROM payroll'")
        code, text = refusal(cursor, "EXECUTE pay")
        assert (code, "payroll" in text) == (1142, True)
        ask(cursor, "DEALLOCATE PREPARE one")
        assert "one" in refusal(cursor, "EXECUTE one")[1]
        # The target refused it, and so nobody knows it.
        assert refusal(cursor, "PREPARE bad FROM 'SELECT nothing_here FROM orders'")[0] in (
            1054,
            1142,
        )
        refusal(cursor, "EXECUTE bad")

    await in_session(mariadb_proxy, work)
    await in_thread(
        mariadb_proxy.api.wait_for, lambda: bool(mariadb_proxy.api.events("SessionClosed"))
    )
    statements = {e["statement"]: e for e in mariadb_proxy.api.events("StatementStarted")}
    assert statements["EXECUTE one USING @id"]["verdict"] == "masked"
    assert "shop.customers" in statements["EXECUTE one USING @id"]["objects"]


async def test_a_name_holds_only_while_texts_are_read_as_when_it_was_made(mariadb_proxy):
    def work(cursor) -> None:
        ask(cursor, "PREPARE one FROM 'SELECT \"email\" FROM customers WHERE id = 1'")
        assert ask(cursor, "EXECUTE one") == (("email",),)
        ask(cursor, "SET sql_mode = 'ANSI_QUOTES'")
        assert "one" in refusal(cursor, "EXECUTE one")[1]
        ask(cursor, "SET sql_mode = DEFAULT")
        ask(cursor, "PREPARE one FROM 'SELECT 1'")
        ask(cursor, "USE information_schema")
        assert "one" in refusal(cursor, "EXECUTE one")[1]
        ask(cursor, "USE shop")
        assert ask(cursor, "EXECUTE one") == ((1,),)
        cursor.connection.ping(reconnect=False)

    await in_session(mariadb_proxy, work)


async def test_a_name_made_behind_another_reading_in_one_text_is_not_known(mariadb_proxy):
    """USE, PREPARE, USE back: the books must not say that the text was read where it was not."""
    text = (
        "USE information_schema; PREPARE one FROM 'SELECT 1'; USE shop",
        "SET sql_mode = 'ANSI_QUOTES'; PREPARE one FROM 'SELECT 1'",
    )

    def work(cursor) -> None:
        for each in text:
            try:
                cursor.execute(each)
                while cursor.nextset():
                    pass
            except pymysql.MySQLError:
                pass
            assert "one" in refusal(cursor, "EXECUTE one")[1]
            ask(cursor, "SET sql_mode = DEFAULT")

    await in_session(mariadb_proxy, work, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)


@pytest.mark.parametrize("twin", ["é", "E ", "Ｅ"])
async def test_two_spellings_of_one_name_cannot_be_told_apart_and_are_refused(mariadb_proxy, twin):
    """The server takes `é` and `e` for one name: the second replaces the first."""

    def work(cursor) -> None:
        ask(cursor, "PREPARE e FROM 'SELECT 1'")
        refusal(cursor, f"PREPARE `{twin}` FROM 'SELECT salary FROM employees'")
        refusal(cursor, f"EXECUTE `{twin}`")
        assert ask(cursor, "EXECUTE e") == ((1,),)

    await in_session(mariadb_proxy, work, charset="utf8mb4")


@pytest.mark.parametrize(("one", "other"), [("ß", "ẞ"), ("ა", "Ა"), ("i", "İ"), ("k", "\u212a")])
async def test_names_that_servers_may_take_for_one_or_for_two_are_refused(
    mariadb_proxy, one: str, other: str
):
    """Where the inner query's name is not the one meant, the outer one's e-mail is read."""

    def work(cursor) -> None:
        for inner, meant in ((one, other), (other, one)):
            for text in (
                "SELECT (SELECT `{m}` FROM (SELECT 1 AS `{i}`) d) FROM"
                " (SELECT email AS `{m}` FROM customers) o",
                "SELECT (SELECT `{m}` FROM (SELECT email AS `{i}` FROM customers LIMIT 1) d)"
                " FROM (SELECT 1 AS `{m}`) o",
                "SELECT (SELECT `{m}` FROM (SELECT 1 '{i}') d) FROM"
                " (SELECT email AS `{m}` FROM customers) o",
            ):
                told = refusal(cursor, text.format(i=inner, m=meant))[1]
                assert "spell them alike" in told
        text = f"SELECT `{other}` FROM (SELECT id AS `{other}` FROM customers WHERE id = 1) d"
        assert ask(cursor, text) == ((1,),)
        ask(cursor, f"CREATE TEMPORARY TABLE scratch (`{one}` INT)")
        told = refusal(
            cursor,
            f"SELECT (SELECT `{other}` FROM scratch LIMIT 1) FROM"
            f" (SELECT email AS `{other}` FROM customers) o",
        )[1]
        assert "spell them alike" in told

    await in_session(mariadb_proxy, work, charset="utf8mb4")


async def test_a_reset_forgets_every_name(mariadb_proxy):
    def work(cursor) -> None:
        ask(cursor, "PREPARE one FROM 'SELECT 1'")
        ask(cursor, "CREATE TEMPORARY TABLE scratch (id INT)")
        connection = cursor.connection
        connection._execute_command(0x1F, b"")
        connection._read_ok_packet()
        assert "one" in refusal(cursor, "EXECUTE one")[1]
        assert "scratch" in refusal(cursor, "SELECT id FROM scratch")[1]

    await in_session(mariadb_proxy, work)


async def test_a_temporary_table_can_be_worked_with(mariadb_proxy):
    def work(cursor) -> None:
        ask(cursor, "CREATE TEMPORARY TABLE scratch (id INT PRIMARY KEY, `이름` VARCHAR(40))")
        ask(cursor, "INSERT INTO scratch (id, `이름`) SELECT id, name FROM customers WHERE id < 4")
        ask(cursor, "UPDATE scratch SET `이름` = 'x' WHERE id = 1")
        rows = ask(cursor, "SELECT s.`이름`, c.email FROM scratch s JOIN customers c USING (id)")
        assert len(rows) == 3
        assert all("*****@" in email for _, email in rows)
        assert ask(cursor, "SELECT * FROM scratch WHERE id = 1") == ((1, "x"),)
        # A masked value may not be written where it would be read bare.
        refusal(cursor, "INSERT INTO scratch (id, `이름`) SELECT id + 9, email FROM customers")
        refusal(cursor, "CREATE TEMPORARY TABLE copied SELECT email FROM customers")

    await in_session(mariadb_proxy, work, charset="utf8mb4")


async def test_a_temporary_table_that_hides_another_is_refused_to_who_is_masked(mariadb_proxy):
    """Were it dropped unseen, its name would mean the view again, whose e-mails are masked."""

    def work(cursor) -> None:
        ask(cursor, "CREATE TEMPORARY TABLE customer_contact (id INT, email VARCHAR(40))")
        for text in (
            "SELECT email FROM customer_contact",
            "DROP TEMPORARY TABLE customer_contact; SELECT email FROM customer_contact",
        ):
            assert "customer_contact" in refusal(cursor, text)[1]

    await in_session(mariadb_proxy, work)


async def test_what_was_written_under_another_policy_is_not_read_under_this_one(mariadb_proxy):
    masked = mariadb_proxy.api.policy
    mariadb_proxy.api.policy = replace(masked, masking_rules=())

    def fill(cursor) -> None:
        ask(cursor, "CREATE TEMPORARY TABLE scratch AS SELECT email FROM customers WHERE id = 1")
        assert "*****" not in ask(cursor, "SELECT email FROM scratch")[0][0]
        connection = cursor.connection
        connection._execute_command(0x16, "SELECT email FROM scratch")
        statement_id = connection._read_packet().get_all_data()[1:5]
        for _packet in range(2):
            connection._read_packet()
        mariadb_proxy.api.change_policy(masked)
        (session,) = mariadb_proxy.services.live
        while session.policy.masking_rules == ():
            ask(cursor, "SELECT 1")
        ask(cursor, "SELECT 1")  # by its end the session itself has been told
        assert "scratch" in refusal(cursor, "SELECT email FROM scratch")[1]
        connection._execute_command(0x17, statement_id + b"\0\1\0\0\0")
        with pytest.raises(pymysql.MySQLError, match="scratch"):
            connection._read_packet()

    await in_session(mariadb_proxy, fill, ssl_disabled=True)


async def test_a_statement_of_the_protocol_is_prepared_anew_under_another_sql_mode(mariadb_proxy):
    """Where the table changes, the server prepares it anew by itself, and could read the text
    otherwise than it was judged."""

    def work(cursor) -> None:
        connection = cursor.connection
        connection._execute_command(0x16, 'SELECT "email" FROM customers')
        statement_id = connection._read_packet().get_all_data()[1:5]
        for _packet in range(2):
            connection._read_packet()
        ask(cursor, "SET sql_mode = 'ANSI_QUOTES'")
        connection._execute_command(0x17, statement_id + b"\0\1\0\0\0")
        with pytest.raises(pymysql.MySQLError) as refused:
            connection._read_packet()
        assert refused.value.args[0] == 1615
        assert ask(cursor, "SELECT 1") == ((1,),)

    await in_session(mariadb_proxy, work, ssl_disabled=True)
