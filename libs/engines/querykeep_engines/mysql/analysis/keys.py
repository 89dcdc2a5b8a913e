"""What orders and groups rows, or says from where they are read: keys, window keys, index hints,
partitions, optimizer hints.

A key may be the place of an output column, its name, or an expression, and the server finds
places where one would not look: ``ORDER BY (1)``, ``+1``, ``{d 1}``, ``TRUE`` and, bound to a
number, ``?``. In a window it looks among the output columns first (MariaDB).
"""

from __future__ import annotations

import re

from querykeep_engines.kit.lexing import Token, TokenKind, word_set
from querykeep_engines.mysql.analysis.lineage import Binding, NamedColumn, Scope
from querykeep_engines.mysql.analysis.relations import RelationAnalysis
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_guard.sql.facts import ColumnRole

_HINT_WORD = re.compile(r"[A-Za-z_]+")
_KNOWN_HINTS = word_set("""
    BKA NO_BKA BNL NO_BNL HASH_JOIN NO_HASH_JOIN MERGE NO_MERGE DERIVED_CONDITION_PUSHDOWN
    NO_DERIVED_CONDITION_PUSHDOWN JOIN_FIXED_ORDER JOIN_ORDER JOIN_PREFIX JOIN_SUFFIX
    MAX_EXECUTION_TIME MRR NO_MRR NO_ICP QB_NAME SEMIJOIN NO_SEMIJOIN SUBQUERY
    NO_RANGE_OPTIMIZATION
    """)
"""Optimizer hints that change how a result is computed, not which rows come first."""


def _at(place: int, columns: tuple[NamedColumn, ...]) -> tuple[NamedColumn, ...]:
    return columns[place - 1 : place] if place > 0 else ()


class KeyAnalysis(RelationAnalysis):
    """Notes what keys and hints use."""

    def _key(
        self,
        value: n.Expression,
        columns: tuple[NamedColumn, ...],
        scope: Scope,
        role: ColumnRole,
        clause: str,
        *,
        alias_first: bool,
    ) -> None:
        """Note one key of GROUP BY or ORDER BY: an ordinal, an alias, a column, an expression."""
        inner = value
        while True:
            if isinstance(inner, n.Paren | n.OdbcEscape):
                inner = inner.value
            elif isinstance(inner, n.Unary) and inner.operator == "+":
                inner = inner.operand
            else:
                break
        placed = self._placed(inner, columns)
        if placed is not None:
            for column in placed:
                self.record.use(column.lineage, role, clause, value.position)
            return
        if isinstance(inner, n.ColumnRef) and len(inner.parts) == 1:
            key = inner.parts[0].value.lower()
            matching = [column.lineage for column in columns if column.key == key]
            for lineage in matching:
                self.record.use(lineage, role, clause, inner.position)
            if matching and (alias_first or not scope.find_all(key)):
                return
        outer, scope.see_aliases = scope.see_aliases, True
        self.predicate(value, scope, clause, role)
        scope.see_aliases = outer

    @staticmethod
    def _placed(
        value: n.Expression, columns: tuple[NamedColumn, ...]
    ) -> tuple[NamedColumn, ...] | None:
        """Return the output columns that a key may name by their place, None for no such key."""
        if isinstance(value, n.Parameter):
            return columns
        if not isinstance(value, n.Literal):
            return None
        if value.kind == "bool":
            return _at(1 if value.value == "TRUE" else 0, columns)
        if value.kind == "number" and value.value.isdigit():
            return _at(int(value.value), columns)
        return () if value.kind in ("number", "null", "string") else None

    def _order(
        self,
        query: n.QueryExpression,
        columns: tuple[NamedColumn, ...],
        inner: Scope | None,
        scope: Scope | None,
        ctes: dict[str, tuple[NamedColumn, ...]],
    ) -> None:
        if not query.order:
            return
        at = inner
        if at is None:
            at = Scope(scope, ctes=ctes, visible=list(columns))
            at.bindings = [Binding("", "", None, columns)]
        for item in query.order:
            self._key(item.value, columns, at, ColumnRole.ORDER, "ORDER BY", alias_first=True)

    def _window_aliases(self, scope: Scope, columns: tuple[NamedColumn, ...]) -> None:
        """Note output columns that the keys of this level's windows may mean by their name."""
        for key, position in scope.window_keys:
            for column in columns:
                if column.key == key:
                    self.record.use(column.lineage, ColumnRole.WINDOW, "OVER", position)

    def _check_selection(self, table: n.BaseTable, binding: Binding) -> None:
        """Note what PARTITION and index hints tell: which rows there are, or which comes first."""
        if table.partitions:
            for column in binding.columns:
                self.record.use(column.lineage, ColumnRole.PREDICATE, "PARTITION", table.position)
        if not table.hints or binding.relation is None:
            return
        names = {
            token.value.lower()
            for token in table.hints
            if token.kind in (TokenKind.WORD, TokenKind.QUOTED)
        }
        self._indexed(names, binding, "an index hint", table.position)

    def _indexed(self, names: set[str], binding: Binding, clause: str, position: int) -> None:
        if binding.relation is None:
            return
        relation = self.record.index.relation(binding.relation.schema, binding.relation.name)
        if relation is None:
            return
        known = {column.key: column.lineage for column in binding.columns}
        for index in relation.indexes:
            if index.name.lower() not in names:
                continue
            keys = known if index.has_expression else [c.lower() for c in index.columns]
            for key in keys:
                if key in known:
                    self.record.use(known[key], ColumnRole.ORDER, clause, position)

    def _check_hint(self, hint: Token | None, scope: Scope) -> None:
        """Judge an optimizer hint: one that names an index says which row comes first."""
        if hint is None:
            return
        words = {word.upper() for word in _HINT_WORD.findall(hint.value)}
        if "SET_VAR" in words or "RESOURCE_GROUP" in words:
            self.record.problem(
                "unsupported", "the optimizer hints SET_VAR and RESOURCE_GROUP are not supported"
            )
        called = {word.upper() for word in re.findall(r"([A-Za-z_]+)\s*\(", hint.value)}
        if called - _KNOWN_HINTS:
            names = set(re.findall(r"[\w$]+", hint.value.lower()))
            for binding in scope.bindings:
                self._indexed(names, binding, "an optimizer hint", hint.start)
