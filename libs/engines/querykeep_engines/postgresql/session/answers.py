"""Target to client: each answer is matched with the message it is due for, checked, masked,
counted, and passed on; answers to the session's own messages are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from querykeep_engines.kit.session import CatalogChanged, RemoteProtocolError
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError, Texts, fatal
from querykeep_engines.postgresql.session.books import Due, Pending, RunningStatement
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.line import NOT_RUN, Line
from querykeep_engines.postgresql.session.own_question import OwnQuestion
from querykeep_engines.postgresql.session.results import (
    ResultMismatchError,
    check_fields,
    first_rows,
    needs_description,
    row_rewriter,
)
from querykeep_engines.postgresql.session.settings import is_utf8
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    Field,
    read_error_fields,
    read_fields,
    read_parameter_status,
    read_status,
    read_tag,
)
from querykeep_engines.postgresql.wire.codes import Backend
from querykeep_engines.postgresql.wire.decode import Frame, Run
from querykeep_engines.postgresql.wire.states import Phase
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.masking import MaskerError

_T = TypeVar("_T")


class Answers:
    """What the target sends in a live session."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._question = OwnQuestion(line)
        self._answers = self._table()
        self._anytime: dict[int, Callable[[Frame], None]] = {
            Backend.NOTICE_RESPONSE: self._notice,
            Backend.PARAMETER_STATUS: self._parameter,
            Backend.NOTIFICATION_RESPONSE: self._notification,
            Backend.ERROR_RESPONSE: self._error,
        }

    def may_pass_partial(self) -> bool:
        """Return whether a row that is not whole yet may be passed on (or dropped) in parts."""
        run = self._line.head_run
        if run is None or self._line.pending[0].injected:
            return False
        return run.settled and run.rewrite is None and self._max_rows() is None

    def _max_rows(self) -> int | None:
        return self._line.policy.limits.max_rows

    def item(self, item: Frame | Run) -> None:
        """Take one message or run.

        Raises:
            SessionEndedError: The result is not what was decided on, or the target is lost.
            RemoteProtocolError: The target broke the protocol.
        """
        if isinstance(item, Run):
            self._run(item)
            return
        anytime = self._anytime.get(item.kind)
        if anytime is not None:
            anytime(item)
            return
        if not self._line.pending:
            raise RemoteProtocolError(
                f"the target sent message type {item.kind} without being asked"
            )
        head = self._line.pending[0]
        answer = self._answers[head.due].get(item.kind)
        if answer is None:
            raise self._unexpected(item, head)
        answer(item, head)

    def _to_client(self, data: bytes, head: Pending) -> None:
        if not head.injected and not self._line.swallow:
            self._line.pipe.to_client(data)

    def _table(self) -> dict[Due, dict[int, Callable[[Frame, Pending], None]]]:
        """Which message answers what; anything else is a fault of the target."""
        copy: dict[int, Callable[[Frame, Pending], None]] = {
            Backend.COPY_IN_RESPONSE: self._copy_begins,
            Backend.COPY_OUT_RESPONSE: self._copy_begins,
            Backend.COPY_DONE: self._copy_done,
        }
        return {
            Due.PARSE: {Backend.PARSE_COMPLETE: self._confirmed},
            Due.BIND: {Backend.BIND_COMPLETE: self._confirmed},
            Due.CLOSE: {Backend.CLOSE_COMPLETE: self._confirmed},
            Due.DESCRIBE: {
                Backend.PARAMETER_DESCRIPTION: self._pass,
                Backend.ROW_DESCRIPTION: self._described,
                Backend.NO_DATA: self._described,
            },
            Due.EXECUTE: {
                Backend.COMMAND_COMPLETE: self._executed,
                Backend.PORTAL_SUSPENDED: self._executed,
                Backend.EMPTY_QUERY_RESPONSE: self._executed_empty,
                **copy,
            },
            Due.QUERY: {
                Backend.ROW_DESCRIPTION: self._query_described,
                Backend.COMMAND_COMPLETE: self._query_completed,
                Backend.EMPTY_QUERY_RESPONSE: self._query_empty,
                Backend.READY_FOR_QUERY: self._ready,
                **copy,
            },
            Due.SYNC: {Backend.READY_FOR_QUERY: self._ready},
        }

    def _unexpected(self, frame: Frame, head: Pending) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"the target answered {head.due.value} with message type {frame.kind}"
        )

    def _pass(self, frame: Frame, head: Pending) -> None:
        self._to_client(frame.raw, head)

    def _notification(self, frame: Frame) -> None:
        if self._line.state.listens:
            self._line.pipe.to_client(frame.raw)

    # --- extended protocol ------------------------------------------------------------------------

    def _confirmed(self, frame: Frame, head: Pending) -> None:
        line = self._line
        line.answered()
        line.book.confirm(head.changes)
        for change in head.changes:
            # Closed, or made anew: either way no SQL statement or cursor has this name now.
            line.state.closed(change.kind, change.name)
        self._to_client(frame.raw, head)
        if head.injected and head.due is Due.CLOSE and not line.pending:
            self._question.done()

    def _described(self, frame: Frame, head: Pending) -> None:
        line = self._line
        fields: tuple[Field, ...] = ()
        if frame.kind == Backend.ROW_DESCRIPTION:
            fields = read_fields(frame.payload)
        portal = head.portal
        if portal is not None:
            portal.fields = fields
            if portal.judged is not None and frame.kind == Backend.ROW_DESCRIPTION:
                plan = portal.judged.decision.plan
                if needs_description(plan):
                    self._checked(lambda: check_fields(plan, fields))
        self._to_client(frame.raw, head)
        line.answered()

    def _executed(self, frame: Frame, head: Pending) -> None:
        line = self._line
        if head.injected:
            line.answered()
            return
        run = head.runs[0]
        self._copy_ended(run)
        self._end_run(frame, head, run)
        line.answered()

    def _end_run(self, frame: Frame, head: Pending, run: RunningStatement) -> None:
        """A statement ended well at the target."""
        line = self._line
        if run.dropped and run.override is not None:
            line.complete(run, Outcome.KILLED, run.override.message, run.override.code)
            self._to_client(run.override.encode(), head)
            line.swallow = True
            if head.due is Due.EXECUTE and head.segment == line.segment:
                line.phase = Phase.SKIPPING
        else:
            if head.portal is not None:
                head.portal.rows += run.rows
            if frame.kind == Backend.COMMAND_COMPLETE:
                changed = read_tag(frame.payload).rpartition(" ")[2]
                run.rows = max(run.rows, int(changed) if changed.isdigit() else 0)
            line.complete(run, Outcome.OK)
            self._to_client(frame.raw, head)
        head.runs.popleft()
        if run.decision.facts.kind is StatementKind.TRANSACTION and line.status == "E":
            line.status = "T"

    def _executed_empty(self, frame: Frame, head: Pending) -> None:
        if not head.empty:
            raise self._unexpected(frame, head)
        self._to_client(frame.raw, self._line.answered())

    # --- simple protocol --------------------------------------------------------------------------

    def _query_empty(self, frame: Frame, head: Pending) -> None:
        if head.runs:
            raise self._unexpected(frame, head)
        self._to_client(frame.raw, head)

    def _query_described(self, frame: Frame, head: Pending) -> None:
        if not head.runs:
            raise self._mismatch("the target returned a result that nobody asked for")
        run = head.runs[0]
        if run.fields is not None:
            raise self._mismatch("one statement returned two results")
        run.fields = read_fields(frame.payload)
        self._settle(run)
        self._to_client(frame.raw, head)

    def _query_completed(self, frame: Frame, head: Pending) -> None:
        if not head.runs:
            raise self._mismatch("the target ran more statements than were decided on")
        run = head.runs[0]
        self._copy_ended(run)
        self._end_run(frame, head, run)

    # --- rows and COPY ----------------------------------------------------------------------------

    def _settle(self, run: RunningStatement) -> None:
        """Compare the description with the plan and make the masks; before any row passes."""
        fields, plan = run.fields, run.decision.plan
        if fields is None:
            if needs_description(plan):
                raise self._mismatch("rows came without their description")
            run.settled = True
            return
        known = fields

        def settle() -> None:
            check_fields(plan, known)
            run.rewrite = row_rewriter(plan, known)

        self._checked(settle)
        run.settled = True

    def _run(self, item: Run) -> None:
        line = self._line
        if not line.pending:
            raise RemoteProtocolError("the target sent rows without being asked")
        head = line.pending[0]
        if head.injected:
            self._question.row(item)
            return
        if not head.runs:
            raise self._mismatch("the target returned rows that nobody asked for")
        run = head.runs[0]
        if item.kind == Backend.COPY_DATA:
            if run.decision.facts.kind is not StatementKind.COPY_OUT:
                raise self._mismatch("the target sent COPY data that nobody asked for")
        elif not run.settled:
            if head.due is Due.EXECUTE and head.portal is not None:
                run.fields = head.portal.fields
            elif run.fields is None:
                raise self._mismatch("rows came without their description")
            self._settle(run)
        self._pass_rows(item, head, run)

    def _pass_rows(self, item: Run, head: Pending, run: RunningStatement) -> None:
        line = self._line
        if run.void:
            if line.lost:
                raise SessionEndedError(EndReason.RESULT_MISMATCH, None, "ended inside a row")
            run.dropped = True
            line.cancel_head()
            return
        data, count = item.data, item.count
        limit = self._max_rows()
        before = run.rows + (head.portal.rows if head.portal is not None else 0)
        if limit is not None and before + count > limit:
            count = max(0, limit - before)
            data = first_rows(data, count)
            run.void = run.dropped = True
            run.override = PgError(
                errors.PROGRAM_LIMIT,
                f"the result was ended after {limit} rows, the limit of this connection for you",
                "Ask for fewer rows (LIMIT, WHERE).",
            )
            line.cancel_head()
        if run.rewrite is not None and data:
            rewrite = run.rewrite
            data = self._checked(lambda: rewrite(data))
        run.rows += count
        run.bytes += len(data)
        if data:
            self._to_client(data, head)
        line.lost = item.partial

    def _copy_done(self, frame: Frame, head: Pending) -> None:
        if not head.runs:
            raise self._unexpected(frame, head)
        self._to_client(frame.raw, head)

    def _copy_begins(self, frame: Frame, head: Pending) -> None:
        if not head.runs:
            raise self._unexpected(frame, head)
        line = self._line
        run = head.runs[0]
        wanted = (
            StatementKind.COPY_IN
            if frame.kind == Backend.COPY_IN_RESPONSE
            else StatementKind.COPY_OUT
        )
        if run.decision.facts.kind is not wanted or run.decision.plan.masks:
            raise self._mismatch("the target began a COPY that was not decided on")
        run.settled = True
        self._to_client(frame.raw, head)
        if wanted is StatementKind.COPY_IN:
            line.phase = Phase.COPY_IN
            # The target ignores Syncs that reach it inside the COPY: they get no answer.
            while len(line.pending) > 1 and line.pending[1].due is Due.SYNC:
                del line.pending[1]
            if head.due is Due.EXECUTE and len(line.pending) == 1:
                line.segment, line.open_series = head.segment, True

    def _copy_ended(self, run: RunningStatement) -> None:
        if self._line.phase is Phase.COPY_IN and (run.decision.facts.kind is StatementKind.COPY_IN):
            self._line.phase = Phase.READY

    def _checked(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except (ResultMismatchError, MaskerError) as error:
            raise self._mismatch(str(error)) from error

    # --- errors, notices, ready -------------------------------------------------------------------

    def _error(self, frame: Frame) -> None:
        line = self._line
        fields = dict(read_error_fields(frame.payload))
        if not line.pending or errors.ends_session(fields):
            raise self._farewell(frame, fields)
        head = line.pending[0]
        line.state.failed()
        if head.due is Due.QUERY:
            self._query_failed(frame, head)
        elif head.due is Due.SYNC:
            self._to_client(self._error_bytes(frame, head, None), head)
        else:
            self._series_failed(frame, head)

    def _farewell(self, frame: Frame, fields: dict[str, str]) -> SessionEndedError:
        """Pass on the target's last words, whatever it was asked before; nothing follows them."""
        line = self._line
        head = line.pending[0] if line.pending else None
        code, text = fields.get("C", ""), fields.get("M", "")
        data = frame.raw
        if head is not None and head.texts is not Texts.WHOLE:
            shown = errors.last_words(frame.payload, head.texts)
            text, data = dict(shown).get("M", ""), encode.error_response(shown)
        if head is not None and head.own_error is not None and not line.swallow:
            # What was refused was refused, whatever became of the session then.
            line.pipe.to_client(head.own_error.encode())
        if not line.lost:
            line.pipe.to_client(data)
        run = head.runs.popleft() if head is not None and head.runs else None
        if run is not None:
            line.complete(run, Outcome.ERROR, text, code)
        line.complete_all(Outcome.ERROR, "not run: the target ended the session")
        return SessionEndedError(
            EndReason.TARGET_CLOSED, None, f"the target ended the session: {text} ({code})"
        )

    def _error_bytes(self, frame: Frame, head: Pending, run: RunningStatement | None) -> bytes:
        """Return the error as the client is told it."""
        if head.own_error is not None:
            return head.own_error.encode()
        code = dict(read_error_fields(frame.payload)).get("C", "")
        if run is not None and run.override is not None and code == errors.QUERY_CANCELED:
            return run.override.encode()
        if head.texts is not Texts.WHOLE:
            return encode.error_response(errors.told(frame.payload, head.texts))
        return frame.raw

    def _fail_run(self, frame: Frame, head: Pending, run: RunningStatement) -> None:
        fields = dict(read_error_fields(frame.payload))
        code = fields.get("C", "")
        outcome = Outcome.ERROR
        text = fields.get("M", "")
        if code == errors.QUERY_CANCELED:
            outcome = Outcome.KILLED if run.override is not None else Outcome.CANCELLED
            text = run.override.message if run.override is not None else text
        else:
            text = dict(errors.told(frame.payload, head.texts)).get("M", "")
        self._line.complete(run, outcome, text, code)

    def _query_failed(self, frame: Frame, head: Pending) -> None:
        line = self._line
        run = head.runs.popleft() if head.runs else None
        if line.phase is Phase.COPY_IN:
            line.phase = Phase.READY
        if run is not None:
            self._fail_run(frame, head, run)
        while head.runs:
            line.complete(head.runs.popleft(), Outcome.ERROR, NOT_RUN)
        self._to_client(self._error_bytes(frame, head, run), head)

    def _series_failed(self, frame: Frame, head: Pending) -> None:
        """The target skips to Sync; so does the client's side, and what was on its way is over."""
        line = self._line
        is_read = head.injected and head.portal is None
        if is_read:
            self._question.failed(head)
        run = head.runs.popleft() if head.runs else None
        data = self._error_bytes(frame, head, run)
        if run is not None:
            self._fail_run(frame, head, run)
        if not line.swallow and (not is_read or head.segment == line.segment):
            line.pipe.to_client(data)
        while line.pending and line.pending[0].due is not Due.SYNC:
            if line.pending[0].due is Due.QUERY:
                break
            skipped = line.answered()
            while skipped.runs:
                line.complete(skipped.runs.popleft(), Outcome.ERROR, NOT_RUN)
        line.book.discard(head.segment)
        if head.segment == line.segment:
            line.phase = Phase.SKIPPING
        elif line.phase is Phase.COPY_IN:
            line.phase = Phase.READY

    def _notice(self, frame: Frame) -> None:
        line = self._line
        head = line.pending[0] if line.pending else None
        if head is not None and (head.injected or line.swallow):
            return
        if head is not None and head.texts is not Texts.WHOLE:
            line.pipe.to_client(encode.notice_response(errors.told(frame.payload, head.texts)))
        else:
            line.pipe.to_client(frame.raw)

    def _parameter(self, frame: Frame) -> None:
        status = read_parameter_status(frame.payload)
        if status.name == "client_encoding" and not is_utf8(status.value):
            raise SessionEndedError(
                EndReason.PROTOCOL_ERROR,
                fatal(
                    errors.PROTOCOL_VIOLATION,
                    "client_encoding was changed away from UTF8, in which statements are judged",
                ),
            )
        self._line.state.parameter(status.name, status.value)
        self._line.pipe.to_client(frame.raw)

    def _ready(self, frame: Frame, head: Pending) -> None:
        line = self._line
        while head.runs:
            line.complete(head.runs.popleft(), Outcome.ERROR, NOT_RUN)
        line.book.confirm(head.changes)
        line.answered()
        line.book.discard(head.segment)
        line.status = read_status(frame.payload)
        line.state.ready(line.status)
        if line.status == "I":
            line.book.forget_portals()
            line.ddl_open = False
            if line.ddl_done and not line.altering:
                line.ddl_done = False
                line.pipe.emit(CatalogChanged("DDL ran in a session"))
        if not head.injected:
            line.pipe.to_client(frame.raw)
            line.swallow = False
        elif line.reading:
            self._question.done()

    # --- the end of a result ----------------------------------------------------------------------

    def _mismatch(self, detail: str) -> SessionEndedError:
        self._line.cancel_head()
        return SessionEndedError(
            EndReason.RESULT_MISMATCH,
            fatal(
                errors.INSUFFICIENT_PRIVILEGE,
                f"the result was ended before it was shown: {detail}; the schema may have changed "
                "since the statement was judged, so run it again",
            ),
        )
