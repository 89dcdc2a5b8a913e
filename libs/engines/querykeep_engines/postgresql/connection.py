"""One native connection: texts in, a stream of what happens out, values as PostgreSQL prints them.

Works on libpq directly (``psycopg.pq``): simple protocol, chunked rows, so that a text may hold
several statements and no result is ever held whole. Blocking; runs in a thread.
Source: libpq documentation, "Asynchronous Command Processing" and "Retrieving Query Results in
Chunks".
"""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.types.string import TextLoader

from querykeep_engines.kit.driver import (
    DriverError,
    Notice,
    ResultStarted,
    RowBatch,
    StatementDone,
    StatementFailed,
    StreamItem,
)
from querykeep_engines.postgresql.tls import TlsMaterial
from querykeep_engines.postgresql.types import result_column

# Rows per libpq chunk: large enough that per-result overhead does not show, small enough that wide
# rows stay in bounds.
_CHUNK_ROWS = 128
# A batch is handed on when its text reaches this size, however few rows it has.
_BATCH_BYTES = 1 << 20
# How long a cancelled statement may take to come to rest before the connection is given up.
_DRAIN_TIMEOUT_S = 10.0

_ROWS = (pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.SINGLE_TUPLE)


@dataclass(frozen=True)
class _TextContext:
    """psycopg's adaptation context in which every type is loaded as the server's own text."""

    adapters: AdaptersMap
    connection: psycopg.Connection[tuple[object, ...]]


def _text_context(connection: psycopg.Connection[tuple[object, ...]]) -> _TextContext:
    adapters = AdaptersMap(types=psycopg.adapters.types)
    adapters.register_loader(0, TextLoader)
    return _TextContext(adapters, connection)


class PostgresqlConnection:
    """A connection opened by the driver. ``stream`` is used by one thread at a time; ``cancel`` may
    be called by any."""

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        material: TlsMaterial | None = None,
    ) -> None:
        self._connection = connection
        self._material = material
        self._pg = connection.pgconn
        self._pg.nonblocking = 1
        self._context = _text_context(connection)
        self._notices: deque[Notice] = deque()
        self._pg.notice_handler = self._on_notice
        self._in_transaction = False

    def stream(self, text: str, *, batch_rows: int = 2000) -> Generator[StreamItem]:
        """Run a text and yield what happens; see ``NativeConnection.stream``.

        A failure of the connection itself is the last item, ``StatementFailed`` with ``fatal``.
        """
        if "\x00" in text:
            yield StatementFailed("22021", "a statement cannot hold a NUL character")
            return
        finished = False
        try:
            self._pg.send_query(text.encode("utf-8"))
            self._pg.set_chunked_rows_mode(_CHUNK_ROWS)
            self._flush()
            yield from self._results(batch_rows)
            finished = True
        except psycopg.OperationalError as error:
            finished = True
            yield from self._pending_notices()
            yield StatementFailed("08006", _one_line(str(error)), fatal=True)
        finally:
            if not finished:
                self._abandon()

    def cancel(self) -> None:
        """Cancel what runs; callable from another thread. Nothing happens when nothing runs."""
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=5.0)

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open; during a statement, as it was before."""
        status = self._pg.transaction_status
        if status != pq.TransactionStatus.ACTIVE:
            self._in_transaction = status in (
                pq.TransactionStatus.INTRANS,
                pq.TransactionStatus.INERROR,
            )
        return self._in_transaction

    def close(self) -> None:
        """Close; never raises."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()
        if self._material is not None:
            self._material.close()

    def query(self, text: str) -> list[tuple[str | None, ...]]:
        """Run one statement that returns rows and return them all; for catalogs and *Test* only.

        Raises:
            DriverError: Stage ``permission`` for SQLSTATE 42501, else ``database``.
        """
        rows: list[tuple[str | None, ...]] = []
        for item in self.stream(text):
            if isinstance(item, RowBatch):
                rows.extend(item.rows)
            elif isinstance(item, StatementFailed):
                stage = "permission" if item.code == "42501" else "database"
                raise DriverError(stage, item.message, item.code)
        return rows

    @property
    def server_version(self) -> str:
        """The version as the server announces it, such as ``15.14 (Debian 15.14-0+deb12u1)``."""
        value = self._pg.parameter_status(b"server_version")
        return value.decode("utf-8", "replace") if value else ""

    def _results(self, batch_rows: int) -> Iterator[StreamItem]:
        describes_next = True
        batch: list[tuple[str | None, ...]] = []
        size = 0
        tag = b""
        while (result := self._next_result()) is not None:
            yield from self._pending_notices()
            status = result.status
            if status in _ROWS:
                # libpq leaves the command tag on the last chunk when that one is not full.
                tag = result.command_status or tag
                if describes_next:
                    yield _started(result)
                    describes_next = False
                rows = self._rows(result)
                batch.extend(rows)
                size += sum(len(value) for row in rows for value in row if value is not None)
                if len(batch) >= batch_rows or size >= _BATCH_BYTES:
                    yield RowBatch(tuple(batch))
                    batch, size = [], 0
                continue
            if batch:
                yield RowBatch(tuple(batch))
                batch, size = [], 0
            if status == pq.ExecStatus.TUPLES_OK and describes_next:
                yield _started(result)
            describes_next = True
            if status == pq.ExecStatus.COPY_OUT:
                yield from self._copy_out(batch_rows)
            elif status == pq.ExecStatus.COPY_IN:
                self._pg.put_copy_end(b"COPY FROM STDIN needs a data stream, which is not here")
                self._flush()
            else:
                yield self._ended(result, tag)
            tag = b""
        yield from self._pending_notices()

    def _ended(self, result: pq.abc.PGresult, chunk_tag: bytes) -> StreamItem:
        status = result.status
        if status == pq.ExecStatus.EMPTY_QUERY:
            return StatementDone("", None)
        if status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            tag = (result.command_status or chunk_tag).decode("utf-8", "replace")
            count = tag.rpartition(" ")[2]
            return StatementDone(tag, int(count) if count.isdecimal() else None)
        return self._failed(result)

    def _failed(self, result: pq.abc.PGresult) -> StatementFailed:
        def field(kind: pq.DiagnosticField) -> str:
            return (result.error_field(kind) or b"").decode("utf-8", "replace")

        position = field(pq.DiagnosticField.STATEMENT_POSITION)
        message = field(pq.DiagnosticField.MESSAGE_PRIMARY)
        return StatementFailed(
            code=field(pq.DiagnosticField.SQLSTATE) or "08006",
            message=message or _one_line(result.error_message.decode("utf-8", "replace")),
            detail=field(pq.DiagnosticField.MESSAGE_DETAIL),
            hint=field(pq.DiagnosticField.MESSAGE_HINT),
            position=int(position) - 1 if position.isdigit() else -1,
            fatal=self._pg.status == pq.ConnStatus.BAD,
        )

    def _rows(self, result: pq.abc.PGresult) -> list[tuple[str | None, ...]]:
        transformer = Transformer(self._context)
        transformer.set_pgresult(result)
        try:
            return transformer.load_rows(0, result.ntuples, tuple)
        except UnicodeDecodeError:
            # A SQL_ASCII database sends what it stores, UTF-8 or not.
            return [
                tuple(_decoded(result.get_value(row, column)) for column in range(result.nfields))
                for row in range(result.ntuples)
            ]

    def _copy_out(self, batch_rows: int) -> Iterator[StreamItem]:
        """Yield COPY data as rows of one text column, a line each."""
        yield ResultStarted((result_column("copy", 25, -1),))
        batch: list[tuple[str | None, ...]] = []
        size = 0
        while True:
            count, data = self._pg.get_copy_data(1)
            if count == 0:
                self._wait(select.POLLIN)
                self._pg.consume_input()
                continue
            if count < 0:
                break
            line = _decoded(bytes(data)) or ""
            batch.append((line.removesuffix("\n"),))
            size += len(line)
            if len(batch) >= batch_rows or size >= _BATCH_BYTES:
                yield RowBatch(tuple(batch))
                batch, size = [], 0
        if batch:
            yield RowBatch(tuple(batch))

    def _next_result(self, deadline: float | None = None) -> pq.abc.PGresult | None:
        while self._pg.is_busy():
            self._wait(select.POLLIN, deadline)
            self._pg.consume_input()
        return self._pg.get_result()

    def _flush(self) -> None:
        while self._pg.flush():
            # The server may have to be read from before it reads on.
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pg.consume_input()

    def _wait(self, events: int, deadline: float | None = None) -> int:
        poll = select.poll()
        poll.register(self._pg.socket, events)
        timeout_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = poll.poll(timeout_ms)
        if not ready:
            raise psycopg.OperationalError("the server did not come to rest after a cancel")
        return ready[0][1]

    def _abandon(self) -> None:
        """Stop a statement whose iterator was closed, and leave the connection usable."""
        self.cancel()
        deadline = time.monotonic() + _DRAIN_TIMEOUT_S
        try:
            while (result := self._next_result(deadline)) is not None:
                if result.status == pq.ExecStatus.COPY_OUT:
                    while (count := self._pg.get_copy_data(1)[0]) >= 0:
                        if count == 0:
                            self._wait(select.POLLIN, deadline)
                            self._pg.consume_input()
                elif result.status == pq.ExecStatus.COPY_IN:
                    self._pg.put_copy_end(b"cancelled")
                    self._flush()
        except psycopg.OperationalError:
            self.close()
        self._notices.clear()

    def _pending_notices(self) -> Iterator[StreamItem]:
        while self._notices:
            yield self._notices.popleft()

    def _on_notice(self, result: pq.abc.PGresult) -> None:
        def field(kind: pq.DiagnosticField) -> str:
            return (result.error_field(kind) or b"").decode("utf-8", "replace")

        self._notices.append(
            Notice(
                severity=field(pq.DiagnosticField.SEVERITY_NONLOCALIZED),
                code=field(pq.DiagnosticField.SQLSTATE),
                message=field(pq.DiagnosticField.MESSAGE_PRIMARY),
            )
        )


def _started(result: pq.abc.PGresult) -> ResultStarted:
    columns = (
        result_column(
            (result.fname(index) or b"").decode("utf-8", "replace"),
            result.ftype(index),
            result.fmod(index),
        )
        for index in range(result.nfields)
    )
    return ResultStarted(tuple(columns))


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _one_line(message: str) -> str:
    return " ".join(message.split())
