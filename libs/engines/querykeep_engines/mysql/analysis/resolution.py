"""What a column's name means: scopes from the innermost outwards."""

from __future__ import annotations

from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    NOTHING,
    Binding,
    Lineage,
    Scope,
    combine,
)
from querykeep_engines.mysql.analysis.record import Record
from querykeep_engines.mysql.syntax import nodes as n


class NameResolution:
    """Resolves names for one statement, whose findings go into the record."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def resolve(self, ref: n.ColumnRef, scope: Scope) -> Lineage:
        """Return the lineage of a column's name, as the innermost scope that knows it has it."""
        key = ref.parts[-1].value.lower()
        at: Scope | None = scope
        is_inner = True
        is_open = False
        while at is not None:
            found = (
                self._unqualified(key, at, with_aliases=not is_inner or at.see_aliases)
                if len(ref.parts) == 1
                else self._qualified(ref.parts, key, at)
            )
            if found is not None:
                return found
            if len(ref.parts) == 1 and at.is_open():
                self._note_sized(key, at.bindings)
                is_open = True
            at = at.parent
            is_inner = False
        if is_open:
            return NOTHING
        name = ".".join(part.value for part in ref.parts)
        self.record.problem(
            "unknown_column",
            f'column "{name}" is not in the tables named here',
            object_=name,
            position=ref.position,
        )
        return NOTHING

    def _unqualified(self, key: str, scope: Scope, *, with_aliases: bool) -> Lineage | None:
        found = scope.find_all(key)
        if with_aliases and key in scope.aliases:
            found = [*found, scope.aliases[key]]
        if not found:
            return None
        self._note_sized(key, scope.bindings)
        return found[0] if len(found) == 1 else combine(found, IDENTITY)

    def _qualified(self, parts: tuple[n.Name, ...], key: str, scope: Scope) -> Lineage | None:
        index = self.record.index
        table = parts[-2].value
        for binding in scope.bindings:
            folds = index.folds or binding.schema.lower() == "information_schema"
            if binding.alias != table and not (folds and binding.alias.lower() == table.lower()):
                continue
            if len(parts) == 3 and index.fold_schema(parts[0].value) != index.fold_schema(
                binding.schema
            ):
                continue
            found = binding.find(key)
            if found is not None:
                self._note_sized(key, [binding])
                return found
        return None

    def _note_sized(self, key: str, bindings: list[Binding]) -> None:
        for binding in bindings:
            if binding.open and key in binding.sized:
                self.record.problem(
                    "unsafe",
                    f'column "{key}" of "{binding.relation}" tells size or place of tables',
                    object_=str(binding.relation),
                    matters_unmasked=False,
                )
