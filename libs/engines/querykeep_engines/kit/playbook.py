"""Tests of a session as a play: ``>>`` an event, ``<<`` the command that must follow.

    playbook = Playbook(session)
    playbook >> ClientBytes(b"…") << Decide >> Decided(1, …) << Audit << ToServer(b"…")
    playbook.end()

What stands behind ``<<`` is a command (compared whole), a command class (only the kind counts), or
a function of the command that returns whether it will do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from querykeep_engines.kit.session import Command, EngineSession, Event

Expected = Command | type[Command] | Callable[[Command], bool]


class Playbook:
    """Feeds one session and compares what it says.

    Every failure is an AssertionError that shows the expected command and all that came.
    """

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._came: deque[Command] = deque()
        self.last: Command | None = None

    def __rshift__(self, event: Event) -> Playbook:
        """Hand the session an event; what was said before must have been looked at."""
        self.end()
        self._came.extend(self._session.handle(event))
        return self

    def __lshift__(self, expected: Expected) -> Playbook:
        """Check the next command and keep it as ``last``."""
        if not self._came:
            raise AssertionError(f"expected {expected!r}, but nothing more came")
        command = self._came.popleft()
        if not _fits(command, expected):
            rest = "\n  ".join(map(repr, self._came))
            raise AssertionError(f"expected {expected!r}, came\n  {command!r}\nthen\n  {rest}")
        self.last = command
        return self

    def end(self) -> None:
        """Check that nothing is left to look at."""
        if self._came:
            raise AssertionError("unexpected:\n  " + "\n  ".join(map(repr, self._came)))


def _fits(command: Command, expected: Expected) -> bool:
    if isinstance(expected, type):
        return isinstance(command, expected)
    if callable(expected):
        return expected(command)
    return command == expected
