"""Masks as a compiled row loop takes them: an operation on plain bytes, and the mask itself.

The operation is what a masker does with a value of ASCII characters only. Every other value, and
every masker without an operation, goes to the mask function: so a masked cell is what the function
gives, and the twins' comparison (tests/engines/kit/test_twins.py) says so for the operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking.maskers import FULL_TEXT, resolve_params

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
