"""What every exchange shares: numbering of packets, masks of a result, what is told of errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from querykeep_engines.kit.cells import CellMask, cell_mask, null_cell, value_cell, value_mask
from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.recorder import RecordedStatement, Recorder
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.charsets import encoding_of
from querykeep_engines.mysql.session.state import SessionState
from querykeep_engines.mysql.wire.flags import Status
from querykeep_engines.mysql.wire.maskable import maskable
from querykeep_engines.mysql.wire.masked_rows import RowMasker, row_masker
from querykeep_engines.mysql.wire.messages import (
    ColumnDefinition,
    ErrorPacket,
    OkPacket,
    decode_eof,
    decode_error,
    encode_eof,
)
from querykeep_engines.mysql.wire.packets import Packet, PacketReader, encode_packet, frame_count
from querykeep_engines.mysql.wire.rows import (
    ValueMask,
    is_text,
    mask_binary_row,
    mask_text_row,
    null_mask,
    text_mask,
)
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.masking import FULL_TEXT, MASKERS, build
from querykeep_guard.policy.decision import ColumnMask, Decision, MaskPlan

_OF_PLAN = Status.NO_GOOD_INDEX_USED | Status.NO_INDEX_USED | Status.QUERY_WAS_SLOW


class ResultMismatchError(Exception):
    """The target describes a result otherwise than the decision expected it."""


@dataclass(slots=True)
class Wire:
    """What every exchange of a session shares. ``next_sequence`` is the number of the next packet
    to the client; ``cancel`` stops what runs at the target; ``interrupted`` is what the statement
    that runs was asked to end as; ``last_words`` is the error with which the target ends the
    session, once it came."""

    pipe: Pipe
    reader: PacketReader
    recorder: Recorder
    state: SessionState
    cancel: Callable[[], None]
    next_sequence: int = 0
    shift: int = 0
    interrupted: Outcome | None = None
    last_words: ErrorPacket | None = None

    def told(self, payload: bytes) -> ErrorPacket:
        """Read an error of the target."""
        error = decode_error(payload)
        if error.code in errors.LAST_WORDS:
            self.last_words = error
        return error

    def begin(self, command_sequence: int = 0) -> None:
        """A new command: numbers go on behind its last frame's."""
        self.next_sequence = command_sequence + 1 & 0xFF
        self.shift, self.interrupted = 0, None

    def outcome_of(self, told: ErrorPacket) -> Outcome:
        """Return how a statement ended that the target answered with an error. What was asked
        for counts only where the target did it: a statement that came to its own end first has
        that end."""
        if told.code not in errors.INTERRUPTIONS:
            return Outcome.ERROR
        return self.interrupted or Outcome.CANCELLED

    def forward(self, packet: Packet, payload: bytes | None = None) -> None:
        """Pass a packet on, with another payload where one is given."""
        body = packet.payload if payload is None else payload
        first = packet.sequence - packet.parts + 1 + self.shift
        self.pipe.to_client(encode_packet(body, first & 0xFF))
        frames = frame_count(len(body))
        self.shift += frames - packet.parts
        self.next_sequence = first + frames & 0xFF

    def own(self, payload: bytes) -> None:
        """Send a packet of our own."""
        self.pipe.to_client(encode_packet(payload, self.next_sequence))
        self.next_sequence = self.next_sequence + 1 & 0xFF


class Exchange(Protocol):
    """A command that was sent on and is not yet answered whole."""

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        ...

    @property
    def current(self) -> RecordedStatement | None:
        """The recorded statement that runs."""
        ...

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Let nothing more of it pass: the client gets ``error``, the rest is read and dropped."""
        ...

    def abandon(self, outcome: Outcome, error: str) -> None:
        """The session ends: record how what still ran ended."""
        ...


def compile_masks(
    plan: MaskPlan, columns: list[ColumnDefinition], *, binary: bool
) -> list[ValueMask | None]:
    """Return the mask of each result column, for text or binary rows.

    Raises:
        ResultMismatchError: Width or origin differ from the plan's.
    """
    if plan.width is not None and plan.width != len(columns):
        raise ResultMismatchError(
            f"the target returned {len(columns)} columns where {plan.width} were expected"
        )
    for origin, column in zip(plan.origins, columns, strict=False):
        if origin is None or not origin.column or not column.org_name:
            continue
        said = (column.org_table.casefold(), column.org_name.casefold())
        if said != (origin.table.casefold(), origin.column.casefold()) or (
            origin.schema and column.schema and column.schema.casefold() != origin.schema.casefold()
        ):
            raise ResultMismatchError(
                f'result column "{column.name}" comes from another column than expected'
            )
    masks: list[ValueMask | None] = [None] * len(columns)
    for mask in plan.masks:
        if mask.ordinal >= len(columns):
            raise ResultMismatchError("a mask names a column that the result does not have")
        masks[mask.ordinal] = _value_mask(mask, columns[mask.ordinal], binary=binary)
    return masks


def _value_mask(mask: ColumnMask, column: ColumnDefinition, *, binary: bool) -> ValueMask:
    if is_text(column):
        encoding = encoding_of(column.charset) or "ascii"
        return text_mask(build(mask.masker, key=mask.key), FULL_TEXT, encoding)
    found = maskable(column)
    if found is None or found.kind not in MASKERS[mask.masker.kind].fits:
        return null_mask
    shown = build(mask.masker, key=mask.key, kind=found.kind)
    return value_mask(shown, found.binary if binary else found.text)


def compile_rows(
    plan: MaskPlan,
    columns: list[ColumnDefinition],
    masks: list[ValueMask | None],
    *,
    binary: bool,
) -> RowMasker:
    """Return the masks of ``compile_masks`` for whole runs of rows.

    Raises:
        RemoteProtocolError: A column of a binary result has a type that cannot be measured.
    """
    cells: dict[int, CellMask] = {}
    for one in plan.masks:
        mask = masks[one.ordinal]
        column = columns[one.ordinal]
        if mask is null_mask or mask is None:
            cells[one.ordinal] = null_cell(one.ordinal)
        elif is_text(column):
            encoding = encoding_of(column.charset) or "ascii"
            cells[one.ordinal] = cell_mask(one.ordinal, one.masker, mask, encoding)
        else:
            cells[one.ordinal] = value_cell(one.ordinal, mask)
    types = [column.type for column in columns] if binary else None
    return row_masker(len(columns), tuple(cells.values()), types)


def mask_row(
    payload: bytes,
    masks: list[ValueMask | None],
    columns: list[ColumnDefinition],
    *,
    binary: bool,
) -> bytes:
    """Return a row with its masked values replaced."""
    if binary:
        return mask_binary_row(payload, masks, [column.type for column in columns])
    return mask_text_row(payload, masks)


def too_many_rows(limit: int) -> ErrorPacket:
    """Return what a client is told whose result has more rows than it may read."""
    return errors.error(
        errors.ER_TOO_BIG_SELECT,
        f"the result has more than {limit} rows, which is the limit of this connection: ask for "
        "fewer rows",
    )


def shown_ok(told: OkPacket, plan: MaskPlan) -> bytes | None:
    """Return the OK that the client gets, None where it is the target's own. How many warnings
    there were, and how the server found the rows, may follow from what is hidden."""
    if not plan.redact_errors or not (told.warnings or told.status & _OF_PLAN):
        return None
    return replace(told, warnings=0, status=told.status & ~_OF_PLAN).encode()


def shown_eof(payload: bytes, plan: MaskPlan) -> bytes | None:
    """``shown_ok`` for an EOF packet."""
    warnings, status = decode_eof(payload)
    if not plan.redact_errors or not (warnings or status & _OF_PLAN):
        return None
    return encode_eof(0, status & ~_OF_PLAN)


def redacted(told: ErrorPacket) -> ErrorPacket:
    """Return an error cut down to its number and state; how the server ends a session by itself
    is told in its own words, which quote nothing."""
    if told.code in errors.LAST_WORDS:
        return told
    return ErrorPacket(told.code, told.sqlstate, errors.REDACTED_TEXT)


def shown_error(
    told: ErrorPacket, decision: Decision | None, override: ErrorPacket | None
) -> ErrorPacket:
    """Return what the client is told of a target's error."""
    if told.code == errors.ER_QUERY_INTERRUPTED:
        return override or told
    if decision is not None and decision.plan.redact_errors:
        return redacted(told)
    return told
