"""Statements as CSV or JSON lines, streamed: memory does not grow with the number of rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Length

from querykeep_api.auditlog.models import Statement

_CHUNK = 200
_CHUNK_CHARACTERS = 4_000_000
_KEYS_AT_ONCE = 2000
# Some spreadsheets pass over white space first, and those of East Asia read wide signs as narrow.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
BOM = "\ufeff"
"""Makes spreadsheet programs read UTF-8; only on request, since scripts do not expect it."""

COLUMNS = (
    "id",
    "started_at",
    "completed_at",
    "user_id",
    "user",
    "route",
    "client_address",
    "client_program",
    "connection_id",
    "connection",
    "database",
    "statement",
    "kind",
    "objects",
    "verdict",
    "rules",
    "outcome",
    "rows",
    "bytes",
    "duration_ms",
    "error",
    "error_code",
    "digest",
    "session_id",
    "policy_version",
)


def safe_cell(value: object) -> str:
    """Return a CSV cell that no spreadsheet runs as a formula; numbers stay numbers.

    A text that begins as a formula does gets an apostrophe in front, the form spreadsheets know.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if _FORMULA.match(value) else value


def csv_lines(entries: Iterable[Mapping[str, Any]], *, bom: bool) -> Iterator[bytes]:
    """Yield a CSV file (RFC 4180) of entries as the API shows them, header first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    if bom:
        buffer.write(BOM)
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([safe_cell(cell) for cell in _cells(entry)])
        yield _taken(buffer)
    if buffer.tell():
        yield _taken(buffer)


def json_lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield one JSON object per line, as the API shows it."""
    for entry in entries:
        yield json.dumps(entry, ensure_ascii=False, default=str).encode("utf-8") + b"\n"


def entries_of(queryset: QuerySet[Statement], show: Any) -> Iterator[dict[str, Any]]:
    """Yield what ``show`` makes of each row, in the order of the query. Rows are read in chunks
    that are small in number and in text: one text alone may have tens of megabytes."""
    part: list[str] = []
    characters = 0
    sizes = queryset.annotate(characters=Length("statement")).values_list("pk", "characters")
    for pk, size in sizes.iterator(chunk_size=_KEYS_AT_ONCE):
        if part and (len(part) == _CHUNK or characters + size > _CHUNK_CHARACTERS):
            yield from _shown(queryset, part, show)
            part, characters = [], 0
        part.append(pk)
        characters += size
    yield from _shown(queryset, part, show)


def _shown(
    queryset: QuerySet[Statement], keys: Sequence[str], show: Any
) -> Iterator[dict[str, Any]]:
    rows = queryset.model._default_manager.using(queryset.db).defer("search_text").in_bulk(keys)
    for key in keys:
        if key in rows:  # retention may have removed it meanwhile
            yield show(rows.pop(key))


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8")


def _cells(entry: Mapping[str, Any]) -> list[object]:
    rules = "; ".join(f"{r['effect']} {r['id']} {r['name']}" for r in entry["rules"])
    flat = {
        **entry,
        "user_id": entry["user"]["id"],
        "user": entry["user"]["name"],
        "client_address": entry["client"]["address"],
        "client_program": entry["client"]["program"],
        "connection_id": entry["connection"]["id"],
        "connection": entry["connection"]["name"],
        "objects": "; ".join(entry["objects"]),
        "rules": rules,
        "rows": _number(entry["rows"]),
        "bytes": _number(entry["bytes"]),
    }
    return [flat[name] for name in COLUMNS]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
