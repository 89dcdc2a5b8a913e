"""A client that speaks latin1: read as the server reads it, whether it said so when it signed in or
by SET NAMES. In latin1 the byte 0xA0 is a space to the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.constants import COMMAND
from tests.engines.mysql.twin_databases import ACCOUNT, DATABASE, MysqlTwins
from tests.guard.twin_runner import World

_ATTACKS = (
    b"SELECT 0 x\xa0UNION\xa0SELECT\xa0rrn\xa0FROM\xa0customers",
    b"SELECT id FROM orders y\xa0WHERE\xa0(SELECT\xa0max(rrn)\xa0FROM\xa0customers)\xa0>\xa0'5'",
    b"SELECT 1 --\xa0, 2\n, rrn\xa0FROM customers",
    b"SELECT 1, @x\xa0UNION SELECT id, rrn FROM customers",
)


@pytest.fixture(params=["handshake", "set names"])
def latin1(request: pytest.FixtureRequest, mariadb_twins: MysqlTwins) -> Iterator[Any]:
    """A governed connection whose client speaks latin1."""
    at_once = request.param == "handshake"
    connection: Any = pymysql.connect(
        host="127.0.0.1",
        port=mariadb_twins.governed(World.HERE).port,
        user=ACCOUNT,
        password="",
        database=DATABASE,
        charset="latin1" if at_once else "utf8mb4",
        defer_connect=True,
    )
    if at_once:
        # The driver says it again by SET NAMES, which is the other way.
        connection.set_character_set = lambda *_names: None
    connection.connect()
    with closing(connection):
        if not at_once:
            _run(connection, b"SET NAMES latin1")
            connection.encoding = "cp1252"
        yield connection


def _run(connection: Any, text: bytes) -> Any:
    """Send the bytes of a statement as they are; return its rows."""
    connection._execute_command(COMMAND.COM_QUERY, text)
    connection._read_query_result()
    return connection._result.rows


def test_text_in_quotes_is_latin1_both_ways(latin1: Any) -> None:
    assert _run(latin1, b"SELECT 'caf\xe9', HEX('\xe9'), HEX(CONVERT('\xe9' USING utf8mb4))") == (
        ("caf\u00e9", "E9", "C3A9"),
    )
    assert _run(latin1, b"SELECT @@character_set_client") == (("latin1",),)


@pytest.mark.parametrize("attack", _ATTACKS)
def test_a_byte_that_the_server_takes_for_a_space_is_refused(latin1: Any, attack: bytes) -> None:
    with pytest.raises(pymysql.err.ProgrammingError, match="only ASCII may stand outside"):
        _run(latin1, attack)
    assert _run(latin1, b"SELECT 1") == ((1,),)


def test_a_statement_prepared_in_utf8_does_not_run_in_latin1(mariadb_twins: MysqlTwins) -> None:
    connection = pymysql.connect(
        host="127.0.0.1",
        port=mariadb_twins.governed(World.HERE).port,
        user=ACCOUNT,
        password="",
        database=DATABASE,
        charset="utf8mb4",
    )
    with closing(connection):
        _run(connection, "PREPARE p FROM 'SELECT 1 AS `a\u00a0b`'".encode())
        assert _run(connection, b"EXECUTE p") == ((1,),)
        _run(connection, b"SET NAMES latin1")
        with pytest.raises(pymysql.err.Error):
            _run(connection, b"EXECUTE p")
