"""Masks over the packets of a result, as many rows at once as are there whole.

``row_masker`` is the faster of the twins: the one in Python, which is the specification, and the
compiled one in ``_fast``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from querykeep_engines.kit.cells import CellMask
from querykeep_engines.kit.compiled import compiled
from querykeep_engines.mysql.wire.packets import HEADER, MAX_PAYLOAD, encode_packet
from querykeep_engines.mysql.wire.rows import ValueMask, mask_binary_row, mask_text_row

_LARGE = 0xF00000
"""Longer rows might take another number of packets once they are masked: ``query`` takes those."""


class RowMasker(Protocol):
    """Masks whole rows of one result."""

    def take(
        self, buffer: bytearray, offset: int, shift: int, most: int
    ) -> tuple[bytes, int, int, int, int]:
        """Mask the rows that stand whole in ``buffer`` from ``offset`` on, ``most`` at most.

        Stops before a packet that may not be a row, and before large ones. Returns (packets, offset
        behind them, rows, bytes of their payloads, sequence number of the next packet). ``shift``
        is added to the sequence numbers.

        Raises:
            RemoteProtocolError: A row does not have the width and types of the result.
        """
        ...


class PythonRowMasker:
    """``types`` are the columns' types for binary rows; None: text rows."""

    def __init__(
        self, width: int, cells: Sequence[CellMask], types: Sequence[int] | None = None
    ) -> None:
        self._masks: list[ValueMask | None] = [None] * width
        self._types = types
        for cell in cells:
            self._masks[cell.ordinal] = cell.mask

    def take(
        self, buffer: bytearray, offset: int, shift: int, most: int
    ) -> tuple[bytes, int, int, int, int]:
        """See ``RowMasker``."""
        out: list[bytes] = []
        at, payload, sequence, total = offset, 0, 0, len(buffer)
        while len(out) < most and total - at > HEADER:
            length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
            end = at + HEADER + length
            if end > total or length == 0 or length > _LARGE:
                break
            first = buffer[at + HEADER]
            if first == 0xFF or (first == 0xFE and length < 9):
                break
            row = bytes(buffer[at + HEADER : end])
            if self._types is None:
                masked = mask_text_row(row, self._masks)
            else:
                masked = mask_binary_row(row, self._masks, self._types)
            if len(masked) >= MAX_PAYLOAD:
                break
            sequence = (buffer[at + 3] + shift) & 0xFF
            out.append(encode_packet(masked, sequence))
            payload += len(masked)
            at = end
        if not out:
            return b"", offset, 0, 0, 0
        return b"".join(out), at, len(out), payload, (sequence + 1) & 0xFF


_fast = compiled("querykeep_engines.mysql._fast.rows")
row_masker: Callable[[int, Sequence[CellMask], Sequence[int] | None], RowMasker] = (
    _fast.RowMasker if _fast is not None else PythonRowMasker
)
