"""The live part of a session: commands of the client in turn, each judged before it is sent on."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from querykeep_engines.kit.recorder import RecordedStatement, is_recordable, too_long
from querykeep_engines.kit.session import (
    CancelRequested,
    CatalogChanged,
    Decide,
    Decided,
    PauseClient,
    PolicyChanged,
    RemoteProtocolError,
    RequestCancel,
    ResumeClient,
    SessionConfig,
)
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.change_user import (
    ChangeUserExchange,
    UserChange,
    reset_steps,
)
from querykeep_engines.mysql.session.commands import Treatment, treatment
from querykeep_engines.mysql.session.ending import SessionEndedError
from querykeep_engines.mysql.session.exchanges import (
    ColumnListExchange,
    ColumnsExchange,
    FetchExchange,
    OnePacketExchange,
    OwnQuestion,
    PrepareExchange,
    StateExchange,
)
from querykeep_engines.mysql.session.names import STATEMENT_CHARS, STATEMENTS
from querykeep_engines.mysql.session.query import QueryExchange
from querykeep_engines.mysql.session.results import Exchange, Wire
from querykeep_engines.mysql.session.state import STATE_QUERY
from querykeep_engines.mysql.wire.flags import Command
from querykeep_engines.mysql.wire.handshake import ChangeUser
from querykeep_engines.mysql.wire.messages import ColumnDefinition, ErrorPacket, OkPacket
from querykeep_engines.mysql.wire.packets import Packet, PacketReader, encode_packet
from querykeep_engines.mysql.wire.values import Reader
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.policy import SessionPolicy, StatementKind
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.policy.decision import Decision, MaskPlan, TraceStep
from querykeep_guard.sql.facts import Effect, SessionContext, StatementFacts

_LAST_PREPARED = b"\xff\xff\xff\xff"
OWN_THREAD_IDS = 0x70000000
"""Thread ids that we give to clients start here, far above any that a target counts up to, so that
``KILL QUERY`` tells the two apart."""
_KILL = re.compile(
    r"\s*kill\s+(?:(?:hard|soft)\s+)?(?:query\s+|connection\s+)?(\d{1,20})\s*;?\s*\Z", re.I
)

_MISSING = frozenset({"unknown_relation", "unknown_column"})
_ROW_KINDS = frozenset(
    {
        StatementKind.SELECT,
        StatementKind.INSERT,
        StatementKind.UPDATE,
        StatementKind.DELETE,
    }
)
_DDL_KINDS = frozenset(
    {
        StatementKind.CREATE,
        StatementKind.ALTER,
        StatementKind.DROP,
        StatementKind.RENAME,
        StatementKind.TRUNCATE,
    }
)


def cancel_key(connection_id: str, user_id: str, thread_id: int) -> bytes:
    """Return what finds a session for its own user's ``KILL``."""
    return f"{connection_id}|{user_id}|{thread_id}".encode()


@dataclass(slots=True)
class Prepared:
    """A statement prepared at the target. ``context`` is how its names were resolved."""

    text: str
    context: SessionContext
    parameters: int
    cursor: RecordedStatement | None = None
    columns: tuple[ColumnDefinition, ...] = ()


@dataclass(slots=True)
class _Question:
    """A decision that is asked for. ``then`` gets the decisions when all may run; ``runs`` is False
    where that runs nothing yet. ``interrupted``: somebody cancelled it meanwhile."""

    text: str
    context: SessionContext
    protocol: str
    then: Callable[[tuple[Decision, ...]], None]
    parameters: int = 0
    asked_again: bool = False
    interrupted: Outcome | None = None
    runs: bool = True


class Conversation:
    """Takes the client's packets one command at a time."""

    def __init__(
        self,
        config: SessionConfig,
        wire: Wire,
        reader: PacketReader,
        *,
        is_mariadb: bool,
        on_ready: Callable[[], None],
        change_user: UserChange,
    ) -> None:
        self._config = config
        self._wire = wire
        self._pipe = wire.pipe
        self._recorder = wire.recorder
        self._state = wire.state
        self._reader = reader
        self._is_mariadb = is_mariadb
        self._on_ready: Callable[[], None] | None = on_ready
        self._exchange: Exchange | None = None
        self._question: _Question | None = None
        self._request_id = 0
        self._recheck_id: int | None = None
        self._prepared: dict[int, Prepared] = {}
        self._preparing: Prepared | None = None
        self._change_user = change_user
        self._last_prepared_id: int | None = None
        self._paused = False
        self._interrupted: Outcome | None = None

    # --- what the session asks --------------------------------------------------------------------

    @property
    def running(self) -> RecordedStatement | None:
        """The recorded statement that runs now."""
        return self._exchange.current if self._exchange else None

    @property
    def is_answering(self) -> bool:
        """True while a command of the client waits for its answer."""
        return self._exchange is not None or self._question is not None

    @property
    def is_idle(self) -> bool:
        """True when nothing runs, nothing waits and no transaction is open."""
        return self._exchange is None and self._question is None and not self._state.in_transaction

    @property
    def _policy(self) -> SessionPolicy:
        return self._policy_now or self._recorder.grant.policy

    _policy_now: SessionPolicy | None = None

    def start(self) -> None:
        """Ask for the state; the client is told that it may begin when it is known."""
        self._ask_state()

    def told(self, event: Decided | PolicyChanged | CancelRequested) -> None:
        """Take an answer or a message of the shell."""
        match event:
            case Decided(request_id, decisions):
                self._decided(request_id, decisions)
            case PolicyChanged(policy):
                self._policy_changed(policy)
            case CancelRequested(by_admin, time_limit):
                self._cancel(by_admin=by_admin, time_limit=time_limit)

    def abandon(self, outcome: Outcome, error: str) -> None:
        """The session ends: record how what still runs ended, open cursors too."""
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.abandon(outcome, error)
        for prepared in self._prepared.values():
            self._close_cursor(prepared, Outcome.OK, "")

    # --- the client's commands --------------------------------------------------------------------

    def client_came(self) -> None:
        """Take the next command as soon as the one before is done."""
        while self._exchange is None and self._question is None:
            if self._reader.buffered and self._ask_target():
                break
            packet = self._reader.next()
            if packet is None:
                break
            if self._change_user.waiting is not None:
                self._proved_again(packet)
                continue
            if not packet.payload:
                raise SessionEndedError(
                    EndReason.PROTOCOL_ERROR,
                    errors.error(errors.ER_UNKNOWN_COM, "an empty command"),
                )
            if packet.sequence != packet.parts - 1 & 0xFF:
                raise RemoteProtocolError("packets out of order")
            self._wire.begin(packet.sequence)
            self._take(packet.payload[0], packet.payload)
            self._interrupted = None
        self._set_pause()

    def _set_pause(self) -> None:
        waits = self._exchange is not None or self._question is not None
        too_much = self._reader.buffered > self._config.limits.pipeline_bytes
        if waits and too_much and not self._paused:
            self._paused = True
            self._pipe.emit(PauseClient())
        elif self._paused and not (waits and too_much):
            self._paused = False
            self._pipe.emit(ResumeClient())

    def _take(self, code: int, payload: bytes) -> None:
        name, how = treatment(code)
        match how:
            case Treatment.QUIT:
                raise SessionEndedError(EndReason.CLIENT_CLOSED, None)
            case Treatment.QUERY:
                self._query(payload)
            case Treatment.INIT_DB:
                self._init_db(payload)
            case Treatment.FIELD_LIST:
                self._field_list(payload)
            case Treatment.PREPARE:
                self._prepare(payload)
            case Treatment.EXECUTE | Treatment.BULK_EXECUTE:
                self._execute(payload)
            case Treatment.FETCH:
                self._fetch(payload)
            case Treatment.LONG_DATA | Treatment.CLOSE | Treatment.RESET:
                self._statement_upkeep(how, payload)
            case Treatment.RESET_CONNECTION:
                self._forget_session()
                self._send(payload, OnePacketExchange(self._wire))
            case Treatment.CHANGE_USER:
                self._changed_user(self._change_user.asked(payload, self._wire))
            case Treatment.ONE_PACKET:
                has_status = code != Command.STATISTICS
                self._send(payload, OnePacketExchange(self._wire, has_status=has_status))
            case Treatment.REFUSE:
                told = errors.error(
                    errors.ER_UNKNOWN_COM, f"{name} is not let through by the policy gateway"
                )
                self._recorder.refused_text(name, str(told.code), told.message, "command")
                self._wire.own(told.encode())

    def _send(self, payload: bytes, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pipe.to_server(encode_packet(payload, 0))

    def _query_text(self, data: bytes) -> str | None:
        """Return a query's text; bytes that are no text stand there as ``\\xff``.

        Drivers put binary values into literals as they are (``_binary'…'``). In UTF-8 no such byte
        can swallow a quote, neither here nor at the server, so that both read the same statement.
        Only statements on rows may have them (``_may_hold_bytes``).
        """
        if self._state.encoding != "utf-8":
            return self._text(data)
        text = data.decode("utf-8", "backslashreplace")
        return text if self._fits(text) else None

    def _refuse_bytes(self, data: bytes, protocol: str) -> None:
        """Refuse a statement that is not valid in its character set."""
        try:
            data.decode(self._state.encoding)
            at = -1
        except UnicodeDecodeError as error:
            at = error.start
        told = errors.error(
            errors.ER_INVALID_CHARACTER,
            f"the statement is not valid {self._state.encoding} at byte {at}: use SET NAMES "
            "utf8mb4",
        )
        shown = data.decode(self._state.encoding, "backslashreplace")
        self._recorder.refused_text(shown, str(told.code), told.message, protocol)
        self._wire.own(told.encode())

    def _text(self, data: bytes) -> str | None:
        """Return a statement's text, or None after refusing what cannot be read."""
        try:
            text = data.decode(self._state.encoding)
        except UnicodeDecodeError:
            self._refuse_bytes(data, "simple")
            return None
        return text if self._fits(text) else None

    def _fits(self, text: str) -> bool:
        """Return whether a text can be recorded whole; else it was refused."""
        if is_recordable(text):
            return True
        told = errors.error(errors.ER_PACKET_TOO_LARGE, too_long(text))
        self._recorder.refused_text(text, str(told.code), told.message, "simple")
        self._wire.own(told.encode())
        return False

    def _query(self, payload: bytes) -> None:
        text = self._query_text(payload[1:])
        if text is None:
            return
        is_text = len(text) == len(payload) - 1 or text.encode(self._state.encoding) == payload[1:]
        kill = _KILL.match(text)
        if kill and int(kill[1]) >= OWN_THREAD_IDS:
            self._kill_own(text, int(kill[1]))
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            if not decisions:
                told = errors.error(1065, "Query was empty")
                self._wire.own(told.encode())
                return
            if not is_text and not all(_may_hold_bytes(one.facts) for one in decisions):
                self._refuse_bytes(payload[1:], "simple")
                return
            prepares = any(one.facts.kind is StatementKind.PREPARE for one in decisions)
            if prepares and not self._state.names.has_room(text):
                self._refuse_prepare(text, "simple")
                return
            runs = deque(self._recorder.started(decision, "simple") for decision in decisions)
            for one in runs:
                self._state.ran(one.started.statement_id, one.decision.facts)
            self._send(payload, self._query_exchange(runs, binary=False))

        self._ask(_Question(text, self._state.context(text), "simple", run))

    def _query_exchange(
        self,
        runs: deque[RecordedStatement],
        *,
        binary: bool,
        on_cursor: Callable[[RecordedStatement, list[ColumnDefinition]], None] | None = None,
    ) -> QueryExchange:
        return QueryExchange(
            self._wire,
            runs,
            binary=binary,
            max_rows=self._policy.limits.max_rows,
            on_cursor=on_cursor,
        )

    def _kill_own(self, text: str, thread_id: int) -> None:
        """``KILL`` of an id that we gave: cancels that session's statement, its own user's only."""
        user_id = self._recorder.grant.policy.subject.user_id
        facts = StatementFacts(
            text, 0, len(text), StatementKind.KILL, frozenset({Effect.SESSION}), digest="kill"
        )
        step = TraceStep("own_session", "allow", "a person may cancel what he runs himself")
        decision = Decision(Verdict.ALLOWED, facts, MaskPlan(0), (), (step,))
        run = self._recorder.started(decision, "simple")
        self._pipe.emit(RequestCancel(cancel_key(self._config.connection.id, user_id, thread_id)))
        self._recorder.completed(run, Outcome.OK)
        self._wire.own(OkPacket(0, 0, self._state.status, 0).encode())

    def _init_db(self, payload: bytes) -> None:
        name = self._text(payload[1:])
        if name is None:
            return
        quoted = name.replace("`", "``")

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._state.is_known = False
            self._send(payload, OnePacketExchange(self._wire, recorded))

        self._ask(_Question(f"USE `{quoted}`", self._state.context(), "command", run))

    def _forget_session(self) -> None:
        """The target is about to drop all that this session has made there."""
        self.abandon(Outcome.OK, "")
        self._prepared.clear()
        self._last_prepared_id = None
        self._state.names.forget_all()
        self._state.is_known = False

    def _proved_again(self, packet: Packet) -> None:
        if packet.sequence != self._wire.next_sequence:
            raise RemoteProtocolError("packets out of order")
        self._changed_user(self._change_user.answered(packet.payload, self._wire))

    def _changed_user(self, change: ChangeUser | None) -> None:
        if change is None:
            if self._change_user.waiting is None:
                self._recorder.refused_text(
                    "COM_CHANGE_USER",
                    str(errors.ER_ACCESS_DENIED),
                    "to another user, in a character set that is not spoken, or without the proof",
                    "command",
                )
            return
        database = change.database or self._config.connection.database
        quoted = database.replace("`", "``")

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._forget_session()
            plugin = self._change_user.proof.plugin
            steps = reset_steps(change, database)
            exchange = ChangeUserExchange(self._wire, recorded, steps, plugin=plugin)
            self._exchange = exchange
            exchange.start()

        self._ask(_Question(f"USE `{quoted}`", self._state.context(), "command", run))

    def _field_list(self, payload: bytes) -> None:
        name = self._text(payload[1:].split(b"\x00", 1)[0])
        if name is None:
            return
        quoted = name.replace("`", "``")

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._send(payload, ColumnListExchange(self._wire, recorded))

        question = _Question(f"SHOW COLUMNS FROM `{quoted}`", self._state.context(), "command", run)
        self._ask(question)

    # --- prepared statements ----------------------------------------------------------------------

    def _prepare(self, payload: bytes) -> None:
        text = self._text(payload[1:])
        if text is None:
            return
        context = self._state.context()
        self._last_prepared_id = None

        def run(decisions: tuple[Decision, ...]) -> None:
            if len(decisions) != 1:
                told = errors.error(1295, "one statement at a time can be prepared")
                self._recorder.refused_text(text, str(told.code), told.message, "prepared")
                self._wire.own(told.encode())
                return
            self._preparing = Prepared(text, context, 0)
            exchange = PrepareExchange(
                self._wire, self._on_prepared, redact=decisions[0].plan.redact_errors
            )
            self._send(payload, exchange)

        held = sum(len(each.text) for each in self._prepared.values())
        if len(self._prepared) >= STATEMENTS or held + len(text) > STATEMENT_CHARS:
            self._refuse_prepare(text, "prepared")
            return
        self._ask(_Question(text, context, "prepared", run, runs=False))

    def _refuse_prepare(self, text: str, protocol: str) -> None:
        told = errors.error(
            errors.ER_TOO_MANY_PREPARED,
            "this session holds too many prepared statements: close or deallocate some",
        )
        self._recorder.refused_text(text, str(told.code), told.message, protocol)
        self._wire.own(told.encode())

    def _on_prepared(self, statement_id: int, parameters: int) -> None:
        if self._preparing is not None:
            self._preparing.parameters = parameters
            self._prepared[statement_id] = self._preparing
            self._last_prepared_id = statement_id
            self._preparing = None

    def _with_own_id(self, payload: bytes) -> bytes:
        """Return the payload with the id of the statement that it means: MariaDB's clients name the
        last one prepared as -1, so that they need not wait for its id."""
        if payload[1:5] != _LAST_PREPARED or self._last_prepared_id is None:
            return payload
        return payload[:1] + self._last_prepared_id.to_bytes(4, "little") + payload[5:]

    def _known(self, payload: bytes, what: str) -> Prepared | None:
        statement_id = Reader(payload, what, 1).uint(4)
        prepared = self._prepared.get(statement_id)
        if prepared is None:
            told = errors.error(
                errors.ER_UNKNOWN_STMT,
                f"Unknown prepared statement handler ({statement_id}) given to {what}",
            )
            self._wire.own(told.encode())
        return prepared

    def _execute(self, payload: bytes) -> None:
        payload = self._with_own_id(payload)
        prepared = self._known(payload, "EXECUTE")
        if prepared is None:
            return
        if dict(prepared.context.settings).get("sql_mode") != self._state.values.get("sql_mode"):
            # A server that prepares it anew by itself would read the text otherwise than judged.
            told = errors.error(
                errors.ER_NEED_REPREPARE,
                "Prepared statement needs to be re-prepared: sql_mode has changed since",
            )
            self._recorder.refused_text(prepared.text, str(told.code), told.message, "prepared")
            self._wire.own(told.encode())
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            self._close_cursor(prepared, Outcome.OK, "")
            recorded = self._recorder.started(decisions[0], "prepared", prepared.parameters)
            self._state.ran(recorded.started.statement_id, recorded.decision.facts)

            def on_cursor(run: RecordedStatement, columns: list[ColumnDefinition]) -> None:
                prepared.cursor, prepared.columns = run, tuple(columns)

            exchange = self._query_exchange(deque([recorded]), binary=True, on_cursor=on_cursor)
            self._send(payload, exchange)

        self._ask(_Question(prepared.text, prepared.context, "prepared", run, prepared.parameters))

    def _fetch(self, payload: bytes) -> None:
        payload = self._with_own_id(payload)
        prepared = self._known(payload, "FETCH")
        if prepared is None:
            return
        cursor = prepared.cursor
        if cursor is None:
            told = errors.error(1421, "The statement has no open cursor.")
            self._wire.own(told.encode())
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            if decisions[0].plan.masks != cursor.decision.plan.masks:
                told = errors.error(
                    errors.ER_TABLEACCESS_DENIED,
                    "the policy changed while the cursor was open: execute the statement again",
                )
                self._close_cursor(prepared, Outcome.KILLED, told.message)
                self._wire.own(told.encode())
                return

            def on_last(outcome: Outcome, error: str) -> None:
                self._close_cursor(prepared, outcome, error)

            exchange = FetchExchange(self._wire, cursor, list(prepared.columns), on_last)
            self._send(payload, exchange)

        self._ask(_Question(prepared.text, prepared.context, "prepared", run))

    def _statement_upkeep(self, how: Treatment, payload: bytes) -> None:
        payload = self._with_own_id(payload)
        statement_id = Reader(payload, how.value, 1).uint(4)
        prepared = self._prepared.get(statement_id)
        if how is Treatment.LONG_DATA:
            # Not answered, not even when it names an unknown statement; then the server keeps none.
            if prepared is not None:
                self._pipe.to_server(encode_packet(payload, 0))
            return
        if prepared is not None:
            self._close_cursor(prepared, Outcome.OK, "")
        if how is Treatment.CLOSE:
            self._prepared.pop(statement_id, None)
            self._pipe.to_server(encode_packet(payload, 0))
            return
        self._send(payload, OnePacketExchange(self._wire))

    def _close_cursor(self, prepared: Prepared, outcome: Outcome, error: str) -> None:
        if prepared.cursor is not None:
            cursor, prepared.cursor = prepared.cursor, None
            self._recorder.completed(cursor, outcome, error)

    # --- decisions --------------------------------------------------------------------------------

    def _ask(self, question: _Question) -> None:
        self._question = question
        question.interrupted = question.interrupted or self._interrupted
        self._request_id += 1
        self._pipe.emit(
            Decide(self._request_id, question.text, question.context, question.protocol)
        )

    def _decided(self, request_id: int, decisions: tuple[Decision, ...]) -> None:
        if request_id == self._recheck_id:
            self._recheck_id = None
            self._rechecked(decisions)
            return
        question = self._question
        if question is None or request_id != self._request_id:
            return
        if not question.asked_again and any(
            problem.code in _MISSING
            for decision in decisions
            if not decision.may_run
            for problem in decision.facts.problems
        ):
            question.asked_again = True
            self._pipe.emit(CatalogChanged("a statement names what the catalog lacks"))
            self._ask(question)
            return
        self._question = None
        refused = [decision for decision in decisions if not decision.may_run]
        if refused:
            told = errors.decision_error(refused[0])
            for decision in decisions:
                self._recorder.refused(
                    decision,
                    str(told.code),
                    told.message,
                    question.protocol,
                    question.parameters,
                )
            self._wire.own(told.encode())
        elif question.interrupted is not None and decisions:
            self._stop_unsent(question, decisions, question.interrupted)
        else:
            question.then(decisions)
        self.client_came()

    def _stop_unsent(
        self, question: _Question, decisions: tuple[Decision, ...], outcome: Outcome
    ) -> None:
        """What was cancelled before it could be sent on does not run; that too is recorded."""
        told = errors.error(
            errors.ER_QUERY_INTERRUPTED, "Query execution was interrupted before it began"
        )
        if question.runs:
            for decision in decisions:
                run = self._recorder.started(decision, question.protocol, question.parameters)
                self._recorder.completed(run, outcome, told.message, str(told.code))
        self._wire.own(told.encode())

    def _policy_changed(self, policy: SessionPolicy) -> None:
        self._policy_now = policy
        self._recorder.policy_version = policy.version
        self._state.names.doubt_contents()
        run = self.running
        if run is not None and not isinstance(self._exchange, StateExchange):
            # Rows of a statement that was judged under the old policy are on their way.
            self._request_id += 1
            self._recheck_id = self._request_id
            self._pipe.emit(
                Decide(
                    self._recheck_id,
                    run.decision.facts.text,
                    self._state.context(run.decision.facts.text),
                    "recheck",
                )
            )
        elif self._question is not None:
            self._ask(self._question)

    def _rechecked(self, decisions: tuple[Decision, ...]) -> None:
        run = self.running
        if run is None or self._exchange is None:
            return
        same = (
            len(decisions) == 1
            and decisions[0].may_run
            and decisions[0].plan.masks == run.decision.plan.masks
        )
        if not same:
            text = "the policy changed while the statement ran: its result was stopped"
            self._exchange.void(errors.error(errors.ER_TABLEACCESS_DENIED, text), Outcome.KILLED)

    def _cancel(self, *, by_admin: bool, time_limit: bool) -> None:
        outcome = Outcome.KILLED if by_admin else Outcome.CANCELLED
        exchange = self._exchange
        if exchange is None or isinstance(exchange, OwnQuestion):
            # Not begun: it is being judged, or waits for what judging it needs.
            if self._question is not None:
                self._question.interrupted = outcome
            elif self._reader.buffered:
                self._interrupted = outcome
            return
        self._wire.interrupted = outcome
        if time_limit and isinstance(exchange, QueryExchange):
            exchange.override = errors.time_limit_error(is_mariadb=self._is_mariadb)
        self._wire.cancel()

    # --- the target's answers ---------------------------------------------------------------------

    def _ask_target(self) -> bool:
        """Ask the target what the next decision needs and nobody knows; False: nothing."""
        if not self._state.is_known:
            self._ask_state()
            return True
        table = self._state.names.next_unread()
        if table is None:
            return False
        database, name = (part.replace("`", "``") for part in table)
        text = f"SHOW COLUMNS FROM `{database}`.`{name}`"
        self._exchange = ColumnsExchange(self._wire, table)
        self._pipe.to_server(
            encode_packet(bytes([Command.QUERY]) + text.encode(self._state.encoding), 0)
        )
        return True

    def _ask_state(self) -> None:
        self._exchange = StateExchange(self._wire)
        payload = bytes([Command.QUERY]) + STATE_QUERY.encode("ascii")
        self._pipe.to_server(encode_packet(payload, 0))

    def server_came(self) -> None:
        """Read the target's answer; take the client's next command when it is complete."""
        exchange = self._exchange
        if exchange is None:
            self._unasked()
            return
        before = exchange.current
        if not exchange.advance():
            return
        self._exchange = None
        self._recheck_id = None
        if isinstance(exchange, StateExchange):
            self._learn(exchange)
        elif isinstance(exchange, ColumnsExchange):
            self._state.names.learn_columns(
                exchange.table, exchange.columns if self._state.tells_utf8 else None
            )
        elif before is not None and before.decision.facts.kind in _DDL_KINDS:
            self._pipe.emit(CatalogChanged("a statement changed the schema"))
        self.client_came()

    def _unasked(self) -> None:
        """What the target sends while nothing runs can only be its goodbye."""
        packet = self._wire.reader.next()
        if packet is not None:
            text = "the target ended the connection by itself"
            raise SessionEndedError(EndReason.TARGET_CLOSED, errors.error(errors.ER_LOST, text))

    def _learn(self, exchange: StateExchange) -> None:
        if exchange.row is None:
            raise SessionEndedError(
                EndReason.TARGET_CLOSED, _no_state("the target did not tell its state")
            )
        self._state.learn(exchange.row)
        self._recorder.database = self._state.database or self._config.connection.database
        if self._on_ready is not None:
            ready, self._on_ready = self._on_ready, None
            ready()


def _may_hold_bytes(facts: StatementFacts) -> bool:
    """Return whether a literal of this statement may hold bytes that are no text: where it is a
    value, not where the server reads it as a statement or a setting."""
    return facts.kind in _ROW_KINDS and Effect.SESSION not in facts.effects


def _no_state(text: str) -> ErrorPacket:
    return errors.error(errors.ER_LOST, text)
