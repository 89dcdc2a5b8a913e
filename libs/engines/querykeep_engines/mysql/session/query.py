"""COM_QUERY and COM_STMT_EXECUTE: results of the recorded statements, packet by packet.

Reads the target's packets, forwards them with the target's own sequence numbers, checks a result's
columns against its MaskPlan before a row passes, and masks. Rows without a mask pass in runs,
untouched.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.session.results import (
    Wire,
    compile_masks,
    compile_rows,
    mask_row,
    shown_eof,
    shown_error,
    shown_ok,
    too_many_rows,
)
from querykeep_engines.mysql.wire.flags import Status
from querykeep_engines.mysql.wire.masked_rows import RowMasker
from querykeep_engines.mysql.wire.messages import (
    LOCAL_INFILE,
    OK,
    ColumnDefinition,
    ErrorPacket,
    decode_column,
    decode_eof,
    decode_ok,
    is_eof,
    is_error,
)
from querykeep_engines.mysql.wire.packets import Packet
from querykeep_engines.mysql.wire.rows import ValueMask
from querykeep_engines.mysql.wire.values import Reader
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.policy.decision import Decision, MaskPlan

_MAX_COLUMNS = 4096
_NOT_RUN = "not run: an earlier statement of the same text failed"


@dataclass(slots=True)
class _Result:
    """The result that is being read."""

    columns_due: int = 0
    columns: list[ColumnDefinition] = field(default_factory=list)
    held: list[Packet] = field(default_factory=list)
    masks: list[ValueMask | None] | None = None
    masker: RowMasker | None = None
    in_rows: bool = False


class QueryExchange:
    """COM_QUERY and COM_STMT_EXECUTE: one or several results, for the recorded statements in turn.

    ``on_cursor`` is told when the server kept a cursor open instead of sending rows.
    """

    def __init__(
        self,
        wire: Wire,
        runs: deque[RecordedStatement],
        *,
        binary: bool,
        max_rows: int | None,
        on_cursor: Callable[[RecordedStatement, list[ColumnDefinition]], None] | None = None,
        time_limit_error: ErrorPacket | None = None,
    ) -> None:
        self._wire = wire
        self._runs = runs
        self._binary = binary
        self._max_rows = max_rows
        self._on_cursor = on_cursor
        self._result: _Result | None = None
        self._voided = False
        self.override: ErrorPacket | None = time_limit_error

    @property
    def current(self) -> RecordedStatement | None:
        """The recorded statement that runs."""
        return self._runs[0] if self._runs else None

    @property
    def unended(self) -> tuple[RecordedStatement, ...]:
        """The statement that runs and those of the same text that are to run behind it."""
        return tuple(self._runs)

    @property
    def _plan(self) -> MaskPlan:
        run = self.current
        return run.decision.plan if run else MaskPlan(0)

    def advance(self) -> bool:
        """Read what there is; True when the answer is complete."""
        while True:
            if self._result is not None and self._result.in_rows and self._pass_rows():
                continue
            packet = self._wire.reader.next()
            if packet is None:
                return False
            if self._result is None:
                if self._first(packet):
                    return True
            elif self._result.in_rows:
                if self._row(packet):
                    return True
            elif self._column(packet):
                return True

    def _pass_rows(self) -> bool:
        """Forward whole rows, untouched or masked; False when the next packet needs a look."""
        result, run = self._result, self.current
        assert result is not None
        if result.masks is not None and not self._voided:
            return self._pass_masked(result, run)
        if not self._voided and (self._max_rows is not None or self._wire.shift):
            return False
        data, rows, frames = self._wire.reader.take_rows()
        if not rows:
            return False
        if not self._voided:
            self._wire.next_sequence = data[3] + frames & 0xFF
            self._wire.pipe.to_client(data)
            if run is not None:
                run.rows += rows
                run.bytes += len(data)
        return True

    def _pass_masked(self, result: _Result, run: RecordedStatement | None) -> bool:
        most = sys.maxsize
        if run is not None and self._max_rows is not None:
            most = max(0, self._max_rows - run.rows)
        if result.masker is None:
            assert result.masks is not None
            result.masker = compile_rows(
                self._plan, result.columns, result.masks, binary=self._binary
            )
        data, rows, size, sequence = self._wire.reader.take_masked_rows(
            result.masker, self._wire.shift, most
        )
        if not rows:
            return False
        self._wire.next_sequence = sequence
        self._wire.pipe.to_client(data)
        if run is not None:
            run.rows += rows
            run.bytes += size
        return True

    def _first(self, packet: Packet) -> bool:
        payload = packet.payload
        if is_error(payload):
            return self._failed(packet)
        if payload[:1] == bytes([OK]):
            ok = decode_ok(payload)
            self._wire.state.status = ok.status
            run = self.current
            if run is not None:
                run.rows += ok.affected_rows
                run.bytes += packet.wire_bytes
            if not self._voided:
                self._wire.forward(packet, shown_ok(ok, self._plan))
            return self._ended(ok.status, is_result=False)
        if payload[:1] == bytes([LOCAL_INFILE]):
            raise RemoteProtocolError("the target asked for a file of the client")
        count = Reader(payload, "a result's head").lenenc_int()
        if not 0 < count <= _MAX_COLUMNS:
            raise RemoteProtocolError("the target announced an impossible number of columns")
        self._result = _Result(columns_due=count, held=[packet])
        return False

    def _column(self, packet: Packet) -> bool:
        result = self._result
        assert result is not None
        if is_error(packet.payload):
            return self._failed(packet)
        if result.columns_due:
            result.columns.append(
                decode_column(packet.payload, extended=self._wire.state.extended_metadata)
            )
            result.held.append(packet)
            result.columns_due -= 1
            return False
        if not is_eof(packet.payload):
            raise RemoteProtocolError("the target's result has no end of columns")
        _, status = decode_eof(packet.payload)
        self._wire.state.status = status
        masks = compile_masks(self._plan, result.columns, binary=self._binary)
        if any(mask is not None for mask in masks):
            result.masks = masks
        if not self._voided:
            for held in result.held:
                self._wire.forward(held)
            self._wire.forward(packet, shown_eof(packet.payload, self._plan))
        result.held = []
        result.in_rows = True
        if status & Status.CURSOR_EXISTS:
            run = self._runs.popleft() if self._runs else None
            if run is not None and self._on_cursor is not None:
                self._on_cursor(run, result.columns)
            self._result = None
            return True
        return False

    def _row(self, packet: Packet) -> bool:
        result, run = self._result, self.current
        assert result is not None
        payload = packet.payload
        if is_error(payload):
            return self._failed(packet)
        if is_eof(payload):
            _, status = decode_eof(payload)
            self._wire.state.status = status
            if not self._voided:
                self._wire.forward(packet, shown_eof(payload, self._plan))
            return self._ended(status, is_result=True)
        if self._voided:
            return False
        if run is not None and self._max_rows is not None and run.rows >= self._max_rows:
            self.void(too_many_rows(self._max_rows), Outcome.CANCELLED)
            return False
        if result.masks is not None:
            payload = mask_row(payload, result.masks, result.columns, binary=self._binary)
            self._wire.forward(packet, payload)
        else:
            self._wire.forward(packet)
        if run is not None:
            run.rows += 1
            run.bytes += len(payload)
        return False

    def _failed(self, packet: Packet) -> bool:
        told = self._wire.told(packet.payload)
        run = self._runs.popleft() if self._runs else None
        shown = shown_error(told, run.decision if run else None, self.override)
        if not self._voided:
            self._wire.forward(packet, shown.encode() if shown is not told else None)
        if run is not None:
            outcome = self._wire.outcome_of(told)
            self._wire.recorder.completed(run, outcome, shown.message, str(shown.code))
            self._wire.state.names.ended(run.started.statement_id, ok=False)
        self.abandon(Outcome.ERROR, _NOT_RUN)
        self._result = None
        return True

    def _ended(self, status: int, *, is_result: bool) -> bool:
        """One result is over; True when no other follows."""
        more = bool(status & Status.MORE_RESULTS)
        self._result = None
        run = self.current
        # A procedure returns any number of results, and then an OK of its own.
        inside_call = is_result and run is not None and more and _returns_many(run.decision)
        if run is not None and not inside_call:
            self._runs.popleft()
            self._wire.recorder.completed(run, Outcome.OK)
            self._wire.state.names.ended(run.started.statement_id, ok=True)
        if more and not self._runs:
            raise RemoteProtocolError("the target returned more results than statements were sent")
        return not more

    def void(self, error: ErrorPacket, outcome: Outcome) -> None:
        """Let nothing more of it pass: the client gets ``error``, the rest is read and dropped."""
        if self._voided:
            return
        self._voided = True
        run = self.current
        if run is not None:
            run.outcome = outcome
        self._wire.own(error.encode())
        self._wire.cancel()

    def abandon(self, outcome: Outcome, error: str) -> None:
        """Record how what still ran ended."""
        while self._runs:
            run = self._runs.popleft()
            self._wire.recorder.completed(run, outcome, error)
            self._wire.state.names.ended(run.started.statement_id, ok=False)


def _returns_many(decision: Decision) -> bool:
    return decision.facts.kind in (StatementKind.CALL, StatementKind.EXECUTE)
