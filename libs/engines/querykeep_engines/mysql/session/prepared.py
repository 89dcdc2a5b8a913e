"""Prepared statements of the binary protocol: COM_STMT_PREPARE, EXECUTE, FETCH and their upkeep.

Each is judged when it is prepared and again each time it runs; names mean what they meant when it
was prepared, as at the server.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.commands import Treatment
from querykeep_engines.mysql.session.exchanges import (
    FetchExchange,
    OnePacketExchange,
    PrepareExchange,
)
from querykeep_engines.mysql.session.line import Line, Question
from querykeep_engines.mysql.session.names import STATEMENT_CHARS, STATEMENTS
from querykeep_engines.mysql.session.state import READ_BY
from querykeep_engines.mysql.session.texts import read_text
from querykeep_engines.mysql.wire.messages import ColumnDefinition
from querykeep_engines.mysql.wire.packets import encode_packet
from querykeep_engines.mysql.wire.values import Reader
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

_LAST_PREPARED = b"\xff\xff\xff\xff"


@dataclass(slots=True)
class Prepared:
    """A statement prepared at the target. ``context`` is how its names were resolved, with the
    temporary tables of the time when it ran last."""

    text: str
    context: SessionContext
    parameters: int
    cursor: RecordedStatement | None = None
    columns: tuple[ColumnDefinition, ...] = ()


class PreparedStatements:
    """The statements that a session has prepared, by the target's id."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._statements: dict[int, Prepared] = {}
        self._preparing: Prepared | None = None
        self._last_id: int | None = None

    def take(self, how: Treatment, payload: bytes) -> None:
        """Take one of the client's commands on prepared statements.

        Raises:
            RemoteProtocolError: Malformed.
        """
        match how:
            case Treatment.PREPARE:
                self._prepare(payload)
            case Treatment.EXECUTE | Treatment.BULK_EXECUTE:
                self._execute(payload)
            case Treatment.FETCH:
                self._fetch(payload)
            case _:
                self._upkeep(how, payload)

    def close_cursors(self) -> None:
        """Record that what open cursors stand for is over."""
        for prepared in self._statements.values():
            self._close_cursor(prepared, Outcome.OK, "")

    def forget(self) -> None:
        """The target has dropped them all."""
        self.close_cursors()
        self._statements.clear()
        self._last_id = None

    def refuse_one_more(self, text: str, protocol: str) -> None:
        """Refuse a statement that would be one too many."""
        told = errors.error(
            errors.ER_TOO_MANY_PREPARED,
            "this session holds too many prepared statements: close or deallocate some",
        )
        self._line.refuse(text, told, protocol)

    def _prepare(self, payload: bytes) -> None:
        line = self._line
        text = read_text(line, payload[1:])
        if text is None:
            return
        context = line.state.context()
        self._last_id = None

        def run(decisions: tuple[Decision, ...]) -> None:
            if len(decisions) != 1:
                told = errors.error(1295, "one statement at a time can be prepared")
                line.refuse(text, told, "prepared")
                return
            self._preparing = Prepared(text, context, 0)
            exchange = PrepareExchange(
                line.wire, self._on_prepared, redact=decisions[0].plan.redact_errors
            )
            line.send(payload, exchange)

        held = sum(len(each.text) for each in self._statements.values())
        if len(self._statements) >= STATEMENTS or held + len(text) > STATEMENT_CHARS:
            self.refuse_one_more(text, "prepared")
            return
        line.ask(Question(text, context, "prepared", run, runs=False))

    def _on_prepared(self, statement_id: int, parameters: int) -> None:
        if self._preparing is not None:
            self._preparing.parameters = parameters
            self._statements[statement_id] = self._preparing
            self._last_id = statement_id
            self._preparing = None

    def _with_own_id(self, payload: bytes) -> bytes:
        """Return the payload with the id of the statement that it means: MariaDB's clients name the
        last one prepared as -1, so that they need not wait for its id."""
        if payload[1:5] != _LAST_PREPARED or self._last_id is None:
            return payload
        return payload[:1] + self._last_id.to_bytes(4, "little") + payload[5:]

    def _known(self, payload: bytes, what: str) -> Prepared | None:
        statement_id = Reader(payload, what, 1).uint(4)
        prepared = self._statements.get(statement_id)
        if prepared is None:
            told = errors.error(
                errors.ER_UNKNOWN_STMT,
                f"Unknown prepared statement handler ({statement_id}) given to {what}",
            )
            self._line.wire.own(told.encode())
        return prepared

    def _execute(self, payload: bytes) -> None:
        line = self._line
        payload = self._with_own_id(payload)
        prepared = self._known(payload, "EXECUTE")
        if prepared is None:
            return
        judged = dict(prepared.context.settings)
        changed = [name for name in READ_BY if judged.get(name) != line.state.values.get(name)]
        if changed:
            # A server that prepares it anew by itself would read the text otherwise than judged.
            told = errors.error(
                errors.ER_NEED_REPREPARE,
                f"Prepared statement needs to be re-prepared: {changed[0]} has changed since",
            )
            line.refuse(prepared.text, told, "prepared")
            return
        prepared.context = line.state.with_tables_of_now(prepared.context)

        def run(decisions: tuple[Decision, ...]) -> None:
            self._close_cursor(prepared, Outcome.OK, "")
            recorded = line.recorder.started(decisions[0], "prepared", prepared.parameters)
            line.state.ran(recorded.started.statement_id, recorded.decision.facts)

            def on_cursor(run: RecordedStatement, columns: list[ColumnDefinition]) -> None:
                prepared.cursor, prepared.columns = run, tuple(columns)

            exchange = line.query_exchange(deque([recorded]), binary=True, on_cursor=on_cursor)
            line.send(payload, exchange)

        line.ask(Question(prepared.text, prepared.context, "prepared", run, prepared.parameters))

    def _fetch(self, payload: bytes) -> None:
        line = self._line
        payload = self._with_own_id(payload)
        prepared = self._known(payload, "FETCH")
        if prepared is None:
            return
        cursor = prepared.cursor
        if cursor is None:
            told = errors.error(1421, "The statement has no open cursor.")
            line.wire.own(told.encode())
            return
        prepared.context = line.state.with_tables_of_now(prepared.context)

        def run(decisions: tuple[Decision, ...]) -> None:
            if decisions[0].plan.masks != cursor.decision.plan.masks:
                told = errors.error(
                    errors.ER_TABLEACCESS_DENIED,
                    "the policy changed while the cursor was open: execute the statement again",
                )
                self._close_cursor(prepared, Outcome.KILLED, told.message)
                line.wire.own(told.encode())
                return

            def on_last(outcome: Outcome, error: str) -> None:
                self._close_cursor(prepared, outcome, error)

            exchange = FetchExchange(
                line.wire,
                cursor,
                list(prepared.columns),
                on_last,
                max_rows=line.policy.limits.max_rows,
            )
            line.send(payload, exchange)

        line.ask(Question(prepared.text, prepared.context, "prepared", run))

    def _upkeep(self, how: Treatment, payload: bytes) -> None:
        payload = self._with_own_id(payload)
        statement_id = Reader(payload, how.value, 1).uint(4)
        prepared = self._statements.get(statement_id)
        if how is Treatment.LONG_DATA:
            # Not answered, not even when it names an unknown statement; then the server keeps none.
            if prepared is not None:
                self._line.pipe.to_server(encode_packet(payload, 0))
            return
        if prepared is not None:
            self._close_cursor(prepared, Outcome.OK, "")
        if how is Treatment.CLOSE:
            self._statements.pop(statement_id, None)
            self._line.pipe.to_server(encode_packet(payload, 0))
            return
        self._line.send(payload, OnePacketExchange(self._line.wire))

    def _close_cursor(self, prepared: Prepared, outcome: Outcome, error: str) -> None:
        if prepared.cursor is not None:
            cursor, prepared.cursor = prepared.cursor, None
            self._line.recorder.completed(cursor, outcome, error)
