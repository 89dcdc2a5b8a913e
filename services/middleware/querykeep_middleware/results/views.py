"""Sorting, filtering and searching a stored result, without running the statement again.

A view is an array of row numbers, worked out once and kept for the pages that follow. Numbers are
compared as numbers, everything else as text without regard to case; NULL stands last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import pyarrow as pa
import pyarrow.compute as pc

from querykeep_middleware.editor.shapes import (
    WHOLE_RESULT,
    ColumnFilter,
    FilterOperator,
    ResultView,
)
from querykeep_middleware.results.store import ResultStore, StoredResult, StoreError

_MAX_VIEW_ROWS = 5_000_000
_CACHED_VIEWS = 32
CACHED_BYTES = 256 * 1024 * 1024
"""All persons share the runner's memory: what is beyond is worked out again."""
_NUMBERS = frozenset({"integer", "decimal", "float"})


class Views:
    """Reads pages of results through views."""

    def __init__(self, store: ResultStore, *, cached_bytes: int = CACHED_BYTES) -> None:
        self._store = store
        self._cached_bytes = cached_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, int, ResultView], pa.Array] = OrderedDict()

    def page(
        self, result: StoredResult, view: ResultView, offset: int, limit: int
    ) -> tuple[pa.Table, int]:
        """Return (rows as a table, rows in the whole view).

        Raises:
            StoreError: A column that does not exist, or a result too large to sort.
        """
        if view == WHOLE_RESULT:
            return self._store.read(result, offset, limit), result.rows
        indices = self._indices(result, view)
        wanted = indices.slice(offset, limit)
        return self._store.table(result).take(wanted), len(indices)

    @property
    def cached_bytes(self) -> int:
        """What the views that are kept take in memory."""
        return sum(indices.nbytes for indices in self._cache.values())

    def _indices(self, result: StoredResult, view: ResultView) -> pa.Array:
        rows = result.rows
        key = (result.result_id, rows, view)
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                return known
        if rows > _MAX_VIEW_ROWS:
            raise StoreError(
                f"a result of more than {_MAX_VIEW_ROWS:,} rows cannot be sorted here: use ORDER BY"
            )
        indices = _work_out(self._store.table(result), result.kinds, view)
        with self._lock:
            self._cache[key] = indices
            while len(self._cache) > _CACHED_VIEWS or self.cached_bytes > self._cached_bytes:
                self._cache.popitem(last=False)
        return indices


def _work_out(table: pa.Table, kinds: tuple[str, ...], view: ResultView) -> pa.Array:
    for column in (*(key.column for key in view.sort), *(one.column for one in view.filters)):
        if not 0 <= column < len(kinds):
            raise StoreError(f"the result has no column number {column}")
    mask = None
    for one in view.filters:
        found = _matches(table.column(one.column), kinds[one.column], one)
        mask = found if mask is None else pc.and_(mask, found)
    if view.search:
        found = _contains_anywhere(table, view.search)
        mask = found if mask is None else pc.and_(mask, found)
    indices = pa.array(range(table.num_rows), pa.int64())
    if mask is not None:
        indices = indices.filter(_one(mask))
    if view.sort:
        kept = table.select([key.column for key in view.sort]).take(indices)
        columns = {
            f"k{number}": _comparable(kept.column(number), kinds[key.column])
            for number, key in enumerate(view.sort)
        }
        order = [
            (f"k{number}", "descending" if key.descending else "ascending", "at_end")
            for number, key in enumerate(view.sort)
        ]
        # The row number last keeps equal rows in the order in which they came.
        columns["row"] = indices
        sorted_rows = pc.sort_indices(
            pa.table(columns), sort_keys=[*order, ("row", "ascending", "at_end")]
        )
        indices = indices.take(sorted_rows)
    return indices


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _comparable(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    if kind not in _NUMBERS:
        return pc.utf8_lower(column)
    for target in (pa.int64(), pa.decimal256(76, 20), pa.float64()):
        try:
            return column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return pc.utf8_lower(column)


def _matches(column: pa.ChunkedArray, kind: str, one: ColumnFilter) -> pa.ChunkedArray:
    match one.operator:
        case FilterOperator.IS_NULL:
            return pc.is_null(column)
        case FilterOperator.NOT_NULL:
            return pc.is_valid(column)
        case FilterOperator.CONTAINS:
            found = pc.match_substring(column, one.value, ignore_case=True)
        case FilterOperator.STARTS_WITH:
            found = pc.starts_with(column, one.value, ignore_case=True)
        case _:
            found = _compares(column, kind, one)
    return pc.fill_null(found, False)


def _compares(column: pa.ChunkedArray, kind: str, one: ColumnFilter) -> pa.ChunkedArray:
    compare = {
        FilterOperator.EQUALS: pc.equal,
        FilterOperator.NOT_EQUALS: pc.not_equal,
        FilterOperator.LESS: pc.less,
        FilterOperator.GREATER: pc.greater,
    }[one.operator]
    left = _comparable(column, kind)
    if pa.types.is_large_string(left.type):
        return compare(left, pa.scalar(one.value.lower(), pa.large_string()))
    try:
        right = pa.scalar(one.value.strip()).cast(left.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:
            left, right = left.cast(pa.float64()), pa.scalar(float(one.value))
        except (ValueError, pa.ArrowInvalid) as error:
            raise StoreError(f"{one.value!r} is no number") from error
    return compare(left, right)


def _contains_anywhere(table: pa.Table, text: str) -> pa.ChunkedArray:
    found = None
    for column in table.columns:
        here = pc.fill_null(pc.match_substring(column, text, ignore_case=True), False)
        found = here if found is None else pc.or_(found, here)
    return found
