"""Results against their plan: width and origins of the description, masks over DataRow bytes.

A mask shows values of the column's own type in the format that the client asked for; a value whose
type the masker does not fit becomes NULL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from querykeep_engines.kit.cells import CellMask, cell_mask, null_cell, value_cell, value_mask
from querykeep_engines.postgresql.wire.backend import Field
from querykeep_engines.postgresql.wire.rows import row_masker
from querykeep_engines.postgresql.wire.values import MASKABLE
from querykeep_guard.masking import MASKERS, Mask, ValueKind, build
from querykeep_guard.policy.decision import ColumnMask, MaskPlan

_LENGTH = struct.Struct("!i")


class ResultMismatchError(Exception):
    """What the target describes or sends is not what the decision was made for."""


def needs_description(plan: MaskPlan) -> bool:
    """Return whether rows may pass only after their description was compared with the plan."""
    return bool(plan.masks) or any(origin is not None for origin in plan.origins)


def check_fields(plan: MaskPlan, fields: tuple[Field, ...]) -> None:
    """Compare a description with the plan.

    An origin that the target does not name is no evidence; one that it names must be the expected.

    Raises:
        ResultMismatchError: Width or an origin differs.
    """
    if plan.width is not None and plan.width != len(fields):
        raise ResultMismatchError(
            f"the result has {len(fields)} columns where {plan.width} were decided on"
        )
    if plan.masks and plan.width is None:
        raise ResultMismatchError("a masked result without a known width")
    for ordinal, origin in enumerate(plan.origins):
        if origin is None or not origin.table_oid:
            continue
        if ordinal >= len(fields):
            raise ResultMismatchError("the result has fewer columns than were decided on")
        field = fields[ordinal]
        if field.table_oid and (field.table_oid, field.attribute) != (
            origin.table_oid,
            origin.attribute,
        ):
            raise ResultMismatchError(
                f"result column {ordinal + 1} comes from another table column than was decided on"
            )


def row_rewriter(plan: MaskPlan, fields: tuple[Field, ...]) -> Callable[[bytes], bytes] | None:
    """Return the function that masks a run of whole DataRow messages, or None without masks.

    Raises:
        ResultMismatchError: A mask lies outside the result.
        MaskerError: A masker cannot be built; the caller ends the result.
    """
    if not plan.masks:
        return None
    cells: dict[int, CellMask] = {}
    for mask in plan.masks:
        if not 0 <= mask.ordinal < len(fields):
            raise ResultMismatchError("a mask lies outside the result")
        cells[mask.ordinal] = (
            null_cell(mask.ordinal) if mask.ordinal in cells else _cell(mask, fields[mask.ordinal])
        )
    mask_rows = row_masker(len(fields), tuple(cells.values()))

    def rewrite(data: bytes) -> bytes:
        try:
            return mask_rows(data)
        except ValueError as error:
            # Of a value that is no text nothing may stand in an error, not even its place.
            told = "a row could not be read" if isinstance(error, UnicodeError) else str(error)
            raise ResultMismatchError(told) from None

    return rewrite


def _cell(mask: ColumnMask, field: Field) -> CellMask:
    found = MASKABLE.get(field.type_oid)
    shown = build(mask.masker, key=mask.key, kind=found.kind if found else ValueKind.TEXT)
    if found is None or found.kind not in MASKERS[mask.masker.kind].fits:
        return null_cell(mask.ordinal)
    if found.kind is ValueKind.TEXT:
        return cell_mask(mask.ordinal, mask.masker, _on_text(shown))
    codec = found.binary if field.format else found.text
    return value_cell(mask.ordinal, value_mask(shown, codec))


def _on_text(mask: Mask) -> Callable[[bytes], bytes | None]:
    """Text, varchar, bpchar and name are the same UTF-8 bytes in both formats. What is no text is
    an error of the row: the session ends, since the database has another encoding than it says."""

    def apply(value: bytes) -> bytes | None:
        shown = mask(value.decode("utf-8"))
        return None if shown is None else shown.encode("utf-8")

    return apply


def first_rows(data: bytes, count: int) -> bytes:
    """Return the first ``count`` messages of a run."""
    pos = 0
    for _ in range(count):
        pos += 1 + _LENGTH.unpack_from(data, pos + 1)[0]
    return data[:pos]
