"""What the target answers to the session's own question, its search path (``requests`` asks it)."""

from __future__ import annotations

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import fatal
from querykeep_engines.postgresql.session.books import Pending
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.wire.decode import Run
from querykeep_engines.postgresql.wire.reader import Reader
from querykeep_guard.contracts.session import EndReason

_ATTEMPTS = 3


class OwnQuestion:
    """The answer so far."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._value: str | None = None
        self._failures = 0

    def row(self, item: Run) -> None:
        """Take the one row.

        Raises:
            RemoteProtocolError: It is not one row of one column.
        """
        reader = Reader(item.data, "DataRow")
        reader.take(5)
        if item.count != 1 or reader.count16() != 1:
            raise RemoteProtocolError("the target answered SHOW with something else")
        value = reader.value()
        self._value = (value or b"").decode("utf-8", "replace")

    def done(self) -> None:
        """All of it was answered."""
        line = self._line
        line.reading = False
        value, self._value = self._value, None
        if value is not None:
            self._failures = 0
            line.state.set_search_path(value)

    def failed(self, head: Pending) -> None:
        """The target answered with an error.

        Raises:
            SessionEndedError: Once too often: names are not known, so nothing can be judged.
        """
        line = self._line
        self._value = None
        self._failures += 1
        if head.segment == line.segment:
            line.reading = False
        if self._failures >= _ATTEMPTS:
            raise SessionEndedError(
                EndReason.INTERNAL_ERROR,
                fatal(errors.INTERNAL_ERROR, "the state of the session could not be read back"),
            )
