"""What the walk over a statement passes around: values, scopes, clauses, and the facts so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from querykeep_engines.postgresql.analysis.names import Names
from querykeep_engines.postgresql.analysis.parsing import Offsets, TooComplexError
from querykeep_guard.contracts.catalog import Relation
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import (
    ColumnName,
    ColumnOrigin,
    ColumnRole,
    ColumnUse,
    Effect,
    ExpressionClass,
    Problem,
    RelationName,
    SettingChange,
)

NO_SOURCES: frozenset[ColumnName] = frozenset()
# Nodes walked for one statement, views and repeated walks of recursive CTEs included.
MAX_NODES = 3_000_000
# Expansions of views within views.
MAX_VIEW_DEPTH = 24
MAX_COLUMNS = 5_000
TEXT_OID = 25
UNKNOWN_OID = 705
# text, varchar, bpchar, name, unknown literal
TEXT_TYPES = frozenset({25, 1043, 1042, 19, 705})

_RANK = {ExpressionClass.IDENTITY: 0, ExpressionClass.TOTAL: 1, ExpressionClass.OTHER: 2}


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression's value is made of. ``fields`` holds the columns of a whole row."""

    sources: frozenset[ColumnName] = NO_SOURCES
    expression: ExpressionClass = ExpressionClass.IDENTITY
    origin: ColumnOrigin | None = None
    type_oid: int = 0
    type_name: str = ""
    fields: tuple[Field, ...] | None = None

    @property
    def is_text(self) -> bool:
        """True when the type is known to be one of the text types."""
        return self.type_oid in TEXT_TYPES


def without_origin(value: Value) -> Value:
    """Return the value as an expression gives it, which no table column is the origin of."""
    return replace(value, origin=None) if value.origin is not None else value


@dataclass(frozen=True, slots=True)
class Field:
    """A named column of a query, table or row."""

    name: str
    value: Value


CONSTANT = Value()


def merge(values: Iterable[Value], expression: ExpressionClass | None = None) -> Value:
    """Return a value made of all of ``values``; without ``expression`` the weakest class of those
    that have sources."""
    sources: frozenset[ColumnName] = NO_SOURCES
    weakest = ExpressionClass.IDENTITY
    for value in values:
        if value.sources:
            sources = sources | value.sources if sources else value.sources
            if _RANK[value.expression] > _RANK[weakest]:
                weakest = value.expression
    return Value(sources, expression or weakest)


@dataclass(frozen=True, slots=True)
class Clause:
    """Where an expression stands: its role, and what an error text calls the place."""

    role: ColumnRole
    name: str


SELECT_LIST = Clause(ColumnRole.PROJECTED, "SELECT list")


@dataclass(slots=True)
class Item:
    """An entry of FROM. ``fields`` is None when its columns cannot be known."""

    alias: str
    fields: tuple[Field, ...] | None
    relation: Relation | None = None
    schema: str = ""
    sources: frozenset[ColumnName] = NO_SOURCES
    by_name: dict[str, list[Value]] | None = None

    def find(self, name: str) -> list[Value]:
        """Return the columns of that name (more than one is ambiguous)."""
        if self.by_name is None:
            self.by_name = {}
            for entry in self.fields or ():
                self.by_name.setdefault(entry.name, []).append(entry.value)
        return self.by_name.get(name, [])


@dataclass(slots=True)
class Scope:
    """What names mean at one place of a query. ``columns`` are those reachable without a table
    name, in the order of ``*``; None where some entry's columns are unknown."""

    parent: Scope | None = None
    items: list[Item] = field(default_factory=list)
    columns: list[Field] = field(default_factory=list)
    has_unknown: bool = False
    ctes: dict[str, object] = field(default_factory=dict)
    by_name: dict[str, list[Value]] | None = None

    def find(self, name: str) -> list[Value]:
        """Return the columns reachable by that bare name at this level."""
        if self.by_name is None:
            self.by_name = {}
            for entry in self.columns:
                self.by_name.setdefault(entry.name, []).append(entry.value)
        return self.by_name.get(name, [])

    def add(self, items: Iterable[Item], columns: Iterable[Field], *, unknown: bool) -> None:
        """Bring the entries of FROM into sight."""
        self.items.extend(items)
        self.columns.extend(columns)
        self.has_unknown = self.has_unknown or unknown
        self.by_name = None

    def child(self) -> Scope:
        """Return an empty scope inside this one."""
        return Scope(parent=self)

    def cte(self, name: str) -> object | None:
        """Return the common table expression that a name means here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None


def _no_subquery(statement: Any, scope: Scope) -> tuple[Field, ...] | None:
    raise AssertionError("the analyzer sets Findings.subquery before it walks")


@dataclass(slots=True)
class Findings:
    """The facts of one statement as they are found."""

    names: Names
    offsets: Offsets
    base: int
    version: int
    uses: dict[tuple[ColumnName, ColumnRole, str, RelationName | None], ColumnUse] = field(
        default_factory=dict
    )
    reads: dict[RelationName, None] = field(default_factory=dict)
    view_reads: dict[RelationName, None] = field(default_factory=dict)
    writes: dict[RelationName, None] = field(default_factory=dict)
    touches: dict[RelationName, None] = field(default_factory=dict)
    effects: set[Effect] = field(default_factory=set)
    kinds: set[StatementKind] = field(default_factory=set)
    functions: dict[str, None] = field(default_factory=dict)
    settings: list[SettingChange] = field(default_factory=list)
    used_names: list[tuple[str, str]] = field(default_factory=list)
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)
    written_literals: list[tuple[ColumnName, str]] = field(default_factory=list)
    extra: list[tuple[str, str]] = field(default_factory=list)
    objects: dict[str, None] = field(default_factory=dict)
    literals_matter: bool = False
    nodes: int = 0
    view: RelationName | None = None
    view_depth: int = 0
    within: frozenset[tuple[str, str, str]] = frozenset()
    prepared: dict[str, str] = field(default_factory=dict)
    prepared_paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prepared_depth: int = 0
    silent: bool = False
    has_where: bool | None = None
    subquery: Callable[[Any, Scope], tuple[Field, ...] | None] = _no_subquery

    def tick(self) -> None:
        """Count a node; raises TooComplexError beyond the bound."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise TooComplexError("the statement is too large once its views are expanded")

    def at(self, location: int) -> int:
        """Return a parser's byte location as a character offset into the statement, or -1."""
        if location < 0 or self.silent or self.view is not None:
            return -1
        return self.offsets.char(location) - self.base

    def use(self, sources: Iterable[ColumnName], clause: Clause, location: int = -1) -> None:
        """Note that columns stand in a clause."""
        for column in sources:
            key = (column, clause.role, clause.name, self.view)
            if key not in self.uses:
                self.uses[key] = ColumnUse(
                    column, clause.role, clause.name, self.at(location), self.view
                )

    def use_function(self, value: Value, name: str, location: int = -1) -> None:
        """Note that a value passes through something that may fail or tell it apart."""
        if value.sources:
            self.use(value.sources, Clause(ColumnRole.FUNCTION, name), location)

    def problem(
        self,
        code: str,
        message: str,
        *,
        about: str = "",
        location: int = -1,
        unmasked: bool = False,
        only: RelationName | None = None,
    ) -> None:
        """Note a problem; ``unmasked`` is ``matters_unmasked``, ``only`` its ``relation``."""
        key = (code, message)
        if key not in self.problems:
            self.problems[key] = Problem(code, message, about, self.at(location), unmasked, only)

    def read(self, name: RelationName) -> None:
        """Note that a relation is read: by the statement, or within a view."""
        self.reads[name] = None
        if self.view is not None:
            self.view_reads[name] = None

    def opaque(self, values: Iterable[Value], name: str, location: int = -1) -> Value:
        """Return the value of a node that is not total over its arguments, and note the use."""
        value = merge(values, ExpressionClass.OTHER)
        self.use_function(value, name, location)
        return value


def renamed(fields: tuple[Field, ...], names: list[str]) -> tuple[Field, ...]:
    """Return fields with the first of them renamed, as an alias list does."""
    return tuple(
        replace(entry, name=names[index]) if index < len(names) else entry
        for index, entry in enumerate(fields)
    )
