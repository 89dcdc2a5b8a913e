"""What a value is made of, and what a name means: lineage, relations in FROM, scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from querykeep_guard.sql.facts import ColumnName, ColumnOrigin, ExpressionClass, RelationName

IDENTITY, TOTAL, OTHER = 0, 1, 2
UNBOUNDED = 1 << 40
"""The size of a value of which no bound is known, in bytes."""
CLASSES = (ExpressionClass.IDENTITY, ExpressionClass.TOTAL, ExpressionClass.OTHER)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The stored columns that a value is made of. ``rank`` is IDENTITY, TOTAL or OTHER; ``size``
    the most bytes that it can have, constants in it counted: a result beyond the packet limit
    becomes NULL with a warning, which would tell how long a stored value is. ``is_binary``: its
    bytes may be no text, so that reading them as text can warn."""

    sources: frozenset[ColumnName] = frozenset()
    rank: int = IDENTITY
    size: int = UNBOUNDED
    origin: ColumnOrigin | None = None
    is_binary: bool = False


NOTHING = Lineage()
"""A value of which only is known that no stored value is in it."""


def combine(parts: Iterable[Lineage], rank: int) -> Lineage:
    """Return the lineage of a value chosen or made from others by something of class ``rank``, and
    that is no longer than the longest of them."""
    sources: frozenset[ColumnName] = frozenset()
    size = 0
    is_binary = False
    for part in parts:
        size = max(size, part.size)
        is_binary = is_binary or part.is_binary
        if part.sources:
            sources = sources | part.sources if sources else part.sources
            rank = max(rank, part.rank)
    return Lineage(sources, rank if sources else IDENTITY, size, None, is_binary)


def without_origin(lineage: Lineage) -> Lineage:
    """Return the lineage of the same value where the protocol no longer names its column."""
    if lineage.origin is None:
        return lineage
    return Lineage(lineage.sources, lineage.rank, lineage.size, None, lineage.is_binary)


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
    them; ``window_keys`` are unqualified names in the keys of windows, with their positions."""

    parent: Scope | None
    bindings: list[Binding] = field(default_factory=list)
    visible: list[NamedColumn] = field(default_factory=list)
    aliases: dict[str, Lineage] = field(default_factory=dict)
    see_aliases: bool = False
    star_is_certain: bool = True
    ctes: dict[str, tuple[NamedColumn, ...]] = field(default_factory=dict)
    windows: frozenset[str] = frozenset()
    window_keys: list[tuple[str, int]] = field(default_factory=list)
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
