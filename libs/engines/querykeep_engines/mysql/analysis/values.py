"""Lineage of expressions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from querykeep_engines.mysql.analysis import functions as f
from querykeep_engines.mysql.analysis.calls import CallAnalysis
from querykeep_engines.mysql.analysis.lineage import (
    NOTHING,
    OTHER,
    TOTAL,
    Lineage,
    NamedColumn,
    Scope,
    combine,
    without_origin,
)
from querykeep_engines.mysql.analysis.sizes import NUMBER_SIZE
from querykeep_engines.mysql.analysis.walking import names_within
from querykeep_engines.mysql.syntax import nodes as n
from querykeep_engines.mysql.syntax.words import AGGREGATES, WINDOW_ONLY, keyword
from querykeep_guard.sql.facts import ColumnRole, Effect, RelationName

if TYPE_CHECKING:
    from querykeep_engines.mysql.syntax.nodes import Expression

_LOGICAL = frozenset({"AND", "OR", "XOR", "&&", "=", "<=>", ">=", ">", "<=", "<", "<>", "!="})


class ValueAnalysis(CallAnalysis, ABC):
    """Finds what values are made of. Queries inside come from the query analysis built on it."""

    # --- entry points -------------------------------------------------------------------------

    def value(self, expression: Expression, scope: Scope) -> Lineage:
        """Return the lineage of an expression that stands as a value."""
        outer, self._in_predicate = self._in_predicate, False
        try:
            return self._lineage(expression, scope)
        finally:
            self._in_predicate = outer

    def predicate(
        self,
        expression: Expression,
        scope: Scope,
        clause: str,
        role: ColumnRole = ColumnRole.PREDICATE,
    ) -> None:
        """Note every column of an expression in a role that shapes the result."""
        outer, self._in_predicate = self._in_predicate, True
        try:
            self._note(expression, scope, clause, role)
        finally:
            self._in_predicate = outer

    def _note(self, expression: Expression, scope: Scope, clause: str, role: ColumnRole) -> None:
        """Note columns with the position of each operand of a conjunction, for good error texts."""
        if isinstance(expression, n.Chain) and all(op in _LOGICAL for op, _ in expression.rest):
            for operand in (expression.first, *(part for _, part in expression.rest)):
                self._note(operand, scope, clause, role)
            return
        if isinstance(expression, n.Paren):
            self._note(expression.value, scope, clause, role)
            return
        self.record.use(self._lineage(expression, scope), role, clause, expression.position)

    @abstractmethod
    def query_columns(
        self, query: n.QueryExpression, scope: Scope | None, *, projects: bool = True
    ) -> tuple[NamedColumn, ...]:
        """Return the output columns of a query that stands inside ``scope``."""

    # --- expressions --------------------------------------------------------------------------

    def _lineage(self, expression: Expression, scope: Scope) -> Lineage:
        return _METHODS[type(expression)](self, expression, scope)

    def _constant(self, expression: Expression, scope: Scope) -> Lineage:
        return NOTHING

    def _literal_value(self, expression: n.Literal, scope: Scope) -> Lineage:
        is_binary = expression.kind in ("hex", "bit") or (
            expression.tokens[0].value in ("_BINARY", "BINARY")
        )
        return Lineage(size=4 * len(expression.value), is_binary=is_binary)

    def _column(self, expression: n.ColumnRef, scope: Scope) -> Lineage:
        return self.resolve(expression, scope)

    def _star(self, expression: n.Star, scope: Scope) -> Lineage:
        return NOTHING

    def _unary(self, expression: n.Unary, scope: Scope) -> Lineage:
        operand = self._lineage(expression.operand, scope)
        if expression.operator in ("NOT", "!"):
            return self._conditional((operand,), f"operator {expression.operator}", expression)
        if expression.operator == "BINARY":
            return self._as_binary(operand)
        return self._fallible((operand,), f"operator {expression.operator}", expression)

    def _chain(self, expression: n.Chain, scope: Scope) -> Lineage:
        parts = [self._lineage(expression.first, scope)]
        operators = []
        for operator, operand in expression.rest:
            operators.append(operator)
            parts.append(self._lineage(operand, scope))
        if self.record.modes.pipes_as_concat and set(operators) == {"||"}:
            return self._total(parts, sum(part.size for part in parts), "operator ||", expression)
        if all(op in _LOGICAL or op == "||" for op in operators):
            return self._conditional(parts, f"operator {operators[0]}", expression)
        return self._fallible(parts, f"operator {operators[0]}", expression)

    def _assignment(self, expression: n.Assignment, scope: Scope) -> Lineage:
        found = self._lineage(expression.value, scope)
        self._copied(found, f"user variable @{expression.target.name}", expression.position)
        return found

    def _compared_query(
        self, query: n.QueryExpression, scope: Scope, what: str
    ) -> tuple[Lineage, ...]:
        columns = self.query_columns(query, scope)
        found = tuple(column.lineage for column in columns)
        for lineage in found:
            self.record.use(lineage, ColumnRole.PREDICATE, what, query.position)
        return found

    def _quantified(self, expression: n.Quantified, scope: Scope) -> Lineage:
        left = self._lineage(expression.left, scope)
        found = self._compared_query(expression.query, scope, expression.quantifier)
        self.record.use(left, ColumnRole.PREDICATE, expression.quantifier, expression.position)
        return combine((left, *found), OTHER)

    def _in_query(self, expression: n.InQuery, scope: Scope) -> Lineage:
        left = self._lineage(expression.operand, scope)
        found = self._compared_query(expression.query, scope, "IN")
        self.record.use(left, ColumnRole.PREDICATE, "IN", expression.position)
        return combine((left, *found), OTHER)

    def _in_list(self, expression: n.InList, scope: Scope) -> Lineage:
        parts = [self._lineage(expression.operand, scope)]
        for item in expression.items:
            if not isinstance(item, n.Literal):
                parts.append(self._lineage(item, scope))
        return self._conditional(parts, "operator IN", expression)

    def _between(self, expression: n.Between, scope: Scope) -> Lineage:
        parts = [
            self._lineage(part, scope)
            for part in (expression.operand, expression.low, expression.high)
        ]
        return self._conditional(parts, "operator BETWEEN", expression)

    def _like(self, expression: n.Like, scope: Scope) -> Lineage:
        parts = [self._lineage(expression.operand, scope), self._lineage(expression.pattern, scope)]
        if expression.escape is not None:
            parts.append(self._lineage(expression.escape, scope))
        what = f"operator {' '.join(expression.words)}"
        if expression.words[0] in ("REGEXP", "RLIKE"):
            return self._fallible(parts, what, expression)
        return self._conditional(parts, what, expression)

    def _member(self, expression: n.MemberOf, scope: Scope) -> Lineage:
        parts = (self._lineage(expression.operand, scope), self._lineage(expression.array, scope))
        return self._fallible(parts, "operator MEMBER OF", expression)

    def _is_test(self, expression: n.IsTest, scope: Scope) -> Lineage:
        operand = self._lineage(expression.operand, scope)
        return self._conditional((operand,), f"IS {' '.join(expression.words)}", expression)

    def _case(self, expression: n.Case, scope: Scope) -> Lineage:
        conditions = [] if expression.operand is None else [expression.operand]
        conditions += [when for when, _ in expression.whens]
        tests = [self._lineage(part, scope) for part in conditions]
        tested = self._conditional(tests, "CASE", expression)
        results = [self._lineage(then, scope) for _, then in expression.whens]
        if expression.default is not None:
            results.append(self._lineage(expression.default, scope))
        return combine((self.chosen_by(tested), *results), TOTAL)

    def _interval(self, expression: n.Interval, scope: Scope) -> Lineage:
        return self._fallible((self._lineage(expression.value, scope),), "INTERVAL", expression)

    def _row(self, expression: n.Row, scope: Scope) -> Lineage:
        return combine([self._lineage(item, scope) for item in expression.items], OTHER)

    def _paren(self, expression: n.Paren, scope: Scope) -> Lineage:
        return without_origin(self._lineage(expression.value, scope))

    def _subquery(self, expression: n.SubqueryExpression, scope: Scope) -> Lineage:
        found = self.query_columns(expression.query, scope)
        if len(found) == 1:
            return without_origin(found[0].lineage)
        return combine((column.lineage for column in found), OTHER)

    def _exists(self, expression: n.Exists, scope: Scope) -> Lineage:
        self.query_columns(expression.query, scope)
        return NOTHING

    def _match(self, expression: n.Match, scope: Scope) -> Lineage:
        parts = [self._lineage(column, scope) for column in expression.columns]
        parts.append(self._lineage(expression.against, scope))
        return self._fallible(parts, "MATCH", expression)

    def _collated(self, expression: n.Collated, scope: Scope) -> Lineage:
        return combine((self._lineage(expression.operand, scope),), TOTAL)

    def _default_value(self, expression: n.DefaultValue, scope: Scope) -> Lineage:
        if expression.column is None:
            return NOTHING
        return combine((self.resolve(expression.column, scope),), OTHER)

    def _inserted(self, expression: n.InsertedValue, scope: Scope) -> Lineage:
        self.resolve(expression.column, scope)
        return NOTHING

    def _odbc(self, expression: n.OdbcEscape, scope: Scope) -> Lineage:
        return combine((self._lineage(expression.value, scope),), OTHER)

    # --- functions ----------------------------------------------------------------------------

    def _call(self, expression: n.Call, scope: Scope) -> Lineage:
        parts = [self._lineage(arg, scope) for arg in expression.args]
        name = keyword(expression.parts[-1].value)
        what = f"function {name.lower()}()"
        if len(expression.parts) > 1 or name not in f.KNOWN[self.record.modes.is_mariadb]:
            return self._unknown_call(expression, parts, name, what)
        self.record.functions.setdefault(name)
        if name in f.WAITING:
            self.record.waiting.append((name, expression.position))
        if name in WINDOW_ONLY or expression.over is not None:
            return self._windowed(expression, parts, what, scope)
        if name in AGGREGATES:
            return self._aggregate(expression, parts, what, scope)
        if name == "LAST_INSERT_ID" and parts:
            self._copied(combine(parts, OTHER), "LAST_INSERT_ID()", expression.position)
        return self._builtin(name, expression, expression.args, parts, what)

    def _sequence(self, expression: n.SequenceValue, scope: Scope) -> Lineage:
        """Note the sequence that is read or moved on."""
        parts = [part.value for part in expression.sequence]
        schema, name = parts if len(parts) == 2 else (self.record.database, parts[0])
        known = self.record.index.relation(schema, name)
        if known is None or known.kind != "sequence":
            self.record.problem(
                "unknown_relation",
                f'sequence "{schema}.{name}" is not in the catalog',
                object_=f"{schema}.{name}",
                position=expression.position,
            )
        target = self.record.writes if expression.writes else self.record.reads
        target.setdefault(RelationName(schema, name))
        if expression.writes:
            self.record.effects.add(Effect.WRITE)
        for arg in expression.args:
            self._fallible((self._lineage(arg, scope),), "SETVAL", expression)
        return Lineage(size=NUMBER_SIZE)

    def _aggregate(
        self, expression: n.Call, parts: list[Lineage], what: str, scope: Scope
    ) -> Lineage:
        for item in expression.order:
            parts.append(self._lineage(item.value, scope))
        found = combine(parts, OTHER)
        self.record.use(found, ColumnRole.AGGREGATE, what, expression.position)
        return found

    def _windowed(
        self, expression: n.Call, parts: list[Lineage], what: str, scope: Scope
    ) -> Lineage:
        for item in expression.order:
            parts.append(self._lineage(item.value, scope))
        found = combine(parts, OTHER)
        self.record.use(found, ColumnRole.WINDOW, what, expression.position)
        shape = NOTHING
        if isinstance(expression.over, n.Window):
            shape = self.window(expression.over, scope)
        elif expression.over is not None:
            key = f"window {expression.over.value.lower()}"
            shape = scope.aliases.get(key, NOTHING)
            if expression.over.value.lower() not in scope.windows:
                self.record.problem(
                    "unsupported",
                    f'window "{expression.over.value}" is not defined here',
                    position=expression.position,
                )
        return combine((found, shape), OTHER)

    def window(self, window: n.Window, scope: Scope) -> Lineage:
        """Note the columns of a window specification; return what its rows depend on."""
        scope.window_keys += names_within((window.partition, window.order))
        parts = [self._lineage(part, scope) for part in window.partition]
        parts += [self._lineage(item.value, scope) for item in window.order]
        parts += [
            self._lineage(bound.value, scope) for bound in window.bounds if bound.value is not None
        ]
        if window.base is not None and window.base.value.lower() not in scope.windows:
            self.record.problem(
                "unsupported",
                f'window "{window.base.value}" is not defined here',
                position=window.base.position,
            )
        found = combine(parts, OTHER)
        self.record.use(found, ColumnRole.WINDOW, "OVER")
        return found

    def _special(self, expression: n.SpecialCall, scope: Scope) -> Lineage:
        args = expression.args
        parts = [self._lineage(arg, scope) for arg in args]
        name = expression.name
        self.record.functions.setdefault(name)
        what = f"function {name.lower()}()"
        if name == "TRIM":
            subject = parts[-1]
            if len(args) == 1 or isinstance(args[0], n.Literal):
                return self._total([subject], subject.size, what, expression)
        if name == "CONVERT" and "USING" in expression.form:
            charset = expression.form[-1]
            into = charset.value.lower() if isinstance(charset, n.Name) else ""
            if into == "binary":
                return self._as_binary(parts[0])
            if into == "utf8mb4" and self._is_stored_text(parts[0]):
                return self._total(parts, parts[0].size, what, expression)
        if (
            name in ("CAST", "CONVERT")
            and self._is_plain_char(expression)
            and self._may_hold_all()
            and self._is_stored_text(parts[0])
        ):
            return self._total(parts, parts[0].size, what, expression)
        return self._builtin(name, expression, args, parts, what)


_METHODS: dict[type, Callable[..., Lineage]] = {
    n.Literal: ValueAnalysis._literal_value,
    n.Parameter: ValueAnalysis._constant,
    n.UserVariable: ValueAnalysis._constant,
    n.SystemVariable: ValueAnalysis._constant,
    n.ColumnRef: ValueAnalysis._column,
    n.Star: ValueAnalysis._star,
    n.Unary: ValueAnalysis._unary,
    n.Chain: ValueAnalysis._chain,
    n.Assignment: ValueAnalysis._assignment,
    n.Quantified: ValueAnalysis._quantified,
    n.Between: ValueAnalysis._between,
    n.InList: ValueAnalysis._in_list,
    n.InQuery: ValueAnalysis._in_query,
    n.Like: ValueAnalysis._like,
    n.MemberOf: ValueAnalysis._member,
    n.IsTest: ValueAnalysis._is_test,
    n.Case: ValueAnalysis._case,
    n.Call: ValueAnalysis._call,
    n.SpecialCall: ValueAnalysis._special,
    n.SequenceValue: ValueAnalysis._sequence,
    n.Interval: ValueAnalysis._interval,
    n.Row: ValueAnalysis._row,
    n.Paren: ValueAnalysis._paren,
    n.SubqueryExpression: ValueAnalysis._subquery,
    n.Exists: ValueAnalysis._exists,
    n.Match: ValueAnalysis._match,
    n.Collated: ValueAnalysis._collated,
    n.DefaultValue: ValueAnalysis._default_value,
    n.InsertedValue: ValueAnalysis._inserted,
    n.OdbcEscape: ValueAnalysis._odbc,
}
