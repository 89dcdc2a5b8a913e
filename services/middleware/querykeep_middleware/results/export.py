"""Downloads of stored results: CSV and JSON lines, streamed page by page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator

import pyarrow as pa

from querykeep_middleware.editor.shapes import ExportFormat, ResultView
from querykeep_middleware.results.store import Row, StoredResult, rows_of
from querykeep_middleware.results.views import Views

_PAGE_ROWS = 5000
_PART_BYTES = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
# Some spreadsheets pass over white space first, and those of East Asia read wide signs as narrow.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")

MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSONL: "application/x-ndjson; charset=utf-8",
}


def export(
    views: Views,
    result: StoredResult,
    view: ResultView,
    format_: ExportFormat,
    *,
    for_spreadsheet: bool,
) -> Iterator[bytes]:
    """Yield the file in parts. ``for_spreadsheet``: byte order mark, and an apostrophe before what
    a spreadsheet would run as a formula (plain numbers stay as they are)."""
    if format_ is ExportFormat.CSV:
        yield (_BOM if for_spreadsheet else b"") + _csv([tuple(result.names)], for_spreadsheet)
    offset = 0
    while True:
        page, _ = views.page(result, view, offset, _PAGE_ROWS)
        if not page.num_rows:
            return
        offset += page.num_rows
        for part in _bounded(page):
            rows = rows_of(part)
            if format_ is ExportFormat.CSV:
                yield _csv(rows, for_spreadsheet)
            else:
                yield _jsonl(rows, result.names)


def _bounded(table: pa.Table) -> Iterator[pa.Table]:
    """Split a page until its parts fit in memory beside everything else (or are single rows)."""
    if table.nbytes <= _PART_BYTES or table.num_rows == 1:
        yield table
        return
    half = table.num_rows // 2
    yield from _bounded(table.slice(0, half))
    yield from _bounded(table.slice(half))


def _csv(rows: list[Row], for_spreadsheet: bool) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        values = ["" if value is None else value for value in row]
        writer.writerow([_safe(value) for value in values] if for_spreadsheet else values)
    return out.getvalue().encode("utf-8")


def _safe(value: str) -> str:
    if _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value


def _jsonl(rows: list[Row], names: tuple[str, ...]) -> bytes:
    unique = _unique(names)
    lines = (
        json.dumps(dict(zip(unique, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
    )
    return "".join(lines).encode("utf-8")


def _unique(names: tuple[str, ...]) -> list[str]:
    """Names of a result may repeat; keys of an object may not."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}_{count}")
    return unique
