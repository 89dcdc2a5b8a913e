"""Results on disk: one folder per result, one Arrow file per chunk of rows, every value as text.

A result grows while its statement runs; what was flushed can be read at once. What is stored has
passed the governed session: masks are in it, originals are not. Blocking; used in threads.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

Row = tuple[str | None, ...]

_CHUNK_ROWS = 8192
_CHUNK_BYTES = 8 * 1024 * 1024
_WAIT_S = 0.5


class StoreError(Exception):
    """A result cannot be stored or read; the text is for a person."""


class ResultGoneError(StoreError):
    """The result is not in the store any more."""


@dataclass(slots=True)
class StoredResult:
    """One result. ``rows`` counts those that can be read; ``kinds`` are the driver's neutral kinds
    of its columns, by which views compare. All state is guarded by ``lock``."""

    result_id: str
    owner: str
    folder: Path
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun_at: float = field(default_factory=time.monotonic)
    rows: int = 0
    bytes: int = 0
    complete: bool = False
    expired: bool = False
    chunk_ends: list[int] = field(default_factory=list)
    _waiting: list[pa.RecordBatch] = field(default_factory=list)
    _waiting_rows: int = 0
    _waiting_bytes: int = 0
    _written_at: float = 0.0

    @property
    def schema(self) -> pa.Schema:
        """Columns by position: names of a result may repeat or be empty."""
        return pa.schema([(f"c{i}", pa.large_string()) for i in range(len(self.names))])

    def path(self, chunk: int) -> Path:
        """Return the file of a chunk."""
        return self.folder / f"{chunk:06d}.arrow"


class ResultStore:
    """All results of the runner. ``limit_bytes`` bounds what they take on disk together."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder = folder / "rows"
        self._limit_bytes = limit_bytes
        self._results: dict[str, StoredResult] = {}
        self._lock = threading.Lock()
        self._used = 0
        # What an earlier process left belongs to no window any more.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)

    @property
    def used_bytes(self) -> int:
        """Bytes on disk now."""
        return self._used

    def begin(
        self, result_id: str, owner: str, names: Sequence[str], kinds: Sequence[str]
    ) -> StoredResult:
        """Make an empty result."""
        folder = self._folder / result_id
        folder.mkdir(mode=0o700)
        result = StoredResult(result_id, owner, folder, tuple(names), tuple(kinds))
        with self._lock:
            self._results[result_id] = result
        return result

    def append(self, result: StoredResult, rows: Sequence[Row]) -> None:
        """Add rows; they can be read once a chunk is full or old, or after ``flush``.

        Raises:
            StoreError: The store is full.
        """
        with result.lock:
            if result.expired:
                return
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, pa.large_string()) for column in columns]
            batch = pa.record_batch(arrays, schema=result.schema)
            result._waiting.append(batch)
            result._waiting_rows += batch.num_rows
            result._waiting_bytes += batch.nbytes
            full = result._waiting_rows >= _CHUNK_ROWS or result._waiting_bytes >= _CHUNK_BYTES
            # The first rows are shown at once, however few they are, and none waits for long.
            old = time.monotonic() - result._written_at >= _WAIT_S
            if full or old or not result.chunk_ends:
                self._write(result)

    def flush(self, result: StoredResult) -> None:
        """Write what waits; raises StoreError when the store is full."""
        with result.lock:
            if result._waiting and not result.expired:
                self._write(result)

    def finish(self, result: StoredResult) -> None:
        """No more rows will come; raises StoreError when the last ones cannot be stored."""
        try:
            self.flush(result)
        finally:
            with result.lock:
                result.complete = True

    def _write(self, result: StoredResult) -> None:
        batches, count = result._waiting, result._waiting_rows
        size = result._waiting_bytes
        result._waiting, result._waiting_rows, result._waiting_bytes = [], 0, 0
        result._written_at = time.monotonic()
        if self._used + size > self._limit_bytes:
            raise StoreError(
                "the result store is full: close results that are no longer needed, or ask for "
                "fewer rows"
            )
        path = result.path(len(result.chunk_ends))
        try:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, result.schema) as file:
                for batch in batches:
                    file.write_batch(batch)
            size = path.stat().st_size
        except OSError as error:
            raise StoreError(f"the result cannot be stored: {error.strerror}") from error
        result.rows += count
        result.chunk_ends.append(result.rows)
        result.bytes += size
        with self._lock:
            self._used += size

    def get(self, result_id: str, owner: str) -> StoredResult:
        """Return a result of this person.

        Raises:
            ResultGoneError: There is none (any more), or it is someone else's.
        """
        with self._lock:
            result = self._results.get(result_id)
        if result is None or result.owner != owner or result.expired:
            raise ResultGoneError("this result is gone: run the statement again")
        return result

    def read(self, result: StoredResult, offset: int, limit: int) -> pa.Table:
        """Return rows ``offset`` to ``offset + limit`` in the order in which they came."""
        with result.lock:
            ends = list(result.chunk_ends)
        parts = []
        start = 0
        for chunk, end in enumerate(ends):
            if end > offset and start < offset + limit:
                low = max(offset - start, 0)
                high = min(offset + limit - start, end - start)
                parts.append(self._chunk(result, chunk).slice(low, high - low))
            start = end
        return pa.concat_tables(parts) if parts else result.schema.empty_table()

    def table(self, result: StoredResult) -> pa.Table:
        """Return all rows that can be read, memory-mapped."""
        with result.lock:
            count = len(result.chunk_ends)
        if count == 0:
            return result.schema.empty_table()
        return pa.concat_tables([self._chunk(result, chunk) for chunk in range(count)])

    def _chunk(self, result: StoredResult, chunk: int) -> pa.Table:
        try:
            with pa.memory_map(str(result.path(chunk)), "r") as source:
                return pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise ResultGoneError("this result is gone: run the statement again") from error

    def remove(self, result_id: str) -> None:
        """Forget a result and free its disk; unknown ids are fine."""
        with self._lock:
            result = self._results.pop(result_id, None)
        if result is None:
            return
        with result.lock:
            result.expired = True
            result._waiting, result._waiting_rows, result._waiting_bytes = [], 0, 0
            shutil.rmtree(result.folder, ignore_errors=True)
        with self._lock:
            self._used -= result.bytes

    def older_than(self, age_s: float) -> list[StoredResult]:
        """Return results that were begun longer than so many seconds ago and are complete."""
        limit = time.monotonic() - age_s
        with self._lock:
            return [one for one in self._results.values() if one.complete and one.begun_at < limit]


def rows_of(table: pa.Table) -> list[Row]:
    """Return a table's rows as Python values; the caller has bounded its size."""
    if table.num_rows == 0:
        return []
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))
