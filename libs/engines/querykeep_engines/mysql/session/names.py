"""Names that SQL made on this connection: prepared statements and temporary tables.

Both live at the target and are known to nobody else, so the session keeps the books: a name counts
from the moment that the target said OK. Whatever may have changed one unseen (a procedure) makes
all of them unknown, and what is unknown is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import Effect, StatementFacts

_TEMPORARY = re.compile(r"\btemporary\b", re.I)
_USES_NAMES = re.compile(r"\b(?:execute|deallocate|drop|prepare)\b", re.I)
_UNSEEN = frozenset({StatementKind.CALL, StatementKind.UNKNOWN})
_RESHAPES = frozenset({StatementKind.ALTER, StatementKind.RENAME})
STATEMENTS = 16_382
"""The server's own ``max_prepared_stmt_count``, for one session."""
STATEMENT_CHARS = 128 * 1024 * 1024
"""What a client may make a session remember of statements' texts."""

Table = tuple[str, str]
"""(database, name) of a temporary table."""
Columns = tuple[tuple[str, str], ...]
"""(name, type) of each column."""
Reading = tuple[str, tuple[tuple[str, str], ...]]
"""How texts are read: the database and the session's settings."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    text: str
    reading: Reading


@dataclass(slots=True)
class _Waiting:
    """What a statement that was sent on will have changed once the target says OK."""

    prepares: tuple[str, str] | None = None
    reading: Reading = ("", ())
    creates: tuple[Table, ...] = ()
    new: frozenset[Table] = frozenset()
    drops: tuple[Table, ...] = ()


@dataclass(slots=True)
class SqlNames:
    """The books. ``columns`` of a temporary table are None while nobody has asked the target."""

    _statements: dict[str, _Prepared] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _columns: dict[Table, Columns | None] = field(default_factory=dict)
    _unread: list[Table] = field(default_factory=list)

    # --- what happens -----------------------------------------------------------------------------

    def sent(
        self, statement_id: str, facts: StatementFacts, reading: Reading, *, is_certain: bool
    ) -> None:
        """A statement is being sent on. ``is_certain`` is False where one before it in the same
        text changes how texts are read, so that nobody knows how the target will read this one."""
        waiting = _Waiting(reading=reading)
        text = facts.text
        for action, name in facts.names:
            if action == "prepare":
                self._statements.pop(name, None)
                prepared = dict(facts.extra).get("prepared")
                if is_certain and prepared is not None:
                    waiting.prepares = (name, prepared)
            elif action == "deallocate":
                self._statements.pop(name, None)
            elif action == "execute" and name in self._statements:
                text = f"{text}\n{self._statements[name].text}"
        if facts.kind in _UNSEEN or Effect.PROCEDURE in facts.effects:
            self._statements.clear()
        tables = tuple((name.schema or reading[0], name.name) for name in facts.writes)
        if Effect.DDL in facts.effects:
            makes = facts.kind is StatementKind.CREATE and _TEMPORARY.search(text)
            moves = facts.kind in _RESHAPES and any(table in self._columns for table in tables)
            if makes or moves:
                waiting.creates = tables
                waiting.new = frozenset(table for table in tables if table not in self._columns)
                for table in tables:
                    self._columns[table] = None
            elif facts.kind is StatementKind.DROP:
                waiting.drops = tables
        if waiting.prepares or waiting.creates or waiting.drops:
            self._waiting[statement_id] = waiting

    def ended(self, statement_id: str, *, ok: bool) -> None:
        """A statement that was sent on has ended at the target."""
        waiting = self._waiting.pop(statement_id, None)
        if waiting is None:
            return
        if waiting.prepares is not None and ok:
            name, text = waiting.prepares
            self._statements[name] = _Prepared(text, waiting.reading)
        if ok:
            for table in waiting.drops:
                self._columns.pop(table, None)
            self._unread += waiting.creates
        else:
            for table in waiting.new:
                self._columns.pop(table, None)

    def forget_all(self) -> None:
        """The connection was reset: the target has dropped everything."""
        self._statements.clear()
        self._waiting.clear()
        self._columns.clear()
        self._unread.clear()

    def doubt_contents(self) -> None:
        """The policy changed: what stands in temporary tables was judged by the old one."""
        for table in self._columns:
            self._columns[table] = None
        self._unread.clear()

    # --- columns of temporary tables --------------------------------------------------------------

    def next_unread(self) -> Table | None:
        """Return a temporary table whose columns are to be asked for, or None."""
        while self._unread:
            table = self._unread.pop(0)
            if table in self._columns:
                return table
        return None

    def learn_columns(self, table: Table, columns: Columns | None) -> None:
        """Take the target's answer; None: it did not tell."""
        if table in self._columns:
            self._columns[table] = columns

    # --- what an analysis is told -----------------------------------------------------------------

    def has_room(self, text: str) -> bool:
        """Return whether one more prepared text may be remembered."""
        held = sum(len(one.text) for one in self._statements.values())
        return len(self._statements) < STATEMENTS and held + len(text) <= STATEMENT_CHARS

    def prepared(self, text: str, reading: Reading) -> tuple[tuple[str, str], ...]:
        """Return (name, text behind it) of what ``text`` may execute: those prepared under the
        reading that holds now. Empty where the text names none, so that contexts stay alike."""
        if not self._statements or not _USES_NAMES.search(text):
            return ()
        return tuple(
            sorted(
                (name, one.text) for name, one in self._statements.items() if one.reading == reading
            )
        )

    def temporary(self) -> tuple[str, ...]:
        """Return ``database.name`` of every temporary table."""
        return tuple(sorted(f"{database}.{name}" for database, name in self._columns))

    def temporary_columns(self) -> tuple[tuple[str, Columns], ...]:
        """Return (``database.name``, columns) of the temporary tables whose columns are known."""
        return tuple(
            sorted(
                (f"{table[0]}.{table[1]}", columns)
                for table, columns in self._columns.items()
                if columns is not None
            )
        )
