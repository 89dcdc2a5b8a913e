"""Record: what the analysis of one statement has found so far, and the bounds it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from querykeep_engines.mysql.analysis.lineage import Lineage, NamedColumn
from querykeep_engines.mysql.analysis.names import CatalogIndex
from querykeep_engines.mysql.syntax.modes import LexicalModes
from querykeep_guard.sql.facts import (
    ColumnName,
    ColumnRole,
    ColumnUse,
    Effect,
    Problem,
    RelationName,
    SessionContext,
    SettingChange,
)

_UseKey = tuple[ColumnName, ColumnRole, str, RelationName | None]

MAX_USES = 200_000
"""Column uses kept for one statement; beyond it the statement counts as too complex."""

_MISSING = frozenset({"unknown_relation", "unknown_column"})


@dataclass(slots=True)
class Record:
    """Findings, in the order in which they were made; duplicates are dropped."""

    index: CatalogIndex
    context: SessionContext
    modes: LexicalModes
    database: str
    reads: dict[RelationName, None] = field(default_factory=dict)
    writes: dict[RelationName, None] = field(default_factory=dict)
    touches: dict[RelationName, None] = field(default_factory=dict)
    uses: dict[_UseKey, int] = field(default_factory=dict)
    functions: dict[str, None] = field(default_factory=dict)
    settings: list[SettingChange] = field(default_factory=list)
    effects: set[Effect] = field(default_factory=set)
    problems: dict[Problem, None] = field(default_factory=dict)
    objects: dict[str, None] = field(default_factory=dict)
    kinds: dict[str, None] = field(default_factory=dict)
    written_literals: list[tuple[ColumnName, str]] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)
    view_columns: dict[RelationName, tuple[NamedColumn, ...]] = field(default_factory=dict)
    open_views: list[RelationName] = field(default_factory=list)
    via: RelationName | None = None

    def use(self, lineage: Lineage, role: ColumnRole, clause: str, position: int = -1) -> None:
        """Note that every source of a value stands in a role."""
        for column in lineage.sources:
            key = (column, role, clause, self.via)
            if key not in self.uses:
                self.uses[key] = position
        if len(self.uses) > MAX_USES:
            self.problem("too_complex", "the statement uses too many columns", position=position)

    def problem(
        self,
        code: str,
        message: str,
        *,
        object_: str = "",
        position: int = -1,
        matters_unmasked: bool | None = None,
        only: RelationName | None = None,
    ) -> None:
        """Note why the statement is refused.

        What the catalog lacks, the server lacks too or nobody has hidden: for a person without any
        rule the server itself answers, in its own words, unless the caller says otherwise.
        """
        if matters_unmasked is None:
            matters_unmasked = code not in _MISSING
        if self.via is not None:
            message = f'{message} (in view "{self.via}")'
            position = -1
        self.problems.setdefault(Problem(code, message, object_, position, matters_unmasked, only))

    def column_uses(self) -> tuple[ColumnUse, ...]:
        """Return the uses as facts have them."""
        return tuple(
            ColumnUse(column, role, clause, -1 if via is not None else position, via)
            for (column, role, clause, via), position in self.uses.items()
        )
