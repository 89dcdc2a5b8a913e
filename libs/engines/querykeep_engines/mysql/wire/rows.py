"""Masks on rows: text rows and binary rows, payload in, payload out.

A mask gives the bytes of a value of the column's own type, or None for NULL, which every client can
read. NULL stays NULL.
Source: "Text Resultset Row", "Binary Protocol Resultset Row".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.wire.flags import BINARY_CHARSET, FieldType
from querykeep_engines.mysql.wire.messages import ColumnDefinition
from querykeep_engines.mysql.wire.values import NULL_VALUE, Reader, lenenc_bytes
from querykeep_guard.masking import Mask

ValueMask = Callable[[bytes], bytes | None]
"""Takes a value's bytes, returns what the client gets, or None for NULL."""

_TEXT_TYPES = frozenset(
    {
        FieldType.VARCHAR,
        FieldType.ENUM,
        FieldType.SET,
        FieldType.TINY_BLOB,
        FieldType.MEDIUM_BLOB,
        FieldType.LONG_BLOB,
        FieldType.BLOB,
        FieldType.VAR_STRING,
        FieldType.STRING,
    }
)
_LENENC_TYPES = _TEXT_TYPES | {
    FieldType.DECIMAL,
    FieldType.NEWDECIMAL,
    FieldType.BIT,
    FieldType.JSON,
    FieldType.GEOMETRY,
}
_FIXED_BYTES = {
    FieldType.TINY: 1,
    FieldType.SHORT: 2,
    FieldType.YEAR: 2,
    FieldType.LONG: 4,
    FieldType.INT24: 4,
    FieldType.FLOAT: 4,
    FieldType.LONGLONG: 8,
    FieldType.DOUBLE: 8,
}
_PREFIXED_TYPES = frozenset(
    {FieldType.DATE, FieldType.TIME, FieldType.DATETIME, FieldType.TIMESTAMP, FieldType.NEWDATE}
)


LENENC_SIZE = -1
PREFIXED_SIZE = -2
"""A length-encoded value, and one with its length in one byte before it."""


def text_mask(mask: Mask, hidden: str, encoding: str) -> ValueMask:
    """Return a mask over the bytes of a text value; what is no text is hidden whole."""

    def apply(value: bytes) -> bytes | None:
        try:
            text = value.decode(encoding)
        except UnicodeDecodeError:
            return hidden.encode(encoding, "replace")
        shown = mask(text)
        return None if shown is None else shown.encode(encoding, "replace")

    return apply


def null_mask(_value: bytes) -> bytes | None:
    """Hide a value that is no text."""
    return None


def is_text(column: ColumnDefinition) -> bool:
    """True when a column's values are text in the connection's character set."""
    return column.type in _TEXT_TYPES and column.charset != BINARY_CHARSET


def mask_text_row(payload: bytes, masks: Sequence[ValueMask | None]) -> bytes:
    """Return a text row with its masked values replaced.

    Raises:
        RemoteProtocolError: The row has another width than ``masks``.
    """
    reader = Reader(payload, "a result row")
    parts: list[bytes] = []
    start = 0
    for mask in masks:
        begin = reader.at
        length = reader.lenenc()
        if mask is None:
            if length is not None:
                reader.take(length)
            continue
        value = None if length is None else reader.take(length)
        parts.append(payload[start:begin])
        masked = None if value is None else mask(value)
        parts.append(NULL_VALUE if masked is None else lenenc_bytes(masked))
        start = reader.at
    if reader.left:
        raise RemoteProtocolError("a result row has more values than columns")
    parts.append(payload[start:])
    return b"".join(parts)


def mask_binary_row(
    payload: bytes, masks: Sequence[ValueMask | None], types: Sequence[int]
) -> bytes:
    """Return a binary row with its masked values replaced.

    Raises:
        RemoteProtocolError: The row has another width, or a type that cannot be measured.
    """
    reader = Reader(payload, "a result row")
    if reader.uint(1) != 0:
        raise RemoteProtocolError("a binary result row starts with another byte than 0")
    nulls = bytearray(reader.take((len(masks) + 9) // 8))
    values: list[bytes] = []
    for ordinal, (mask, type_code) in enumerate(zip(masks, types, strict=True)):
        byte, bit = divmod(ordinal + 2, 8)
        if nulls[byte] >> bit & 1:
            continue
        begin = reader.at
        value = _take_binary(reader, type_code)
        if mask is None:
            values.append(payload[begin : reader.at])
            continue
        masked = mask(value)
        if masked is None:
            nulls[byte] |= 1 << bit
        else:
            values.append(_put_binary(masked, type_code))
    if reader.left:
        raise RemoteProtocolError("a result row has more values than columns")
    return b"\x00" + bytes(nulls) + b"".join(values)


def binary_size(type_code: int) -> int:
    """Return how many bytes a value of a type takes in a binary row, ``LENENC_SIZE`` or
    ``PREFIXED_SIZE``.

    Raises:
        RemoteProtocolError: The type is not known, or its values cannot be measured.
    """
    try:
        kind = FieldType(type_code)
    except ValueError:
        raise RemoteProtocolError(f"column type {type_code} is not known") from None
    if kind in _FIXED_BYTES:
        return _FIXED_BYTES[kind]
    if kind in _PREFIXED_TYPES:
        return PREFIXED_SIZE
    if kind is FieldType.NULL:
        return 0
    if kind in _LENENC_TYPES:
        return LENENC_SIZE
    raise RemoteProtocolError(f"column type {kind.name} cannot be measured")


def _take_binary(reader: Reader, type_code: int) -> bytes:
    size = binary_size(type_code)
    if size == LENENC_SIZE:
        return reader.lenenc_bytes()
    return reader.take(reader.uint(1) if size == PREFIXED_SIZE else size)


def _put_binary(value: bytes, type_code: int) -> bytes:
    size = binary_size(type_code)
    if size == LENENC_SIZE:
        return lenenc_bytes(value)
    if len(value) > 255 if size == PREFIXED_SIZE else len(value) != size:
        raise RemoteProtocolError("a mask gave a value of another size than its type has")
    return bytes((len(value),)) + value if size == PREFIXED_SIZE else value
