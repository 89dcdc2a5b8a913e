"""Pages for the browser: cells cut to what a grid shows, whole pages bounded in size."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from querykeep_middleware.results.store import Row, rows_of

PAGE_CHARACTERS = 8_000_000
"""A page of very wide rows has its cells cut shorter, so that no page is larger than about this."""
_SHORTEST_CELL = 40


@dataclass(frozen=True, slots=True)
class Preview:
    """Rows with long cells cut, and (row, column) of each that was."""

    rows: list[Row]
    cut: list[tuple[int, int]]


def preview(page: pa.Table, cell_characters: int) -> Preview:
    """Return a page with cells of at most ``cell_characters`` (fewer where the page is huge).

    The cut is made before values become Python objects: a page of huge cells costs no more than
    what is shown of it.
    """
    limit = cell_characters
    shown, cut = _cut(page, limit)
    while shown.nbytes > PAGE_CHARACTERS and limit > _SHORTEST_CELL:
        limit = max(_SHORTEST_CELL, limit // 4)
        shown, cut = _cut(page, limit)
    return Preview(rows_of(shown), sorted(cut))


def _cut(page: pa.Table, limit: int) -> tuple[pa.Table, list[tuple[int, int]]]:
    columns = []
    cut: list[tuple[int, int]] = []
    for number, column in enumerate(page.columns):
        # A text is never longer in characters than in bytes, and bytes are there without counting.
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > limit:
            is_long = pc.greater(pc.utf8_length(column), limit)
            where = pc.indices_nonzero(pc.fill_null(is_long, False)).to_pylist()
            cut += [(int(row), number) for row in where]
            column = pc.utf8_slice_codeunits(column, 0, limit)
        columns.append(column)
    return pa.table(columns, schema=page.schema), cut
