"""Which column types a masker may show in part, and their values in text and binary rows.

Source: "Binary Protocol Value".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from querykeep_engines.kit.cells import ASCII, UTF8, ValueCodec, whole_number
from querykeep_engines.mysql.wire.flags import FieldType
from querykeep_engines.mysql.wire.messages import ColumnDefinition
from querykeep_guard.masking import ValueKind

_UNSIGNED = 32
_INTEGER_BYTES = {
    FieldType.TINY: ("b", 8),
    FieldType.SHORT: ("h", 16),
    FieldType.INT24: ("i", 24),
    FieldType.LONG: ("i", 32),
    FieldType.LONGLONG: ("q", 64),
}
_FLOAT_CODES = {FieldType.FLOAT: "f", FieldType.DOUBLE: "d"}
_DATE_TYPES = frozenset({FieldType.DATE, FieldType.NEWDATE})
_DATETIME_TYPES = frozenset({FieldType.DATETIME, FieldType.TIMESTAMP})
_DECIMAL_TYPES = frozenset({FieldType.DECIMAL, FieldType.NEWDECIMAL})


@dataclass(frozen=True, slots=True)
class MaskableColumn:
    """A column whose values a masker may show in part. A binary value stands in its bytes without
    the length that some types have before them."""

    kind: ValueKind
    text: ValueCodec
    binary: ValueCodec


def maskable(column: ColumnDefinition) -> MaskableColumn | None:
    """Return how a column's values are read and written, None where they cannot be shown in part.
    Text is not judged here: it is in the connection's character set."""
    try:
        kind = FieldType(column.type)
    except ValueError:
        return None
    if kind in _INTEGER_BYTES:
        return _integer(*_INTEGER_BYTES[kind], is_unsigned=bool(column.flags & _UNSIGNED))
    if kind in _FLOAT_CODES:
        return MaskableColumn(
            ValueKind.FLOAT, ASCII, _packed(f"<{_FLOAT_CODES[kind]}", repr, float)
        )
    if kind in _DECIMAL_TYPES:
        return MaskableColumn(ValueKind.DECIMAL, ASCII, ASCII)
    if kind in _DATE_TYPES:
        return MaskableColumn(ValueKind.DATE, ASCII, ValueCodec(_read_date, _write_date))
    if kind in _DATETIME_TYPES:
        binary = ValueCodec(_read_datetime, _write_datetime)
        return MaskableColumn(ValueKind.TIMESTAMP, ASCII, binary)
    if kind is FieldType.JSON:
        return MaskableColumn(ValueKind.JSON, UTF8, UTF8)
    return None


def _integer(code: str, bits: int, *, is_unsigned: bool) -> MaskableColumn:
    low, high = (0, (1 << bits) - 1) if is_unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    write = whole_number(low, high)
    packed = _packed(
        f"<{code.upper() if is_unsigned else code}", str, lambda text: int(write(text))
    )
    return MaskableColumn(ValueKind.INTEGER, ValueCodec(ASCII.read, write), packed)


def _packed(code: str, read: Callable[[Any], str], write: Callable[[str], Any]) -> ValueCodec:
    form = struct.Struct(code)
    return ValueCodec(
        lambda value: read(form.unpack(value)[0]), lambda text: form.pack(write(text))
    )


def _read_date(value: bytes) -> str:
    year, month, day = struct.unpack_from("<HBB", value)
    return date(year, month, day).isoformat()


def _write_date(text: str) -> bytes:
    day = date.fromisoformat(text)
    return struct.pack("<HBB", day.year, day.month, day.day)


def _read_datetime(value: bytes) -> str:
    if len(value) == 4:
        return f"{_read_date(value)} 00:00:00"
    year, month, day, hour, minute, second = struct.unpack_from("<HBBBBB", value)
    return datetime(year, month, day, hour, minute, second).isoformat(" ")


def _write_datetime(text: str) -> bytes:
    at = datetime.fromisoformat(text)
    return struct.pack("<HBBBBB", at.year, at.month, at.day, at.hour, at.minute, at.second)
