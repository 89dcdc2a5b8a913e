"""The client's messages that wait, in their order: some for what the target has yet to answer."""

from __future__ import annotations

from collections import deque

from querykeep_engines.kit.recorder import is_recordable, too_long
from querykeep_engines.kit.session import PauseClient, ResumeClient
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.books import Due, Pending
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.decode import Frame
from querykeep_engines.postgresql.wire.states import Phase
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.policy.decision import Decision

_CANCELED = PgError(errors.QUERY_CANCELED, "canceling statement due to user request")


class Inbox:
    """The queue of client messages."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._wait_quiet = False
        self._paused = False
        self._interrupted: tuple[Outcome, PgError] | None = None

    @property
    def is_empty(self) -> bool:
        """True when no client message waits."""
        return not self._frames

    @property
    def is_at_rest(self) -> bool:
        """True when no message waits and the client is not paused."""
        return not self._frames and not self._paused

    def add(self, frame: Frame) -> None:
        """Queue a message."""
        self._frames.append(frame)
        self._bytes += len(frame.raw)

    def again(self, frame: Frame) -> None:
        """Handle a message from the start once more."""
        self._frames.appendleft(frame)
        self._bytes += len(frame.raw)

    def next(self) -> Frame | None:
        """Take the oldest message off, if it may be handled now."""
        line = self._line
        if not self._frames or line.reading:
            return None
        if self._wait_quiet:
            if line.pending and line.phase is not Phase.COPY_IN:
                return None
            self._wait_quiet = False
        if len(line.pending) >= line.config.limits.pipeline_messages:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame.raw)
        return frame

    def set_pause(self) -> None:
        """Stop reading from a client that is too far ahead; go on when it is not any more."""
        limits = self._line.config.limits
        full = len(self._frames) > limits.pipeline_messages or self._bytes > limits.pipeline_bytes
        if full and not self._paused:
            self._paused = True
            self._line.pipe.emit(PauseClient())
        elif self._paused and not full:
            self._paused = False
            self._line.pipe.emit(ResumeClient())

    # --- waiting for the target -------------------------------------------------------------------

    def hold(self, frame: Frame) -> None:
        """Handle ``frame`` once the target has answered all that was sent."""
        self.again(frame)
        self._wait_quiet = True
        if self._line.open_series:
            self._line.pipe.to_server(encode.FLUSH)

    def may_judge(self, frame: Frame) -> bool:
        """Return whether names are known now; else hold the message until they are."""
        line = self._line
        if line.altering:
            self.hold(frame)
            return False
        if line.state.dirty and line.status != "E":
            if line.pending:
                self.hold(frame)
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

    # --- cancelled before it began ----------------------------------------------------------------

    def interrupt(self, told: PgError | None) -> None:
        """Cancel what has not begun. ``told`` is what an administrator's cancel says."""
        outcome = Outcome.CANCELLED if told is None else Outcome.KILLED
        self._interrupted = outcome, told or _CANCELED

    def forget_interruption(self) -> PgError | None:
        """Return what the client is to be told of the cancel that came; from now on none did."""
        interrupted, self._interrupted = self._interrupted, None
        return interrupted[1] if interrupted is not None else None

    def is_interrupted(self, decisions: list[Decision], protocol: str, parameters: int) -> bool:
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


def unrecordable(line: Line, text: str, protocol: str) -> PgError | None:
    """Record the refusal of a text that cannot be recorded whole and return its error; None for
    any other."""
    if is_recordable(text):
        return None
    error = PgError(errors.PROGRAM_LIMIT, too_long(text))
    line.recorder.refused_text(text, error.code, error.message, protocol)
    return error
