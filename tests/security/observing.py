"""What a client can observe of a statement, as bytes, over every way to run it.

PostgreSQL: through libpq, every field of every result and notice. MariaDB: the raw packets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pymysql
from psycopg import pq
from pymysql.constants import CLIENT, COMMAND
from tests.fix_system import DemoConnection

Road = Callable[[str], bytes]

_ROWS_OF_A_TWIN = 60_000
"""More than any statement of the corpus needs; a join without condition is cut there."""


def postgresql_results(connection: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> bytes:
    seen: list[bytes] = []
    for result in results:
        seen.append(f"{result.status} {result.command_status!r} {result.command_tuples}".encode())
        for field in pq.DiagnosticField:
            seen.append(result.error_field(field) or b"-")
        for column in range(result.nfields):
            seen.append(
                repr(
                    (
                        result.fname(column),
                        result.ftable(column),
                        result.ftablecol(column),
                        result.ftype(column),
                        result.fmod(column),
                        result.fsize(column),
                        result.fformat(column),
                    )
                ).encode()
            )
        for row in range(min(result.ntuples, _ROWS_OF_A_TWIN)):
            for column in range(result.nfields):
                value = result.get_value(row, column)
                seen.append(b"\\N" if value is None else value)
    return b"\n".join(seen)


class PostgresqlObserver:
    """One governed PostgreSQL connection; each statement runs in a transaction that is undone."""

    def __init__(self, shop: DemoConnection, user: str) -> None:
        token = shop.tokens[user]
        self._dsn = psycopg.conninfo.make_conninfo(
            host=shop.host,
            port=shop.port,
            user=token.username,
            password=token.password,
            dbname=shop.database,
        )
        self._connection: pq.abc.PGconn | None = None
        self._notices: list[bytes] = []

    def _open(self) -> pq.abc.PGconn:
        if self._connection is None or self._connection.status != pq.ConnStatus.OK:
            self.close()
            self._connection = pq.PGconn.connect(self._dsn.encode())
            assert self._connection.status == pq.ConnStatus.OK, self._connection.error_message
            self._connection.notice_handler = self._noticed
        return self._connection

    def _noticed(self, result: pq.abc.PGresult) -> None:
        self._notices.append(repr([result.error_field(f) for f in pq.DiagnosticField]).encode())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.finish()
            self._connection = None

    def _run(self, act: Callable[[pq.abc.PGconn], list[pq.abc.PGresult]]) -> bytes:
        connection = self._open()
        self._notices = []
        connection.exec_(b"BEGIN")
        connection.exec_(b"SET LOCAL statement_timeout = '4s'")
        self._notices = []
        seen = postgresql_results(connection, act(connection))
        after = f"{connection.transaction_status}".encode()
        if connection.status != pq.ConnStatus.OK:
            self.close()
        else:
            connection.exec_(b"ROLLBACK")
        return b"\n".join([seen, after, *self._notices])

    def simple(self, text: str) -> bytes:
        """Run a text with the simple protocol."""

        def act(connection: pq.abc.PGconn) -> list[pq.abc.PGresult]:
            connection.send_query(text.encode())
            return list(_drained(connection))

        return self._run(act)

    def extended(self, text: str) -> bytes:
        """Run a statement with the extended protocol, results in binary."""
        return self._run(
            lambda connection: [connection.exec_params(text.encode(), None, result_format=1)]
        )

    def prepared(self, text: str) -> bytes:
        """Prepare, describe, and run twice, results in text."""

        def act(connection: pq.abc.PGconn) -> list[pq.abc.PGresult]:
            name = b"twin"
            results = [connection.prepare(name, text.encode())]
            results.append(connection.describe_prepared(name))
            results += [connection.exec_prepared(name, None) for _ in range(2)]
            return results

        seen = self._run(act)
        self._open().exec_(b"DEALLOCATE ALL")
        return seen

    def cursor(self, text: str) -> bytes:
        """Declare a cursor and fetch forward and backward."""

        def act(connection: pq.abc.PGconn) -> list[pq.abc.PGresult]:
            results = [
                connection.exec_(b"DECLARE twin SCROLL CURSOR FOR " + text.rstrip("; ").encode())
            ]
            for fetch in (b"FETCH 3 FROM twin", b"FETCH ALL FROM twin", b"FETCH PRIOR FROM twin"):
                results.append(connection.exec_(fetch))
            return results

        return self._run(act)

    def roads(self) -> dict[str, Road]:
        """Every way to run a statement."""
        return {
            "simple": self.simple,
            "extended": self.extended,
            "prepared": self.prepared,
            "cursor": self.cursor,
        }


def _drained(connection: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    while True:
        while connection.is_busy():
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return
        if result.status == pq.ExecStatus.COPY_OUT:
            while True:
                length, data = connection.get_copy_data(0)
                if length <= 0:
                    break
                yield Copied(bytes(data))  # type: ignore[misc]  # shaped like a result
            continue
        if result.status == pq.ExecStatus.COPY_IN:
            connection.put_copy_end(b"no data")
        yield result


class Copied:
    """COPY data in the shape of a result."""

    status = "copied"
    command_tuples = None
    nfields = 1
    ntuples = 0

    def __init__(self, data: bytes) -> None:
        self.command_status = data

    def error_field(self, field: object) -> None:
        return None

    def fname(self, column: int) -> bytes:
        return b"copied"

    ftable = ftablecol = ftype = fmod = fsize = fformat = lambda self, column: 0


class MariadbObserver:
    """One governed MariaDB connection; each statement runs in a transaction that is undone."""

    def __init__(self, shop: DemoConnection, user: str) -> None:
        self._shop = shop
        self._token = shop.tokens[user]
        self._connection: Any = None

    def _open(self) -> Any:
        if self._connection is None or not self._connection.open:
            self._connection = pymysql.connect(
                host=self._shop.host,
                port=self._shop.port,
                user=self._token.username,
                password=self._token.password,
                database=self._shop.database,
                client_flag=CLIENT.MULTI_STATEMENTS,
                charset="utf8mb4",
                read_timeout=60,
            )
            with self._connection.cursor() as cursor:
                cursor.execute("SET max_statement_time = 4")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with suppress(pymysql.Error):
                self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Any, bytearray]]:
        connection = self._open()
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
        seen = bytearray()
        try:
            yield connection, seen
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except (pymysql.Error, OSError):
            seen += b"\ngone"
            self.close()

    @staticmethod
    def _packet(connection: Any, seen: bytearray) -> bytes:
        data = b""
        while True:
            header = connection._rfile.read(4)
            if len(header) < 4:
                raise pymysql.OperationalError(2013, "closed")
            size = int.from_bytes(header[:3], "little")
            data += connection._rfile.read(size)
            if size < 0xFFFFFF:
                break
        seen += data + b"\n"
        return data

    def _answer(self, connection: Any, seen: bytearray) -> bytes:
        """Read one whole answer; returns its first packet."""
        while True:
            first = self._packet(connection, seen)
            if first[0] == 0xFF:
                return first
            if first[0] == 0xFB:
                connection._sock.sendall(b"\0\0\0\2")
                continue
            if first[0] == 0:
                status = first[_after_two_lengths(first) :][:2]
            else:
                while not _is_eof(self._packet(connection, seen)):
                    pass
                rows = 0
                while True:
                    packet = self._packet(connection, seen)
                    if packet[0] == 0xFF:
                        return packet
                    if _is_eof(packet):
                        status = packet[3:5]
                        break
                    rows += 1
            if not int.from_bytes(status, "little") & 8:
                return first

    def text(self, text: str) -> bytes:
        """Run a text with COM_QUERY, all its results."""
        with self._transaction() as (connection, seen):
            connection._execute_command(COMMAND.COM_QUERY, text)
            self._answer(connection, seen)
        return bytes(seen)

    def prepared(self, text: str) -> bytes:
        """Prepare on the server and run twice, rows in binary."""
        with self._transaction() as (connection, seen):
            connection._execute_command(COMMAND.COM_STMT_PREPARE, text)
            first = self._packet(connection, seen)
            if first[0] == 0:
                columns, parameters = (
                    int.from_bytes(first[at : at + 2], "little") for at in (5, 7)
                )
                for count in (parameters, columns):
                    if count:
                        while not _is_eof(self._packet(connection, seen)):
                            pass
                for _ in range(2):
                    nulls = b"\xff" * ((parameters + 7) // 8)
                    bound = nulls + b"\1" + b"\x06\0" * parameters if parameters else b""
                    body = first[1:5] + b"\0\1\0\0\0" + bound
                    connection._execute_command(COMMAND.COM_STMT_EXECUTE, body)
                    self._answer(connection, seen)
                connection._execute_command(COMMAND.COM_STMT_CLOSE, first[1:5])
        return re.sub(rb"^\0....", b"", bytes(seen), count=1, flags=re.DOTALL)

    def roads(self) -> dict[str, Road]:
        """Every way to run a statement."""
        return {"text": self.text, "prepared": self.prepared}


def _is_eof(packet: bytes) -> bool:
    return packet[0] == 0xFE and len(packet) < 9


def _after_two_lengths(packet: bytes) -> int:
    at = 1
    for _ in range(2):
        at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[at], 1)
    return at
