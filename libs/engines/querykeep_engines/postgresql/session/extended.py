"""The extended protocol: statements and portals, judged when they are parsed, bound and run."""

from __future__ import annotations

from collections import deque

from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import (
    UNCERTAIN,
    Due,
    Judged,
    Pending,
    Portal,
    Statement,
)
from querykeep_engines.postgresql.session.inbox import Inbox, unrecordable
from querykeep_engines.postgresql.session.judge import Judge
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.session.results import needs_description
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.codes import Frontend
from querykeep_engines.postgresql.wire.decode import Frame
from querykeep_engines.postgresql.wire.frontend import (
    BindHead,
    Parse,
    read_bind_head,
    read_execute,
    read_parse,
    read_target,
)
from querykeep_engines.postgresql.wire.states import Phase


class ExtendedRequests:
    """What is done with each message of the extended protocol."""

    def __init__(self, line: Line, judge: Judge, inbox: Inbox) -> None:
        self._line = line
        self._judge = judge
        self._inbox = inbox

    def _refuse(self, judged: Judged, error: PgError, parameters: int) -> None:
        self._line.recorder.refused(
            judged.decision, error.code, error.message, "extended", parameters
        )
        self._line.fail_series(error)

    def parse(self, frame: Frame) -> None:
        """Judge a text; when it may run, have the target prepare it."""
        if not self._inbox.may_judge(frame):
            return
        message = read_parse(frame.payload)
        too_long = unrecordable(self._line, message.text, "extended")
        if too_long is not None:
            self._line.fail_series(too_long)
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
            self._inbox.again(frame)
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
        told = self._inbox.forget_interruption()
        if told is not None:
            # As the server would: what comes up to Sync is skipped, and nothing has run.
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

    def bind(self, frame: Frame) -> None:
        """Make a portal; judge its statement anew where names or policy have changed since."""
        line = self._line
        head = read_bind_head(frame.payload)
        statement = line.book.statement(head.statement, line.segment)
        if statement is UNCERTAIN:
            self._inbox.hold(frame)
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
        if not self._inbox.may_judge(frame):
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
            self._inbox.again(frame)
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

    def execute(self, frame: Frame) -> None:
        """Run a portal, as long as what was judged still holds."""
        line = self._line
        name = read_execute(frame.payload).portal
        portal = line.book.portal(name, line.segment)
        if portal is UNCERTAIN:
            self._inbox.hold(frame)
            return
        if not isinstance(portal, Portal):
            line.fail_series(PgError(errors.UNDEFINED_CURSOR, f'portal "{name}" does not exist'))
            return
        if portal.judged is None:
            line.send(frame.raw, Pending(Due.EXECUTE, line.segment, empty=True))
            return
        if line.altering:
            self._inbox.hold(frame)
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
            self._inbox.again(frame)
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
        if self._inbox.is_interrupted([judged.decision], "extended", portal.parameters):
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

    def track(self, frame: Frame) -> None:
        """Sync, Describe and Close run nothing: pass them on with the books kept."""
        line = self._line
        if frame.kind == Frontend.SYNC:
            if line.phase is Phase.SKIPPING:
                line.phase = Phase.READY
            line.send(encode.SYNC, Pending(Due.SYNC, line.segment))
            if self._inbox.is_empty:
                # The series is over, and nothing else was asked for.
                self._inbox.forget_interruption()
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
                self._inbox.hold(frame)
                return
            if isinstance(portal, Portal):
                portal.describe_sent = True
                pending.portal = portal
        line.send(frame.raw, pending)


def _no_statement(name: str) -> PgError:
    label = f'prepared statement "{name}"' if name else "unnamed prepared statement"
    return PgError(errors.UNDEFINED_STATEMENT, f"{label} does not exist")
