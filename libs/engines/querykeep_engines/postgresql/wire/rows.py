"""DataRow and CopyData messages as bytes: scanning runs of them, masking values in place.

These are the loops that run once per row, so each has a compiled twin in ``_fast``; what stands
here is the specification. ``scan_run`` and ``row_masker`` are the faster of the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from querykeep_engines.kit.cells import CellMask
from querykeep_engines.kit.compiled import compiled
from querykeep_engines.kit.session import RemoteProtocolError

_LENGTH = struct.Struct("!i")
_ROW = ord("D")
_NULL = b"\xff\xff\xff\xff"


def python_scan_run(data: bytes, start: int, kind: int, limit: int) -> tuple[int, int, int]:
    """Return (count, end of the last whole message, end that a torn message needs or 0) for the
    consecutive messages of one kind from ``start`` on.

    Raises:
        RemoteProtocolError: A length below 4 or above ``limit``.
    """
    unpack = _LENGTH.unpack_from
    size = len(data)
    last = size - 5
    pos = start
    count = 0
    while pos <= last and data[pos] == kind:
        (length,) = unpack(data, pos + 1)
        if not 4 <= length <= limit:
            raise RemoteProtocolError(f"invalid length {length} of a row")
        end = pos + 1 + length
        if end > size:
            return count, pos, end
        pos = end
        count += 1
    return count, pos, 0


def python_row_masker(width: int, cells: Sequence[CellMask]) -> Callable[[bytes], bytes]:
    """Return the function that masks a run of whole DataRow messages of ``width`` columns.

    The function raises ValueError (UnicodeError among them) for a row that does not have that
    width, ends early, or holds a masked value that is no text.
    """
    steps: list[tuple[int, Callable[[bytes], bytes | None]]] = []
    previous = -1
    for cell in sorted(cells, key=lambda one: one.ordinal):
        steps.append((cell.ordinal - previous - 1, cell.mask))
        previous = cell.ordinal
    unpack = _LENGTH.unpack_from
    pack = _LENGTH.pack
    width_bytes = struct.pack("!H", width)

    def mask_row(data: bytes, pos: int, end: int) -> bytes:
        start = at = pos + 7
        parts = [width_bytes]
        for skip, mask in steps:
            while skip:
                (length,) = unpack(data, at)
                at += 4 if length < 0 else 4 + length
                skip -= 1
            (length,) = unpack(data, at)
            if length < 0:
                at += 4
                continue
            if at + 4 + length > end:
                raise ValueError("a row ends before its last column")
            parts.append(data[start:at])
            at += 4
            value = mask(data[at : at + length])
            parts.append(_NULL if value is None else pack(len(value)) + value)
            at += length
            start = at
        if at > end:
            raise ValueError("a row ends before its last column")
        parts.append(data[start:end])
        return b"".join(parts)

    def mask_rows(data: bytes) -> bytes:
        out: list[bytes] = []
        pos, size = 0, len(data)
        try:
            while pos < size:
                if data[pos] != _ROW:
                    raise ValueError("a message among rows is no row")
                end = pos + 1 + unpack(data, pos + 1)[0]
                if data[pos + 5 : pos + 7] != width_bytes or end > size or end < pos + 7:
                    raise ValueError("a row has another width than its description")
                body = mask_row(data, pos, end)
                out += (b"D", pack(len(body) + 4), body)
                pos = end
        except struct.error as error:
            raise ValueError("a row could not be read") from error
        return b"".join(out)

    return mask_rows


_fast = compiled("querykeep_engines.postgresql._fast.rows")
scan_run: Callable[[bytes, int, int, int], tuple[int, int, int]] = (
    _fast.scan_run if _fast is not None else python_scan_run
)
row_masker: Callable[[int, Sequence[CellMask]], Callable[[bytes], bytes]] = (
    _fast.RowMasker if _fast is not None else python_row_masker
)
