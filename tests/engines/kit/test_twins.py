"""Compiled twins against their Python twins: the same result, or both refuse, on any input."""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from querykeep_engines.kit.cells import CellMask, cell_mask, null_cell, value_cell
from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.wire import masked_rows
from querykeep_engines.mysql.wire.flags import FieldType
from querykeep_engines.mysql.wire.packets import encode_packet
from querykeep_engines.mysql.wire.rows import LENENC_SIZE, binary_size, text_mask
from querykeep_engines.mysql.wire.values import lenenc_bytes
from querykeep_engines.postgresql.wire import rows
from querykeep_engines.postgresql.wire.encode import data_row
from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking import FULL_TEXT, Mask, build

KEY = b"0123456789abcdef"
SPECS = (
    MaskerSpec("full"),
    MaskerSpec("full", (("text", "가려짐"),)),
    MaskerSpec("full", (("text", ""),)),
    MaskerSpec("email"),
    MaskerSpec("keep_last"),
    MaskerSpec("keep_last", (("count", "8"), ("prefix", ""))),
    MaskerSpec("keep_first"),
    MaskerSpec("keep_first", (("count", "1"), ("suffix", "…"))),
    MaskerSpec("name"),
    MaskerSpec("rrn"),
    MaskerSpec("keyed_hash"),
    MaskerSpec("null"),
    MaskerSpec("name_middle"),
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("a1 @.-\t\x1c\x1f\x00", max_size=40),
    st.text("0123456789-", min_size=11, max_size=16),
    st.from_regex(r"[a-z]{0,3}@?[a-z.]{0,5}@?[a-z]{0,2}", fullmatch=True),
)
VALUES = st.one_of(st.none(), TEXTS.map(lambda text: text.encode()), st.binary(max_size=300))
TYPES = st.sampled_from(
    [
        FieldType.VAR_STRING,
        FieldType.BLOB,
        FieldType.LONG,
        FieldType.LONGLONG,
        FieldType.TINY,
        FieldType.DATETIME,
        FieldType.NULL,
        FieldType.NEWDECIMAL,
    ]
)


def test_the_twins_are_compiled_here() -> None:
    """`make` compiles them wherever there is a compiler, and installs one where it may."""
    assert rows.row_masker is not rows.python_row_masker
    assert rows.scan_run is not rows.python_scan_run
    assert masked_rows.row_masker is not masked_rows.PythonRowMasker


def outcome(work, *arguments):
    try:
        return work(*arguments)
    except (ValueError, RemoteProtocolError) as error:
        return RemoteProtocolError if isinstance(error, RemoteProtocolError) else ValueError


def on_utf8(mask: Mask) -> Callable[[bytes], bytes | None]:
    def apply(value: bytes) -> bytes | None:
        shown = mask(value.decode())
        return None if shown is None else shown.encode()

    return apply


VALUE_MASKS = st.sampled_from(
    [lambda value: value[::-1], lambda value: None, lambda value: value + b"x", lambda value: b""]
)


def pg_cells(data: st.DataObject, width: int) -> tuple[CellMask, ...]:
    cells = []
    for ordinal in data.draw(st.sets(st.integers(0, width - 1), min_size=1)):
        spec = data.draw(st.sampled_from(SPECS))
        cells.append(
            cell_mask(ordinal, spec, on_utf8(build(spec, key=KEY)))
            if data.draw(st.integers(0, 5))
            else null_cell(ordinal)
        )
    return tuple(cells)


def damaged(data: st.DataObject, whole: bytes) -> bytes:
    """Leave it whole, mostly; else change, cut or insert somewhere."""
    if not whole or data.draw(st.integers(0, 2)):
        return whole
    at = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.binary(max_size=4))
    return whole[:at] + change + whole[at + data.draw(st.integers(0, 4)) :]


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_postgresql_rows(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 5))
    cells = pg_cells(data, width)
    row = st.lists(VALUES, min_size=width, max_size=width)
    whole = b"".join(data_row(values) for values in data.draw(st.lists(row, max_size=4)))
    sent = damaged(data, whole)
    python = outcome(rows.python_row_masker(width, cells), sent)
    assert outcome(rows.row_masker(width, cells), sent) == python


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_postgresql_runs(data: st.DataObject) -> None:
    kinds = st.sampled_from([b"D", b"D", b"D", b"C"])
    frames = data.draw(st.lists(st.tuples(kinds, st.binary(max_size=20)), max_size=8))
    whole = b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in frames)
    sent = damaged(data, whole)
    start, limit = data.draw(st.integers(0, len(sent))), data.draw(st.sampled_from([10, 1 << 30]))
    python = outcome(rows.python_scan_run, sent, start, ord("D"), limit)
    assert outcome(rows.scan_run, sent, start, ord("D"), limit) == python


def mysql_value(value: bytes | None, kind: FieldType) -> bytes | None:
    """Return a value as a binary row holds it; None for NULL."""
    if value is None or kind is FieldType.NULL:
        return None
    size = binary_size(kind)
    if size == LENENC_SIZE:
        return lenenc_bytes(value)
    return value[:7].ljust(size, b"x") if size > 0 else bytes([len(value[:7])]) + value[:7]


def mysql_row(values: list[bytes | None], types: list[FieldType] | None) -> bytes:
    if types is None:
        return b"".join(b"\xfb" if value is None else lenenc_bytes(value) for value in values)
    nulls = bytearray((len(values) + 9) // 8)
    parts = []
    for ordinal, (value, kind) in enumerate(zip(values, types, strict=True)):
        part = mysql_value(value, kind)
        if part is None:
            nulls[(ordinal + 2) // 8] |= 1 << ((ordinal + 2) % 8)
        else:
            parts.append(part)
    return b"\x00" + bytes(nulls) + b"".join(parts)


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_mysql_rows(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 9))
    types = data.draw(st.none() | st.lists(TYPES, min_size=width, max_size=width))
    cells = []
    for ordinal in data.draw(st.sets(st.integers(0, width - 1), min_size=1)):
        spec, encoding = (
            data.draw(st.sampled_from(SPECS)),
            data.draw(st.sampled_from(["utf-8", "ascii", "cp1252", "euc_kr"])),
        )
        mask = text_mask(build(spec, key=KEY), FULL_TEXT, encoding)
        is_text = types is None or binary_size(types[ordinal]) == LENENC_SIZE
        if is_text:
            cells.append(cell_mask(ordinal, spec, mask, encoding))
        elif data.draw(st.booleans()):
            cells.append(value_cell(ordinal, data.draw(VALUE_MASKS)))
        else:
            cells.append(null_cell(ordinal))
    row = st.lists(VALUES, min_size=width, max_size=width)
    whole = b"".join(
        encode_packet(mysql_row(values, types), number + 250 & 0xFF)
        for number, values in enumerate(data.draw(st.lists(row, max_size=4)))
    )
    buffer = bytearray(b"before" + damaged(data, whole))
    shift, most = data.draw(st.integers(0, 300)), data.draw(st.sampled_from([1, 2, 1 << 40]))
    python = outcome(masked_rows.PythonRowMasker(width, cells, types).take, buffer, 6, shift, most)
    fast = outcome(masked_rows.row_masker(width, cells, types).take, buffer, 6, shift, most)
    assert fast == python
