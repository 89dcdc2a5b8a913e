"""What an analyzer says of a statement; the only thing that ``policy.decide`` looks at."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from querykeep_guard.contracts.policy import StatementKind


class Effect(enum.Enum):
    """Everything that a statement does, beyond its kind."""

    READ = "read"
    WRITE = "write"
    DDL = "ddl"
    SESSION = "session"
    TRANSACTION = "transaction"
    FILE = "file"
    NETWORK = "network"
    PROCEDURE = "procedure"
    LOCK = "lock"
    NOTIFY = "notify"
    COPIES_DATA = "copies_data"
    METADATA = "metadata"

    __hash__ = object.__hash__


class ColumnRole(enum.Enum):
    """Where a column stands in a statement. Every role but PROJECTED lets an observer infer."""

    PROJECTED = "projected"
    PREDICATE = "predicate"
    JOIN = "join"
    ORDER = "order"
    GROUP = "group"
    DISTINCT = "distinct"
    AGGREGATE = "aggregate"
    WINDOW = "window"
    SET_OPERATION = "set_operation"
    FUNCTION = "function"
    LIMIT = "limit"
    WRITTEN = "written"
    WRITTEN_FROM = "written_from"
    JUDGED = "judged"

    __hash__ = object.__hash__


class ExpressionClass(enum.Enum):
    """How an output column is made of its sources."""

    IDENTITY = "identity"
    TOTAL = "total"
    OTHER = "other"


@dataclass(frozen=True, slots=True, order=True)
class RelationName:
    """A table or view as the catalog spells it; ``schema`` is the database on MySQL."""

    schema: str
    name: str

    def __str__(self) -> str:
        """Return ``schema.name``."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True, order=True)
class ColumnName:
    """A column as the catalog spells it."""

    schema: str
    table: str
    column: str

    @property
    def relation(self) -> RelationName:
        """The table or view that the column belongs to."""
        return RelationName(self.schema, self.table)

    def __str__(self) -> str:
        """Return ``schema.table.column``."""
        return f"{self.schema}.{self.table}.{self.column}"


STORED_SIZE = ColumnName("(any)", "(any)", "size")
"""Stands for how much is stored in tables, and where, as the engine's own catalog and functions
tell it. It is no column of a catalog: analyzers add it to the sources of such values, and it is
masked for everyone whom a rule binds, since the size of a table depends on what a mask hides."""


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """A column in a role. ``clause`` is what an error text calls the place (``WHERE``,
    ``ORDER BY``, ``function lower()``); ``position`` a character offset into the statement, or -1.
    A column inside a view's own body carries ``via`` = that view."""

    column: ColumnName
    role: ColumnRole
    clause: str = ""
    position: int = -1
    via: RelationName | None = None


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """What the protocol must say of a result column where it says anything.

    PostgreSQL: ``table_oid`` and ``attribute``; MySQL family: ``table`` and ``column`` names.
    """

    table_oid: int = 0
    attribute: int = 0
    schema: str = ""
    table: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of a result, by ordinal. ``sources`` are all base and view columns whose values
    reach it, through any expression; an empty set means that no stored value does.
    ``constant_type`` names the type where the analyzer knows it, else empty."""

    name: str
    sources: frozenset[ColumnName]
    expression: ExpressionClass
    origin: ColumnOrigin | None = None
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A session setting that the statement changes; ``value`` None = reset or not a literal."""

    name: str
    value: str | None
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that makes the statement refused whatever the policy: not understood, not in the
    catalog, not provable. ``code``: unknown_relation, unknown_column, unknown_function,
    unsupported, ambiguous, too_complex, unsafe, stale_catalog. ``matters_unmasked``: True refuses
    even for a person without any mask or refusal in reach; False is waived for him (he could read
    the value anyway), so that honest work is not refused. ``relation``: the problem can only show
    something of this one table, and is waived too where no rule hides any of it."""

    code: str
    message: str
    object: str = ""
    position: int = -1
    matters_unmasked: bool = True
    relation: RelationName | None = None


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """One statement. ``text`` is its own part of a longer text, from ``start`` to ``end``
    (character offsets). ``outputs`` is None when the statement returns no rows, or when their shape
    cannot be known (then ``problems`` says so). ``literals_matter``: the decision may change with
    literal values, so that a cache must key on the whole text. ``written`` are columns written
    (INSERT without a list: all). ``has_where`` is None where the question makes no sense.
    ``names`` are cursor or prepared names that it makes, uses or drops, as (action, name).
    ``touches`` are relations that it does not name, whose rows it may look at or change all the
    same: heirs and partitions, tables below a view, those that a foreign key's cascade reaches,
    those in policies and rules."""

    text: str
    start: int
    end: int
    kind: StatementKind
    effects: frozenset[Effect]
    digest: str
    reads: tuple[RelationName, ...] = ()
    writes: tuple[RelationName, ...] = ()
    columns: tuple[ColumnUse, ...] = ()
    outputs: tuple[OutputColumn, ...] | None = None
    functions: tuple[str, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    objects: tuple[str, ...] = ()
    has_where: bool | None = None
    literals_matter: bool = True
    written_literals: tuple[tuple[ColumnName, str], ...] = ()
    problems: tuple[Problem, ...] = ()
    extra: tuple[tuple[str, str], ...] = field(default=())
    redacted_text: str | None = None
    touches: tuple[RelationName, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionContext:
    """How a connection resolves names at this moment. ``settings`` are sorted (name, value) pairs
    of what analysis needs: ``sql_mode``, ``standard_conforming_strings`` … ``prepared`` maps names
    of SQL-level prepared statements and cursors to the text behind them; ``prepared_paths`` maps
    those names to the search path that they were made under, where it is known.
    ``temporary_columns`` are (``schema.name``, (column, type) …) of those ``temporary`` tables
    whose columns the session knows; what stands in them was written under the policy in force.
    """

    engine: str
    flavour: str
    server_version: str
    database: str
    search_path: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    temporary: tuple[str, ...] = ()
    prepared: tuple[tuple[str, str], ...] = ()
    in_transaction: bool = False
    parameter_types: tuple[int, ...] = ()
    temporary_columns: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    prepared_paths: tuple[tuple[str, tuple[str, ...]], ...] = ()


class StatementSyntaxError(ValueError):
    """The text cannot be parsed. ``position`` is a character offset (0-based), or -1."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
