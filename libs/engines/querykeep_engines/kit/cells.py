"""Masks as a compiled row loop takes them: an operation on plain bytes, and the mask itself.

The operation is what a masker does with a value of ASCII characters only. Every other value, and
every masker without an operation, goes to the mask function: so a masked cell is what the function
gives, and the twins' comparison (tests/engines/kit/test_twins.py) says so for the operations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking import FULL_TEXT, Mask, resolve_params

CALL = 0
FULL = 1
EMAIL = 2
KEEP_LAST = 3
KEEP_FIRST = 4
NAME = 5
RRN = 6
NULL = 7
"""The cell becomes NULL."""

ASCII_ENCODINGS = frozenset({"utf-8", "ascii", "cp1252"})
"""Codecs under which a byte below 128 is that ASCII character, and no other byte is one."""


@dataclass(frozen=True, slots=True)
class CellMask:
    """The mask of one result column. ``mask`` takes the bytes of a value and gives the bytes that
    are shown; it is called where ``operation`` cannot do it. ``count`` and ``affix`` belong to the
    operation."""

    ordinal: int
    operation: int
    count: int
    affix: bytes
    mask: Callable[[bytes], bytes | None]


def cell_mask(
    ordinal: int, spec: MaskerSpec, mask: Callable[[bytes], bytes | None], encoding: str = "utf-8"
) -> CellMask:
    """Return a spec as a cell mask; ``mask`` is what its function is on bytes of ``encoding``.

    Raises:
        MaskerError: As ``build``, which was asked before.
    """
    params = resolve_params(spec)
    operation, count, affix = CALL, 0, ""
    if encoding in ASCII_ENCODINGS:
        match spec.kind:
            case "full":
                operation, affix = FULL, params["text"]
            case "email":
                operation, affix = EMAIL, FULL_TEXT
            case "keep_last":
                operation, count, affix = KEEP_LAST, int(params["count"]), params["prefix"]
            case "keep_first":
                operation, count, affix = KEEP_FIRST, int(params["count"]), params["suffix"]
            case "name":
                operation = NAME
            case "rrn":
                operation = RRN
            case _:
                operation = CALL
    return CellMask(ordinal, operation, count, affix.encode(encoding, "replace"), mask)


def null_cell(ordinal: int) -> CellMask:
    """Return the mask of a column whose values cannot be shown in part."""
    return CellMask(ordinal, NULL, 0, b"", lambda _value: None)


@dataclass(frozen=True, slots=True)
class ValueCodec:
    """How the bytes of a type's values become text of their kind, and back. Either raises
    ValueError, ArithmeticError or struct.error for what the type does not have or hold."""

    read: Callable[[bytes], str]
    write: Callable[[str], bytes]


def value_mask(mask: Mask, codec: ValueCodec) -> Callable[[bytes], bytes | None]:
    """Return a mask over the bytes of a type's values; what it cannot read or show is NULL."""

    def apply(value: bytes) -> bytes | None:
        try:
            shown = mask(codec.read(value))
            return None if shown is None else codec.write(shown)
        except (ValueError, ArithmeticError, struct.error):
            return None

    return apply


def value_cell(ordinal: int, mask: Callable[[bytes], bytes | None]) -> CellMask:
    """Return a cell mask that the mask alone decides."""
    return CellMask(ordinal, CALL, 0, b"", mask)


def whole_number(low: int, high: int) -> Callable[[str], bytes]:
    """Return a writer of whole numbers as digits that raises ValueError outside ``low..high``."""

    def write(text: str) -> bytes:
        if not low <= int(text) <= high:
            raise ValueError("the number does not fit its type")
        return text.encode("ascii")

    return write


ASCII = ValueCodec(lambda value: value.decode("ascii"), lambda text: text.encode("ascii"))
UTF8 = ValueCodec(lambda value: value.decode("utf-8"), lambda text: text.encode("utf-8"))
