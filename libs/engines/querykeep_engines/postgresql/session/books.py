"""What a session remembers: statements, portals, what runs, which answers are still due.

Names follow the server exactly. A change that was sent but not yet confirmed counts only within the
same series of messages (up to Sync): there an error makes the server skip whatever relied on it. A
name with an unconfirmed change from an *earlier* series is uncertain: the change may have been
skipped, and the name may still mean something else.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from querykeep_engines.kit.recorder import RecordedStatement
from querykeep_engines.postgresql.errors import PgError, Texts
from querykeep_engines.postgresql.wire.backend import Field
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext


@dataclass(slots=True, eq=False)
class Judged:
    """A decision with what it was made under. ``at`` is monotonic seconds."""

    decision: Decision
    policy: SessionPolicy
    context: SessionContext
    generation: int
    at: float


@dataclass(slots=True, eq=False)
class Statement:
    """A prepared statement of the extended protocol. ``judged`` None: an empty text."""

    name: str
    text: str
    parameter_types: tuple[int, ...]
    judged: Judged | None


@dataclass(slots=True, eq=False)
class Portal:
    """A portal. ``fields`` is what the server said of its columns (None: nothing yet, and then
    ``describe_sent`` tells whether the question is on its way)."""

    name: str
    statement: Statement
    judged: Judged | None
    parameters: int
    fields: tuple[Field, ...] | None = None
    describe_sent: bool = False
    rows: int = 0


@dataclass(slots=True, eq=False)
class RunningStatement(RecordedStatement):
    """One audited statement between being sent on and its end.

    ``rewrite`` masks a run of DataRow bytes; None forwards them. ``settled``: the description was
    checked against the plan (or the plan asks for nothing). ``void``: no further row may pass;
    ``dropped``: one was kept back. ``override`` is what the client is told instead of the target's
    cancellation.
    """

    rewrite: Callable[[bytes], bytes] | None = None
    settled: bool = False
    fields: tuple[Field, ...] | None = None
    void: bool = False
    dropped: bool = False
    override: PgError | None = None
    cancel_sent: bool = False


class Due(enum.Enum):
    """Which message an answer is due for."""

    PARSE = "parse"
    BIND = "bind"
    DESCRIBE = "describe"
    EXECUTE = "execute"
    CLOSE = "close"
    SYNC = "sync"
    QUERY = "query"

    __hash__ = object.__hash__


@dataclass(slots=True, eq=False)
class Change:
    """A name that a message makes (``value``) or drops (None). ``kind`` is ``S`` or ``P``."""

    segment: int
    kind: str
    name: str
    value: Statement | Portal | None


@dataclass(slots=True, eq=False)
class Pending:
    """A message that the target has not answered yet."""

    due: Due
    segment: int
    injected: bool = False
    changes: tuple[Change, ...] = ()
    portal: Portal | None = None
    runs: deque[RunningStatement] = field(default_factory=deque)
    own_error: PgError | None = None
    alters: bool = False
    texts: Texts = Texts.WHOLE
    failed: bool = False
    empty: bool = False


REMEMBERED_NAMES = 20_000
REMEMBERED_CHARS = 128 * 1024 * 1024
"""What a client may make a session remember; a single statement has its own limit."""


def _size(value: Statement | Portal | None) -> int:
    return len(value.text) if isinstance(value, Statement) else 0


class _Uncertain(enum.Enum):
    UNCERTAIN = "uncertain"


UNCERTAIN: Final = _Uncertain.UNCERTAIN


class NameBook:
    """Prepared statements and portals of the extended protocol."""

    def __init__(self) -> None:
        self.statements: dict[str, Statement] = {}
        self.portals: dict[str, Portal] = {}
        self._open: list[Change] = []
        self._chars = 0

    def has_room(self, text: str = "") -> bool:
        """Return whether one more prepared statement or portal may be remembered."""
        count = len(self.statements) + len(self.portals) + len(self._open)
        return count < REMEMBERED_NAMES and self._chars + len(text) <= REMEMBERED_CHARS

    @property
    def may_have_unnamed(self) -> bool:
        """False when there is no unnamed statement or portal, and none on its way."""
        return bool(self._open) or "" in self.statements or "" in self.portals

    def drop(self, kind: str, name: str) -> None:
        """SQL dropped or took a name over; ``*`` is every one."""
        names: dict[str, Statement] | dict[str, Portal]
        names = self.statements if kind == "S" else self.portals
        for gone in tuple(names) if name == "*" else (name,):
            self._chars -= _size(names.pop(gone, None))

    def change(
        self, segment: int, kind: str, name: str, value: Statement | Portal | None
    ) -> Change:
        """Note a change that was sent."""
        noted = Change(segment, kind, name, value)
        self._chars += _size(value)
        self._open.append(noted)
        return noted

    def confirm(self, changes: tuple[Change, ...]) -> None:
        """The server made the changes."""
        for change in changes:
            if change in self._open:
                self._open.remove(change)
            self.drop(change.kind, change.name)
            if isinstance(change.value, Statement):
                self.statements[change.name] = change.value
            elif isinstance(change.value, Portal):
                self.portals[change.name] = change.value

    def discard(self, segment: int) -> None:
        """The server answered everything of this series: what it did not confirm did not happen."""
        if self._open:
            for change in self._open:
                self._chars -= _size(change.value) if change.segment <= segment else 0
            self._open = [change for change in self._open if change.segment > segment]

    def forget_portals(self) -> None:
        """A transaction ended, and its portals with it."""
        self.portals.clear()

    def statement(self, name: str, segment: int) -> Statement | _Uncertain | None:
        """Return the prepared statement of that name as the next message will find it."""
        found = self._find("S", name, segment)
        return found if isinstance(found, Statement | _Uncertain) else None

    def portal(self, name: str, segment: int) -> Portal | _Uncertain | None:
        """Return the portal of that name as the next message will find it."""
        found = self._find("P", name, segment)
        return found if isinstance(found, Portal | _Uncertain) else None

    def _find(self, kind: str, name: str, segment: int) -> Statement | Portal | _Uncertain | None:
        for change in reversed(self._open):
            if change.kind == kind and change.name == name:
                return change.value if change.segment == segment else UNCERTAIN
        if kind == "S":
            return self.statements.get(name)
        return self.portals.get(name)
