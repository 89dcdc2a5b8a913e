"""The live part of a session: commands of the client in turn, each judged before it is sent on.

``line`` holds what is under way; ``judge`` takes decisions, ``prepared`` the commands on prepared
statements. This class reads both ends and knows the other commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.kit.session import (
    CancelRequested,
    CatalogChanged,
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
    OnePacketExchange,
    OwnQuestion,
    StateExchange,
)
from querykeep_engines.mysql.session.judge import Judge
from querykeep_engines.mysql.session.line import Line, Question
from querykeep_engines.mysql.session.own_threads import cancel_key, own_thread_of_kill
from querykeep_engines.mysql.session.prepared import PreparedStatements
from querykeep_engines.mysql.session.results import Wire
from querykeep_engines.mysql.session.state import STATE_QUERY
from querykeep_engines.mysql.session.texts import (
    may_hold_bytes,
    read_query_text,
    read_text,
    refuse_bytes,
)
from querykeep_engines.mysql.wire.flags import Command
from querykeep_engines.mysql.wire.handshake import ChangeUser
from querykeep_engines.mysql.wire.messages import OkPacket, is_error
from querykeep_engines.mysql.wire.packets import Packet, PacketReader
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.policy.decision import Decision, MaskPlan, TraceStep
from querykeep_guard.sql.facts import Effect, StatementFacts

_DDL_KINDS = frozenset(
    {
        StatementKind.CREATE,
        StatementKind.ALTER,
        StatementKind.DROP,
        StatementKind.RENAME,
        StatementKind.TRUNCATE,
    }
)


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
        self._on_ready: Callable[[], None] | None = on_ready
        self._line = Line(config, wire)
        self._judge = Judge(self._line, is_mariadb=is_mariadb)
        self._prepared = PreparedStatements(self._line)
        self._change_user = change_user
        self._paused = False

    # --- what the session asks --------------------------------------------------------------------

    @property
    def running(self) -> RecordedStatement | None:
        """The recorded statement that runs now."""
        return self._line.running

    @property
    def is_answering(self) -> bool:
        """True while a command of the client waits for its answer. A question of our own stands
        before the command that needs it: that one is not taken yet."""
        return self._line.is_busy and not isinstance(self._line.exchange, OwnQuestion)

    @property
    def has_begun(self) -> bool:
        """True once the client was told that it may begin."""
        return self._on_ready is None

    @property
    def is_idle(self) -> bool:
        """True when nothing runs, nothing waits and no transaction is open."""
        return not self._line.is_busy and not self._state.in_transaction

    def start(self) -> None:
        """Ask for the state; the client is told that it may begin when it is known."""
        self._ask_state()

    def told(self, event: Decided | PolicyChanged | CancelRequested) -> None:
        """Take an answer or a message of the shell."""
        match event:
            case Decided(request_id, decisions):
                if self._judge.decided(request_id, decisions):
                    self.client_came()
            case PolicyChanged(policy):
                self._judge.policy_changed(policy)
            case CancelRequested(by_admin, time_limit):
                self._judge.cancel(
                    by_admin=by_admin,
                    time_limit=time_limit,
                    more_waits=self._reader.buffered > 0,
                )

    def abandon(self, outcome: Outcome, error: str) -> None:
        """The session ends: record how what still runs ended, open cursors too."""
        if self._line.exchange is not None:
            exchange, self._line.exchange = self._line.exchange, None
            exchange.abandon(outcome, error)
        self._prepared.close_cursors()

    # --- the client's commands --------------------------------------------------------------------

    def client_came(self) -> None:
        """Take the next command as soon as the one before is done."""
        while not self._line.is_busy:
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
            self._line.interrupted = None
        self._set_pause()

    def _set_pause(self) -> None:
        too_much = self._reader.buffered > self._config.limits.pipeline_bytes
        full = self._line.is_busy and too_much
        if full and not self._paused:
            self._paused = True
            self._pipe.emit(PauseClient())
        elif self._paused and not full:
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
            case (
                Treatment.PREPARE
                | Treatment.EXECUTE
                | Treatment.BULK_EXECUTE
                | Treatment.FETCH
                | Treatment.LONG_DATA
                | Treatment.CLOSE
                | Treatment.RESET
            ):
                self._prepared.take(how, payload)
            case Treatment.RESET_CONNECTION:
                self._forget_session()
                self._line.send(payload, OnePacketExchange(self._wire))
            case Treatment.CHANGE_USER:
                self._changed_user(self._change_user.asked(payload, self._wire))
            case Treatment.ONE_PACKET:
                has_status = code != Command.STATISTICS
                self._line.send(payload, OnePacketExchange(self._wire, has_status=has_status))
            case Treatment.REFUSE:
                text = f"{name} is not let through by the policy gateway"
                self._line.refuse(name, errors.error(errors.ER_UNKNOWN_COM, text), "command")

    def _query(self, payload: bytes) -> None:
        line, state = self._line, self._state
        text = read_query_text(line, payload[1:])
        if text is None:
            return
        is_text = payload.isascii() or text.encode(state.encoding) == payload[1:]
        own_thread = own_thread_of_kill(text)
        if own_thread is not None:
            self._kill_own(text, own_thread)
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            if not decisions:
                told = errors.error(1065, "Query was empty")
                self._wire.own(told.encode())
                return
            if not is_text and not all(may_hold_bytes(one.facts) for one in decisions):
                refuse_bytes(line, payload[1:])
                return
            prepares = any(one.facts.kind is StatementKind.PREPARE for one in decisions)
            if prepares and not state.names.has_room(text):
                self._prepared.refuse_one_more(text, "simple")
                return
            runs = deque(self._recorder.started(decision, "simple") for decision in decisions)
            for one in runs:
                state.ran(one.started.statement_id, one.decision.facts)
            line.send(payload, line.query_exchange(runs, binary=False))

        line.ask(Question(text, state.context(text), "simple", run))

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
        name = read_text(self._line, payload[1:])
        if name is None:
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._state.is_known = False
            self._line.send(payload, OnePacketExchange(self._wire, recorded))

        self._ask_command(f"USE {_quoted(name)}", run)

    def _ask_command(self, text: str, run: Callable[[tuple[Decision, ...]], None]) -> None:
        """Ask for the decision on the statement that a command stands for."""
        self._line.ask(Question(text, self._state.context(), "command", run))

    def _forget_session(self) -> None:
        """The target is about to drop all that this session has made there."""
        self._prepared.forget()
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

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._forget_session()
            plugin = self._change_user.proof.plugin
            steps = reset_steps(change, database)
            exchange = ChangeUserExchange(self._wire, recorded, steps, plugin=plugin)
            self._line.exchange = exchange
            exchange.start()

        self._ask_command(f"USE {_quoted(database)}", run)

    def _field_list(self, payload: bytes) -> None:
        name = read_text(self._line, payload[1:].split(b"\x00", 1)[0])
        if name is None:
            return

        def run(decisions: tuple[Decision, ...]) -> None:
            recorded = self._recorder.started(decisions[0], "command")
            self._line.send(payload, ColumnListExchange(self._wire, recorded))

        self._ask_command(f"SHOW COLUMNS FROM {_quoted(name)}", run)

    # --- the target's answers ---------------------------------------------------------------------

    def _ask_target(self) -> bool:
        """Ask the target what the next decision needs and nobody knows; False: nothing."""
        if not self._state.is_known:
            self._ask_state()
            return True
        table = self._state.names.next_unread()
        if table is None:
            return False
        database, name = map(_quoted, table)
        text = f"SHOW COLUMNS FROM {database}.{name}"
        self._line.send(
            bytes([Command.QUERY]) + text.encode(self._state.encoding),
            ColumnsExchange(self._wire, table),
        )
        return True

    def _ask_state(self) -> None:
        self._line.send(
            bytes([Command.QUERY]) + STATE_QUERY.encode("ascii"), StateExchange(self._wire)
        )

    def server_came(self) -> None:
        """Read the target's answer; take the client's next command when it is complete."""
        line = self._line
        exchange = line.exchange
        if exchange is None:
            self._unasked()
            return
        before = exchange.current
        if not exchange.advance():
            return
        line.exchange = line.judged = None
        line.recheck_id = None
        last = self._wire.last_words
        if last is not None:
            # The client has them, as its command's answer; nothing comes behind.
            raise SessionEndedError(
                EndReason.TARGET_CLOSED, None, f"the target ended the session: {last.message}"
            )
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
        if packet is None:
            return
        told = self._wire.told(packet.payload) if is_error(packet.payload) else None
        if told is not None and self._wire.last_words is not None:
            raise SessionEndedError(EndReason.TARGET_CLOSED, told)
        text = "the target ended the connection by itself"
        if told is not None:
            text = f"{text} (error {told.code})"
        raise SessionEndedError(EndReason.TARGET_CLOSED, errors.error(errors.ER_LOST, text))

    def _learn(self, exchange: StateExchange) -> None:
        if exchange.row is None:
            raise SessionEndedError(
                EndReason.TARGET_CLOSED,
                errors.error(errors.ER_LOST, "the target did not tell its state"),
            )
        self._state.learn(exchange.row)
        self._recorder.database = self._state.database or self._config.connection.database
        if self._on_ready is not None:
            ready, self._on_ready = self._on_ready, None
            ready()


def _quoted(name: str) -> str:
    escaped = name.replace("`", "``")
    return f"`{escaped}`"
