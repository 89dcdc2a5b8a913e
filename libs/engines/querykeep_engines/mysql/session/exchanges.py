"""The commands other than queries: one packet, column lists, prepare, fetch, our own question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.session.ending import SessionEndedError
from querykeep_engines.mysql.session.names import Columns, Table
from querykeep_engines.mysql.session.results import (
    Wire,
    compile_masks,
    mask_row,
    redacted,
    shown_eof,
    shown_error,
    too_many_rows,
)
from querykeep_engines.mysql.wire.flags import Status
from querykeep_engines.mysql.wire.messages import (
    OK,
    ColumnDefinition,
    ErrorPacket,
    decode_eof,
    decode_ok,
    decode_prepare_ok,
    is_eof,
    is_error,
)
from querykeep_engines.mysql.wire.values import Reader
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.session import EndReason


class OnePacketExchange:
    """Commands that one packet answers (OK, EOF, ERR or a text)."""

    def __init__(
        self, wire: Wire, run: RecordedStatement | None = None, *, has_status: bool = True
    ) -> None:
        self._wire = wire
        self._run = run
        self._has_status = has_status

    @property
    def current(self) -> RecordedStatement | None:
        """The recorded statement that runs."""
        return self._run

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        packet = self._wire.reader.next()
        if packet is None:
            return False
        told: ErrorPacket | None = None
        if self._has_status:
            if is_error(packet.payload):
                told = self._wire.told(packet.payload)
            elif packet.payload[:1] == bytes([OK]):
                self._wire.state.status = decode_ok(packet.payload).status
        self._wire.forward(packet)
        if self._run is not None:
            run, self._run = self._run, None
            outcome = self._wire.outcome_of(told) if told else Outcome.OK
            text, code = (told.message, str(told.code)) if told else ("", "")
            self._wire.recorder.completed(run, outcome, text, code)
        return True

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """One packet is as good as done."""

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Record how what still ran ended."""
        if self._run is not None:
            self._wire.recorder.completed(self._run, outcome, error)
            self._run = None


class ColumnListExchange:
    """COM_FIELD_LIST: column definitions up to EOF."""

    def __init__(self, wire: Wire, run: RecordedStatement) -> None:
        self._wire = wire
        self._run: RecordedStatement | None = run

    @property
    def current(self) -> RecordedStatement | None:
        """The recorded statement that runs."""
        return self._run

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        while (packet := self._wire.reader.next()) is not None:
            self._wire.forward(packet)
            if is_error(packet.payload):
                told = self._wire.told(packet.payload)
                self.abandon(self._wire.outcome_of(told), told.message)
                return True
            if is_eof(packet.payload):
                self.abandon(Outcome.OK, "")
                return True
            if self._run is not None:
                self._run.rows += 1
        return False

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Definitions of columns hold no values."""

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Record how what still ran ended."""
        if self._run is not None:
            self._wire.recorder.completed(self._run, outcome, error)
            self._run = None


class PrepareExchange:
    """COM_STMT_PREPARE. ``on_prepared`` gets (statement id, number of parameters)."""

    def __init__(
        self, wire: Wire, on_prepared: Callable[[int, int], None], *, redact: bool
    ) -> None:
        self._wire = wire
        self._on_prepared = on_prepared
        self._redact = redact
        self._packets_due: int | None = None

    @property
    def current(self) -> RecordedStatement | None:
        """A prepare runs nothing."""
        return None

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        while (packet := self._wire.reader.next()) is not None:
            if is_error(packet.payload):
                told = self._wire.told(packet.payload)
                shown = redacted(told) if self._redact else told
                self._wire.forward(packet, shown.encode())
                return True
            self._wire.forward(packet)
            if self._packets_due is None:
                prepared = decode_prepare_ok(packet.payload)
                self._on_prepared(prepared.statement_id, prepared.parameters)
                # Each list of definitions has an EOF behind it.
                self._packets_due = sum(
                    count + 1 for count in (prepared.parameters, prepared.columns) if count
                )
            else:
                self._packets_due -= 1
            if self._packets_due == 0:
                return True
        return False

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Nothing of it holds values."""

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Nothing ran."""


class FetchExchange:
    """COM_STMT_FETCH: rows of an open cursor up to EOF. ``on_last``: the cursor is at its end.
    ``max_rows`` bounds all the rows of the cursor."""

    def __init__(
        self,
        wire: Wire,
        run: RecordedStatement,
        columns: list[ColumnDefinition],
        on_last: Callable[[Outcome, str], None],
        *,
        max_rows: int | None,
    ) -> None:
        self._wire = wire
        self._run = run
        self._columns = columns
        self._on_last = on_last
        self._max_rows = max_rows
        self._voided = False
        masks = compile_masks(run.decision.plan, columns, binary=True)
        self._masks = masks if any(mask is not None for mask in masks) else None

    @property
    def current(self) -> RecordedStatement | None:
        """The statement whose cursor it is."""
        return self._run

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        while (packet := self._wire.reader.next()) is not None:
            payload = packet.payload
            if is_error(payload):
                told = self._wire.told(payload)
                shown = shown_error(told, self._run.decision, None)
                if not self._voided:
                    self._wire.forward(packet, shown.encode())
                self._on_last(self._wire.outcome_of(told), shown.message)
                return True
            if is_eof(payload):
                _, status = decode_eof(payload)
                self._wire.state.status = status
                if not self._voided:
                    self._wire.forward(packet, shown_eof(payload, self._run.decision.plan))
                if self._voided or status & Status.LAST_ROW_SENT:
                    self._on_last(Outcome.OK, "")
                return True
            if self._voided:
                continue
            if self._max_rows is not None and self._run.rows >= self._max_rows:
                self.void(too_many_rows(self._max_rows), Outcome.CANCELLED)
                continue
            if self._masks is not None:
                payload = mask_row(payload, self._masks, self._columns, binary=True)
            self._wire.forward(packet, payload)
            self._run.rows += 1
            self._run.bytes += len(payload)
        return False

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Let nothing more of it pass."""
        if not self._voided:
            self._voided = True
            self._run.outcome = outcome
            self._wire.own(error.encode())

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Record how the cursor's statement ended."""
        self._on_last(outcome, error)


class OwnQuestion(ABC):
    """A question of our own; nothing of its answer reaches the client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._columns_due: int | None = None
        self._in_rows = False

    @property
    def current(self) -> RecordedStatement | None:
        """It is no statement of the client's."""
        return None

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        while (packet := self._wire.reader.next()) is not None:
            payload = packet.payload
            if is_error(payload):
                told = self._wire.told(payload)
                if self._wire.last_words is not None:
                    raise SessionEndedError(EndReason.TARGET_CLOSED, told)
                self._failed(told)
                return True
            if self._columns_due is None:
                self._columns_due = Reader(payload, "a result's head").lenenc_int()
            elif self._columns_due:
                self._columns_due -= 1
            elif is_eof(payload):
                if self._in_rows:
                    return True
                self._in_rows = True
            else:
                self._row(_text_values(payload))
        return False

    @abstractmethod
    def _row(self, values: list[str | None]) -> None:
        """Take a row of the answer."""

    @abstractmethod
    def _failed(self, told: ErrorPacket) -> None:
        """The target answered with an error."""

    def void(  # noqa: B027 – of no answer to our own question there is anything to stop
        self, error: ErrorPacket, outcome: Outcome
    ) -> None:
        """Nothing of it reaches the client."""

    def abandon(  # noqa: B027 – nor to record
        self, outcome: Outcome, error: str
    ) -> None:
        """Nothing was recorded."""


class StateExchange(OwnQuestion):
    """Asks for the session's state, without which nothing can be decided. ``row`` is the answer."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self.row: list[str | None] | None = None

    def _row(self, values: list[str | None]) -> None:
        self.row = values

    def _failed(self, told: ErrorPacket) -> None:
        raise RemoteProtocolError(f"the target did not tell its state (error {told.code})")


class ColumnsExchange(OwnQuestion):
    """Asks for a temporary table's columns; None where the target does not tell them."""

    def __init__(self, wire: Wire, table: Table) -> None:
        super().__init__(wire)
        self.table = table
        self._told: list[tuple[str, str]] = []

    @property
    def columns(self) -> Columns | None:
        """The columns in their order."""
        return tuple(self._told) or None

    def _row(self, values: list[str | None]) -> None:
        if len(values) > 1 and values[0] and values[1]:
            self._told.append((values[0], values[1]))

    def _failed(self, told: ErrorPacket) -> None:
        self._told = []


def _text_values(payload: bytes) -> list[str | None]:
    reader = Reader(payload, "a state row")
    values: list[str | None] = []
    while reader.left:
        length = reader.lenenc()
        values.append(None if length is None else reader.take(length).decode("utf-8", "replace"))
    return values
