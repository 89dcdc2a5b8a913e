"""One native connection (PyMySQL): texts in, a stream of what happens out, values as exact text.

Unbuffered: no result is ever held whole. Blocking; runs in a thread.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import struct
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor
from pymysql.protocol import MysqlPacket

from querykeep_engines.kit.driver import (
    GOVERNED_PROGRAM,
    DriverError,
    ResultColumn,
    ResultStarted,
    RowBatch,
    StatementDone,
    StatementFailed,
    StreamItem,
)
from querykeep_engines.mysql.driver_auth import SIGN_INS
from querykeep_engines.mysql.types import result_column
from querykeep_engines.mysql.versions import without_prefix

_IN_TRANSACTION = 0x0001
# A batch is handed on when its text reaches this size, however few rows it has.
_BATCH_BYTES = 1 << 20
_EOF_PACKET_BELOW_BYTES = 9
_NEAR = re.compile(r" near '(.*)' at line (\d+)$", re.DOTALL)
# Errors after which the server has closed, or is closing, the connection.
_FATAL_CODES = frozenset({1053, 1152, 1153, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2055, 4031})

Row = tuple[str | None, ...]

# The stubs make Connection generic, the class itself is not.
if TYPE_CHECKING:
    _Base = Connection[SSCursor]
else:
    _Base = Connection


class StatusConnection(_Base):
    """PyMySQL's connection, which also learns the transaction state at the end of a result.

    The annotations name what PyMySQL's stubs leave out.
    """

    server_version: str
    names_by_handshake = False
    """True: the handshake alone names the character set. A governed session hands it to the target;
    a ``SET NAMES`` of the driver's own would stand in the audit log as the person's statement."""
    _connect_attrs: dict[str, str]
    _secure: bool
    _ssl_required: bool

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Tell the server the character set, unless the handshake did."""
        if not self.names_by_handshake:
            super().set_character_set(charset, collation)

    def _read_packet(self, packet_type: type[MysqlPacket] = MysqlPacket) -> MysqlPacket:
        read: Callable[[type[MysqlPacket]], MysqlPacket] = super()._read_packet
        packet = read(packet_type)
        whole: Callable[[], bytes] = packet.get_all_data
        data = whole()
        if len(data) < _EOF_PACKET_BELOW_BYTES and data[:1] == b"\xfe" and len(data) >= 5:
            self.server_status = struct.unpack_from("<H", data, 3)[0]
        return packet


def open_connection(
    *,
    host: str | None,
    port: int,
    unix_socket: str | None,
    user: str,
    password: str,
    database: str,
    timeout_s: float,
    tls: ssl.SSLContext | None,
    tls_required: bool,
    is_governed: bool = False,
) -> StatusConnection:
    """Open a connection; raises ``DriverError``. ``tls`` None means plain text. ``is_governed``: it
    is a person's session, on which the driver says nothing by itself."""
    connection = StatusConnection(
        host=host,
        port=port,
        unix_socket=unix_socket,
        user=user,
        password=password,
        database=database or None,
        charset="utf8mb4",
        connect_timeout=max(1, round(timeout_s)),
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS,
        cursorclass=SSCursor,
        conv={},
        local_infile=False,
        auth_plugin_map=SIGN_INS,
        defer_connect=True,
        program_name=GOVERNED_PROGRAM if is_governed else "querykeep",
        **({"ssl": tls} if tls is not None else {"ssl_disabled": True}),
    )
    connection.names_by_handshake = is_governed
    if is_governed:
        # Its own name and version would stand beside the program's as the client's.
        connection._connect_attrs = {"program_name": GOVERNED_PROGRAM}
    connection._ssl_required = tls is not None and tls_required
    try:
        connection.connect()
    except pymysql.Error as error:
        raise sign_in_error(error) from None
    except (OSError, ssl.SSLError) as error:
        raise DriverError("tls" if isinstance(error, ssl.SSLError) else "tcp", str(error)) from None
    return connection


def sign_in_error(error: pymysql.Error) -> DriverError:
    """Tell where a sign-in failed by the server's own number."""
    code, message = error_parts(error)
    stage = {
        1044: "permission",
        1045: "authentication",
        1049: "database",
        1251: "authentication",
        1698: "authentication",
        1040: "database",
        2026: "tls",
        1429: "tcp",
        2003: "tcp",
        2005: "dns",
        2006: "tcp",
        2013: "tcp",
    }.get(code, "authentication")
    return DriverError(stage, message, str(code) if code else "")


def error_parts(error: BaseException) -> tuple[int, str]:
    """Return (number, text) of a PyMySQL error; number 0 where it has none."""
    if len(error.args) >= 2 and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1])
    return 0, " ".join(str(part) for part in error.args) or type(error).__name__


def near_position(text: str, message: str) -> int:
    """Return the character offset of what a syntax error quotes, or -1.

    The server quotes the rest of the text from the fault on (at most 80 characters) and its line.
    """
    found = _NEAR.search(message)
    if found is None:
        return -1
    quoted, line = found.group(1), int(found.group(2))
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if start == 0:
            return -1
    if not quoted:
        return len(text.rstrip())
    return text.find(quoted, start)


class MysqlConnection:
    """A connection opened by the driver. ``stream`` is used by one thread at a time; ``cancel`` may
    be called by any."""

    def __init__(
        self, connection: StatusConnection, kill: Callable[[int], None] | None = None
    ) -> None:
        """``kill``: ends what thread id runs over a connection of its own; None where there is no
        way to the target itself (a governed socket: its session cancels)."""
        self._connection = connection
        self._kill = kill

    @property
    def server_version(self) -> str:
        """The server's version."""
        return without_prefix(str(self._connection.server_version))

    @property
    def is_secure(self) -> bool:
        """True when the connection is encrypted."""
        return bool(self._connection._secure)

    def stream(self, text: str, *, batch_rows: int = 2000) -> Generator[StreamItem]:
        """Run a text and yield what happens; see ``NativeConnection.stream``."""
        cursor = self._connection.cursor()
        finished = False
        try:
            cursor.execute(text)
            while True:
                yield from self._result(cursor, batch_rows)
                if not cursor.nextset():
                    break
            finished = True
        except pymysql.Error as error:
            finished = True
            code, message = error_parts(error)
            fatal = code in _FATAL_CODES or not self._connection.open
            yield StatementFailed(
                str(code) if code else "HY000",
                message,
                position=near_position(text, message),
                fatal=fatal,
            )
        except OSError as error:
            finished = True
            yield StatementFailed("2013", f"the connection broke: {error}", fatal=True)
        finally:
            if finished:
                with contextlib.suppress(pymysql.Error, OSError):
                    cursor.close()
            else:
                self._abandon(cursor)

    def _result(self, cursor: Any, batch_rows: int) -> Iterator[StreamItem]:
        fields = cursor._result.fields if cursor.description else None
        if fields is None:
            affected = int(cursor.rowcount)
            yield StatementDone(f"OK {affected}", affected)
            return
        columns = tuple(_column(field) for field in fields)
        yield ResultStarted(columns)
        total, size = 0, 0
        batch: list[Row] = []
        while (row := cursor.read_next()) is not None:
            exact = tuple(_text(value) for value in row)
            batch.append(exact)
            size += sum(len(value) for value in exact if value is not None)
            if len(batch) >= batch_rows or size >= _BATCH_BYTES:
                total += len(batch)
                yield RowBatch(tuple(batch))
                batch, size = [], 0
        if batch:
            total += len(batch)
            yield RowBatch(tuple(batch))
        yield StatementDone(f"SELECT {total}", total)

    def _abandon(self, cursor: Any) -> None:
        """The reader went away in the middle: stop the server, then read what is still under way;
        where the server cannot be told to stop, give the connection up."""
        if self._kill is None:
            self.close()
            return
        try:
            self._kill(self._thread_id())
            cursor.close()
        except (pymysql.Error, OSError, DriverError):
            with contextlib.suppress(pymysql.Error, OSError):
                cursor.close()

    def _thread_id(self) -> int:
        thread_id: Callable[[], int] = self._connection.thread_id
        return int(thread_id())

    def cancel(self) -> None:
        """Cancel what runs; callable from another thread. On a governed socket the session's own
        control cancels, not this."""
        if self._kill is not None:
            with contextlib.suppress(DriverError):
                self._kill(self._thread_id())

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open, as the server last said."""
        return bool(self._connection.server_status & _IN_TRANSACTION)

    def query(self, text: str) -> list[Row]:
        """Run one statement and return all rows as text; raises ``DriverError``."""
        rows: list[Row] = []
        for item in self.stream(text):
            match item:
                case RowBatch(batch):
                    rows.extend(batch)
                case StatementFailed(code=code, message=message):
                    stage = "permission" if code in ("1044", "1142", "1143", "1227") else "database"
                    raise DriverError(stage, message, code)
                case _:
                    pass
        return rows

    def close(self) -> None:
        """Close; never raises."""
        with contextlib.suppress(pymysql.Error, OSError):
            self._connection.close()


def _column(field: Any) -> ResultColumn:
    return result_column(str(field.name), int(field.type_code), int(field.charsetnr), field.flags)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return "\\x" + bytes(value).hex()
    return str(value)
