"""Client to target: each message is looked up in the state table, judged where it runs something,
recorded, and sent on with the books kept."""

from __future__ import annotations

from collections import deque

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import Change, Due, Judged, Pending
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.extended import ExtendedRequests
from querykeep_engines.postgresql.session.inbox import Inbox, unrecordable
from querykeep_engines.postgresql.session.judge import Judge
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.codes import Frontend
from querykeep_engines.postgresql.wire.decode import Frame
from querykeep_engines.postgresql.wire.frontend import FunctionCall, read_frontend, read_query
from querykeep_engines.postgresql.wire.reader import TextEncodingError
from querykeep_engines.postgresql.wire.states import Action, Phase, action
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import EndReason

_NOT_SENT = "not run: another statement of the same text was refused"


class Requests:
    """Takes client messages in turn; those of the extended protocol are ``ExtendedRequests``'."""

    def __init__(self, line: Line, judge: Judge) -> None:
        self._line = line
        self._judge = judge
        self._inbox = Inbox(line)
        self._extended = ExtendedRequests(line, judge, self._inbox)

    @property
    def empty(self) -> bool:
        """True when no client message waits."""
        return self._inbox.is_empty and not self._judge.asking

    @property
    def is_at_rest(self) -> bool:
        """True when there is nothing to do for ``pump``."""
        return self._inbox.is_at_rest

    def add(self, frame: Frame) -> None:
        """Queue a message."""
        self._inbox.add(frame)

    def again(self, frame: Frame) -> None:
        """Handle a message from the start once more."""
        self._inbox.again(frame)

    def interrupt(self, told: PgError | None) -> None:
        """Cancel what was asked for and has not begun, if anything was: it waits to be judged, or
        for what judging it needs. ``told`` is what an administrator's cancel says."""
        if not self.empty:
            self._inbox.interrupt(told)

    def pump(self) -> None:
        """Handle queued messages as far as they may go now.

        Raises:
            RemoteProtocolError: A message that may not come in this phase.
            SessionEndedError: The client left.
        """
        while not self._judge.asking and (frame := self._inbox.next()) is not None:
            self._handle(frame)
        self._inbox.set_pause()

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
                self._extended.track(frame)
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
                    self._inbox.hold(frame)  # as the server would, end what was asked for first
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
            self._inbox.hold(frame)

    def _copy_in_coming(self) -> bool:
        return any(
            run.decision.facts.kind is StatementKind.COPY_IN
            for pending in self._line.pending
            for run in pending.runs
        )

    # --- simple protocol --------------------------------------------------------------------------

    def _decide(self, frame: Frame) -> None:
        match frame.kind:
            case Frontend.QUERY:
                self._query(frame)
            case Frontend.PARSE:
                self._extended.parse(frame)
            case Frontend.BIND:
                self._extended.bind(frame)
            case _:
                self._extended.execute(frame)

    def _query(self, frame: Frame) -> None:
        if not self._inbox.may_judge(frame):
            return
        text = read_query(frame.payload).text
        too_long = unrecordable(self._line, text, "simple")
        if too_long is not None:
            self._line.fail_query(too_long)
            return
        context = self._judge.context(text)
        self._judge.ask(
            frame, text, "simple", context, lambda judged: self._query_judged(frame, judged)
        )

    def _query_judged(self, frame: Frame, judged: tuple[Judged, ...]) -> None:
        line = self._line
        if line.phase is not Phase.READY:
            self._inbox.again(frame)
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
        if self._inbox.is_interrupted([item.decision for item in judged], "simple", 0):
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
