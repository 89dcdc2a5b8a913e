"""What a value is made of, and what a name means: lineage, relations in FROM, scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from querykeep_guard.sql.facts import ColumnName, ColumnOrigin, ExpressionClass, RelationName

IDENTITY, TOTAL, OTHER = 0, 1, 2
CLASSES = (ExpressionClass.IDENTITY, ExpressionClass.TOTAL, ExpressionClass.OTHER)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The stored columns that a value is made of. ``rank`` is IDENTITY, TOTAL or OTHER; ``weight``
    how many copies of stored values it can hold."""

    sources: frozenset[ColumnName] = frozenset()
    rank: int = IDENTITY
    weight: int = 0
    origin: ColumnOrigin | None = None


NOTHING = Lineage()


def combine(parts: Iterable[Lineage], rank: int) -> Lineage:
    """Return the lineage of a value made of others by something of class ``rank``."""
    sources: frozenset[ColumnName] = frozenset()
    weight = 0
    for part in parts:
        if part.sources:
            sources = sources | part.sources if sources else part.sources
            rank = max(rank, part.rank)
            weight += part.weight
    return Lineage(sources, rank, weight) if sources else NOTHING


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column of a row: its name, the folded name, its lineage."""

    name: str
    key: str
    lineage: Lineage


def named(name: str, lineage: Lineage) -> NamedColumn:
    """Return a column under a name."""
    return NamedColumn(name, name.lower(), lineage)


@dataclass(frozen=True, slots=True)
class Binding:
    """A relation in FROM under its alias. ``open`` relations take any column name: system views
    whose columns are not listed, and what was refused already. ``sized`` are columns (folded) that
    tell size or place of tables."""

    alias: str
    schema: str
    relation: RelationName | None
    columns: tuple[NamedColumn, ...]
    open: bool = False
    sized: frozenset[str] = frozenset()

    def find(self, key: str) -> Lineage | None:
        """Return the lineage of a column by its folded name."""
        found: Lineage | None = None
        for column in self.columns:
            if column.key == key:
                found = column.lineage if found is None else combine((found, column.lineage), OTHER)
        if found is None and self.open:
            return NOTHING
        return found


@dataclass(slots=True)
class Scope:
    """The names that an expression sees. ``visible`` is the row of FROM with USING columns merged;
    ``aliases`` the select list's; ``see_aliases`` whether expressions at this level may use
    them."""

    parent: Scope | None
    bindings: list[Binding] = field(default_factory=list)
    visible: list[NamedColumn] = field(default_factory=list)
    aliases: dict[str, Lineage] = field(default_factory=dict)
    see_aliases: bool = False
    star_is_certain: bool = True
    ctes: dict[str, tuple[NamedColumn, ...]] = field(default_factory=dict)
    windows: frozenset[str] = frozenset()
    _by_key: dict[str, list[Lineage]] | None = None

    def is_open(self) -> bool:
        """True when a relation here takes any name."""
        return any(binding.open for binding in self.bindings)

    def find_all(self, key: str) -> list[Lineage]:
        """Return the lineages of all visible columns of a folded name."""
        if self._by_key is None:
            self._by_key = {}
            for column in self.visible:
                self._by_key.setdefault(column.key, []).append(column.lineage)
        return self._by_key.get(key, [])
