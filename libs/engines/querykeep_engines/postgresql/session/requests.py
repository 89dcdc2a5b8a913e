"""Client to target: each message is looked up in the state table, judged where it runs something,
recorded, and sent on with the books kept."""

from __future__ import annotations

from collections import deque

from querykeep_engines.kit.recorder import is_recordable, too_long
from querykeep_engines.kit.session import PauseClient, RemoteProtocolError, ResumeClient
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import (
    UNCERTAIN,
    Change,
    Due,
    Judged,
    Pending,
    Portal,
    Statement,
)
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.judge import Judge
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.session.results import needs_description
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.codes import Frontend
from querykeep_engines.postgresql.wire.decode import Frame
from querykeep_engines.postgresql.wire.frontend import (
    BindHead,
    FunctionCall,
    Parse,
    read_bind_head,
    read_execute,
    read_frontend,
    read_parse,
    read_query,
    read_target,
)
from querykeep_engines.postgresql.wire.reader import TextEncodingError
from querykeep_engines.postgresql.wire.states import Action, Phase, action
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.policy.decision import Decision

_CANCELED = PgError(errors.QUERY_CANCELED, "canceling statement due to user request")
_NOT_SENT = "not run: another statement of the same text was refused"


class Requests:
    """The queue of client messages and what is done with each."""

    def __init__(self, line: Line, judge: Judge) -> None:
        self._line = line
        self._judge = judge
        self._inbox: deque[Frame] = deque()
        self._inbox_bytes = 0
        self._wait_quiet = False
        self._paused = False
        self._interrupted: tuple[Outcome, PgError] | None = None

    @property
    def empty(self) -> bool:
        """True when no client message waits."""
        return not self._inbox and not self._judge.asking

    @property
    def is_at_rest(self) -> bool:
        """True when there is nothing to do for ``pump``."""
        return not self._inbox and not self._paused

    def add(self, frame: Frame) -> None:
        """Queue a message."""
        self._inbox.append(frame)
        self._inbox_bytes += len(frame.raw)

    def again(self, frame: Frame) -> None:
        """Handle a message from the start once more."""
        self._inbox.appendleft(frame)
        self._inbox_bytes += len(frame.raw)

    def interrupt(self, told: PgError | None) -> None:
        """Cancel what was asked for and has not begun, if anything was: it waits to be judged, or
        for what judging it needs. ``told`` is what an administrator's cancel says."""
        if not self.empty:
            outcome = Outcome.CANCELLED if told is None else Outcome.KILLED
            self._interrupted = outcome, told or _CANCELED

    def _is_interrupted(self, decisions: list[Decision], protocol: str, parameters: int) -> bool:
        """Return whether these statements were cancelled before they could be sent on; then they
        are recorded, as such, and the client is told."""
        if self._interrupted is None or not decisions:
            return False
        (outcome, told), self._interrupted = self._interrupted, None
        line = self._line
        for decision in decisions:
            run = line.recorder.started(decision, protocol, parameters)
            line.recorder.completed(run, outcome, told.message, told.code)
        if protocol == "simple":
            line.fail_query(told)
        else:
            line.fail_series(told)
        return True

    def pump(self) -> None:
        """Handle queued messages as far as they may go now.

        Raises:
            RemoteProtocolError: A message that may not come in this phase.
            SessionEndedError: The client left.
        """
        line = self._line
        limit = line.config.limits.pipeline_messages
        while self._inbox and not self._judge.asking and not line.reading:
            if self._wait_quiet:
                if line.pending and line.phase is not Phase.COPY_IN:
                    break
                self._wait_quiet = False
            if len(line.pending) >= limit:
                break
            frame = self._inbox.popleft()
            self._inbox_bytes -= len(frame.raw)
            self._handle(frame)
        self._backpressure()

    def _backpressure(self) -> None:
        limits = self._line.config.limits
        full = (
            len(self._inbox) > limits.pipeline_messages or self._inbox_bytes > limits.pipeline_bytes
        )
        if full and not self._paused:
            self._paused = True
            self._line.pipe.emit(PauseClient())
        elif self._paused and not full:
            self._paused = False
            self._line.pipe.emit(ResumeClient())

    def _handle(self, frame: Frame) -> None:
        try:
            self._act(frame)
        except TextEncodingError as error:
            refused = PgError(errors.CHARACTER_NOT_IN_REPERTOIRE, str(error))
            simple = frame.kind == Frontend.QUERY
            self._line.recorder.refused_text(
                "(text that is not UTF-8)",
                refused.code,
                refused.message,
                "simple" if simple else "extended",
            )
            if simple:
                self._line.fail_query(refused)
            else:
                self._line.fail_series(refused)

    def _act(self, frame: Frame) -> None:
        line = self._line
        match action(line.phase, frame.kind):
            case Action.DECIDE:
                self._decide(frame)
            case Action.TRACK:
                self._track(frame)
            case Action.FORWARD:
                if frame.kind == Frontend.COPY_DATA and line.head_run is not None:
                    line.head_run.bytes += len(frame.raw) - 5
                line.pipe.to_server(frame.raw)
                if frame.kind in (Frontend.COPY_DONE, Frontend.COPY_FAIL):
                    line.phase = Phase.READY  # what follows is read as ordinary messages again
            case Action.DISCARD:
                self._discard(frame)
            case Action.REFUSE:
                self._function_call(frame)
            case Action.TERMINATE:
                if line.pending and line.phase is not Phase.COPY_IN:
                    self._hold(frame)  # as the server would, end what was asked for first
                    return
                line.pipe.to_server(encode.TERMINATE)
                raise SessionEndedError(EndReason.CLIENT_CLOSED, None)
            case _:
                raise RemoteProtocolError(
                    f"message {Frontend(frame.kind).name} may not come in phase {line.phase.value}"
                )

    def _discard(self, frame: Frame) -> None:
        copy = frame.kind in (Frontend.COPY_DATA, Frontend.COPY_DONE, Frontend.COPY_FAIL)
        if copy and self._line.phase is Phase.READY and self._copy_in_coming():
            self._hold(frame)

    def _copy_in_coming(self) -> bool:
        return any(
            run.decision.facts.kind is StatementKind.COPY_IN
            for pending in self._line.pending
            for run in pending.runs
        )

    def _hold(self, frame: Frame) -> None:
        """Handle ``frame`` once the target has answered all that was sent."""
        self.again(frame)
        self._wait_quiet = True
        if self._line.open_series:
            self._line.pipe.to_server(encode.FLUSH)

    def _may_judge(self, frame: Frame) -> bool:
        """Return whether names are known now; else hold the message until they are."""
        line = self._line
        if line.altering:
            self._hold(frame)
            return False
        if line.state.dirty and line.status != "E":
            if line.pending:
                self._hold(frame)
            else:
                self.again(frame)
                self._read_state()
            return False
        return True

    def _read_state(self) -> None:
        """Ask the target for its search path: under a name of our own, so that no statement or
        portal of the client is disturbed; with Sync, or inside an open series with Flush."""
        line, token = self._line, self._line.token
        line.reading = True
        sync = not line.open_series
        for data, due in (
            (encode.parse(token, "SHOW search_path"), Due.PARSE),
            (encode.bind(token, token), Due.BIND),
            (encode.execute(token), Due.EXECUTE),
            (encode.close("P", token), Due.CLOSE),
            (encode.close("S", token), Due.CLOSE),
        ):
            line.send(data, Pending(due, line.segment, injected=True))
        if sync:
            line.send(encode.SYNC, Pending(Due.SYNC, line.segment, injected=True))
        else:
            line.pipe.to_server(encode.FLUSH)

    # --- simple protocol --------------------------------------------------------------------------

    def _decide(self, frame: Frame) -> None:
        match frame.kind:
            case Frontend.QUERY:
                self._query(frame)
            case Frontend.PARSE:
                self._parse(frame)
            case Frontend.BIND:
                self._bind(frame)
            case _:
                self._execute(frame)

    def _query(self, frame: Frame) -> None:
        if not self._may_judge(frame):
            return
        text = read_query(frame.payload).text
        if not is_recordable(text):
            self._line.fail_query(self._unrecordable(text, "simple"))
            return
        context = self._judge.context(text)
        self._judge.ask(
            frame, text, "simple", context, lambda judged: self._query_judged(frame, judged)
        )

    def _query_judged(self, frame: Frame, judged: tuple[Judged, ...]) -> None:
        line = self._line
        if line.phase is not Phase.READY:
            self.again(frame)
            return
        changes: tuple[Change, ...] = ()
        if line.book.may_have_unnamed:
            changes = tuple(line.book.change(line.segment, kind, "", None) for kind in "SP")
        refusals = self._judge.refusals(judged)
        first = next((error for error in refusals if error is not None), None)
        if first is not None:
            for item, error in zip(judged, refusals, strict=True):
                told = error or PgError(errors.INSUFFICIENT_PRIVILEGE, _NOT_SENT)
                line.recorder.refused(item.decision, told.code, told.message, "simple")
            line.book.confirm(changes)
            line.fail_query(first)
            return
        if self._is_interrupted([item.decision for item in judged], "simple", 0):
            line.book.confirm(changes)
            return
        runs = deque(line.start(item.decision, "simple") for item in judged)
        pending = Pending(
            Due.QUERY,
            line.segment,
            changes=changes,
            runs=runs,
            alters=line.note_sent(list(runs)),
            texts=errors.texts_under(item.decision.plan for item in judged),
        )
        line.send(frame.raw if runs else encode.query(""), pending)

    def _unrecordable(self, text: str, protocol: str) -> PgError:
        error = PgError(errors.PROGRAM_LIMIT, too_long(text))
        self._line.recorder.refused_text(text, error.code, error.message, protocol)
        return error

    def _function_call(self, frame: Frame) -> None:
        message = read_frontend(frame.kind, frame.payload)
        oid = message.function_oid if isinstance(message, FunctionCall) else 0
        error = PgError(
            errors.FEATURE_NOT_SUPPORTED,
            "the function-call sub-protocol is not passed on: its call cannot be judged; "
            "use SELECT function(…)",
        )
        self._line.recorder.refused_text(
            f"(function call of OID {oid})", error.code, error.message, "simple"
        )
        self._line.fail_query(error)

    # --- extended protocol ------------------------------------------------------------------------

    def _refuse(self, judged: Judged, error: PgError, parameters: int) -> None:
        self._line.recorder.refused(
            judged.decision, error.code, error.message, "extended", parameters
        )
        self._line.fail_series(error)

    def _parse(self, frame: Frame) -> None:
        if not self._may_judge(frame):
            return
        message = read_parse(frame.payload)
        if not is_recordable(message.text):
            self._line.fail_series(self._unrecordable(message.text, "extended"))
            return
        context = self._judge.context(message.text, message.parameter_types)
        self._judge.ask(
            frame,
            message.text,
            "extended",
            context,
            lambda judged: self._parse_judged(frame, message, judged),
        )

    def _parse_judged(self, frame: Frame, message: Parse, judged: tuple[Judged, ...]) -> None:
        line = self._line
        if line.phase is not Phase.READY:
            self.again(frame)
            return
        if len(judged) > 1:
            error = PgError(
                errors.SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement"
            )
            for item in judged:
                line.recorder.refused(item.decision, error.code, error.message, "extended")
            line.fail_series(error)
            return
        refused = next((error for error in self._judge.refusals(judged) if error), None)
        if refused is not None:
            if not message.statement:
                line.book.confirm((line.book.change(line.segment, "S", "", None),))
            self._refuse(judged[0], refused, 0)
            return
        if not line.book.has_room(message.text):
            full = PgError(
                errors.PROGRAM_LIMIT, "this session holds too many prepared statements: close some"
            )
            line.recorder.refused_text(message.text, full.code, full.message, "extended")
            line.fail_series(full)
            return
        if self._interrupted is not None:
            # As the server would: what comes up to Sync is skipped, and nothing has run.
            (_, told), self._interrupted = self._interrupted, None
            line.fail_series(told)
            return
        only = judged[0] if judged else None
        statement = Statement(message.statement, message.text, message.parameter_types, only)
        change = line.book.change(line.segment, "S", message.statement, statement)
        data = frame.raw if only else encode.parse(message.statement, "", message.parameter_types)
        line.send(
            data,
            Pending(
                Due.PARSE,
                line.segment,
                changes=(change,),
                texts=errors.texts_under(item.decision.plan for item in judged),
            ),
        )

    def _bind(self, frame: Frame) -> None:
        line = self._line
        head = read_bind_head(frame.payload)
        statement = line.book.statement(head.statement, line.segment)
        if statement is UNCERTAIN:
            self._hold(frame)
            return
        if line.state.is_sql_statement(head.statement):
            line.fail_series(
                PgError(
                    errors.FEATURE_NOT_SUPPORTED,
                    f'prepared statement "{head.statement}" was made by SQL PREPARE: '
                    "run it with EXECUTE",
                )
            )
            return
        if not isinstance(statement, Statement):
            line.fail_series(_no_statement(head.statement))
            return
        if head.portal and not line.book.has_room():
            line.fail_series(
                PgError(errors.PROGRAM_LIMIT, "this session holds too many portals: close some")
            )
            return
        if statement.judged is None or self._judge.is_fresh(statement.judged):
            self._send_bind(frame, head, statement)
            return
        if not self._may_judge(frame):
            return
        found = statement
        context = self._judge.context(statement.text, statement.parameter_types)
        self._judge.ask(
            frame,
            statement.text,
            "extended",
            context,
            lambda judged: self._bind_judged(frame, head, found, judged),
        )

    def _bind_judged(
        self, frame: Frame, head: BindHead, statement: Statement, judged: tuple[Judged, ...]
    ) -> None:
        line = self._line
        if line.phase is not Phase.READY:
            self.again(frame)
            return
        error = self._one_refusal(judged)
        if error is not None:
            if judged:
                self._refuse(judged[0], error, head.parameters)
            else:
                line.fail_series(error)
            return
        statement.judged = judged[0]
        self._send_bind(frame, head, statement)

    def _one_refusal(self, judged: tuple[Judged, ...]) -> PgError | None:
        if len(judged) != 1:
            return PgError(
                errors.INTERNAL_ERROR, "the statement was judged differently than when prepared"
            )
        return self._judge.refusals(judged)[0]

    def _send_bind(self, frame: Frame, head: BindHead, statement: Statement) -> None:
        line = self._line
        portal = Portal(head.portal, statement, statement.judged, head.parameters)
        change = line.book.change(line.segment, "P", head.portal, portal)
        plans = () if statement.judged is None else (statement.judged.decision.plan,)
        texts = errors.texts_under(plans)
        line.send(frame.raw, Pending(Due.BIND, line.segment, changes=(change,), texts=texts))

    def _execute(self, frame: Frame) -> None:
        line = self._line
        name = read_execute(frame.payload).portal
        portal = line.book.portal(name, line.segment)
        if portal is UNCERTAIN:
            self._hold(frame)
            return
        if not isinstance(portal, Portal):
            line.fail_series(PgError(errors.UNDEFINED_CURSOR, f'portal "{name}" does not exist'))
            return
        if portal.judged is None:
            line.send(frame.raw, Pending(Due.EXECUTE, line.segment, empty=True))
            return
        if line.altering:
            self._hold(frame)
            return
        if self._judge.is_current(portal.judged):
            self._send_execute(frame, portal, portal.judged)
            return
        found = portal
        self._judge.ask(
            frame,
            portal.statement.text,
            "extended",
            portal.judged.context,
            lambda judged: self._execute_judged(frame, found, judged),
            pinned=True,
        )

    def _execute_judged(self, frame: Frame, portal: Portal, judged: tuple[Judged, ...]) -> None:
        if self._line.phase is not Phase.READY:
            self.again(frame)
            return
        if len(judged) != 1:
            self._line.fail_series(self._one_refusal(judged) or _no_statement(portal.name))
            return
        portal.judged = judged[0]
        self._send_execute(frame, portal, judged[0])

    def _send_execute(self, frame: Frame, portal: Portal, judged: Judged) -> None:
        line = self._line
        refused = self._judge.refusals((judged,))[0]
        if refused is not None:
            self._refuse(judged, refused, portal.parameters)
            return
        if self._is_interrupted([judged.decision], "extended", portal.parameters):
            return
        plan = judged.decision.plan
        if needs_description(plan) and portal.fields is None and not portal.describe_sent:
            portal.describe_sent = True
            line.send(
                encode.describe("P", portal.name),
                Pending(Due.DESCRIBE, line.segment, injected=True, portal=portal),
            )
        run = line.start(judged.decision, "extended", portal.parameters)
        line.send(
            frame.raw,
            Pending(
                Due.EXECUTE,
                line.segment,
                portal=portal,
                runs=deque((run,)),
                alters=line.note_sent([run]),
                texts=errors.texts_under((plan,)),
            ),
        )

    def _track(self, frame: Frame) -> None:
        line = self._line
        if frame.kind == Frontend.SYNC:
            if line.phase is Phase.SKIPPING:
                line.phase = Phase.READY
            line.send(encode.SYNC, Pending(Due.SYNC, line.segment))
            if not self._inbox:
                self._interrupted = None  # the series is over, and nothing else was asked for
            return
        is_describe = frame.kind == Frontend.DESCRIBE
        kind, name = read_target(frame.payload, "Describe" if is_describe else "Close")
        if not is_describe:
            change = line.book.change(line.segment, kind, name, None)
            line.send(frame.raw, Pending(Due.CLOSE, line.segment, changes=(change,)))
            return
        pending = Pending(Due.DESCRIBE, line.segment)
        if kind == "P":
            portal = line.book.portal(name, line.segment)
            if portal is UNCERTAIN:
                self._hold(frame)
                return
            if isinstance(portal, Portal):
                portal.describe_sent = True
                pending.portal = portal
        line.send(frame.raw, pending)


def _no_statement(name: str) -> PgError:
    label = f'prepared statement "{name}"' if name else "unnamed prepared statement"
    return PgError(errors.UNDEFINED_STATEMENT, f"{label} does not exist")
