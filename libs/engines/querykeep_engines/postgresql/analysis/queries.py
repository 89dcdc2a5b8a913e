"""Queries: SELECT, VALUES, set operations; their outputs, and each clause in its role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from querykeep_engines.postgresql.analysis import ctes, expressions, from_items, functions, types
from querykeep_engines.postgresql.analysis.columns import peek_row, reference_names, star_fields
from querykeep_engines.postgresql.analysis.labels import label
from querykeep_engines.postgresql.analysis.model import (
    MAX_COLUMNS,
    SELECT_LIST,
    Clause,
    Field,
    Findings,
    Scope,
    Value,
    without_origin,
)
from querykeep_engines.postgresql.analysis.parsing import TooComplexError, pb
from querykeep_guard.sql.facts import ColumnRole, Effect, ExpressionClass

_WHERE = Clause(ColumnRole.PREDICATE, "WHERE")
_HAVING = Clause(ColumnRole.PREDICATE, "HAVING")
_GROUP = Clause(ColumnRole.GROUP, "GROUP BY")
_ORDER = Clause(ColumnRole.ORDER, "ORDER BY")
_LIMIT = Clause(ColumnRole.LIMIT, "LIMIT")
_DISTINCT = Clause(ColumnRole.DISTINCT, "DISTINCT")
_DISTINCT_ON = Clause(ColumnRole.DISTINCT, "DISTINCT ON")
_SET_WORDS = {
    pb.SETOP_UNION: "UNION",
    pb.SETOP_INTERSECT: "INTERSECT",
    pb.SETOP_EXCEPT: "EXCEPT",
}


def query(stmt: Any, parent: Scope | None, f: Findings) -> tuple[Field, ...] | None:
    """Walk a query and return its columns; None when they cannot be known (a problem says why)."""
    f.tick()
    outer, expressions_of = ctes.enter(stmt, parent, f)
    if stmt.op != pb.SETOP_NONE:
        fields = _set_operation(stmt, outer, f)
    elif stmt.values_lists:
        fields = _values(stmt, outer, f)
    else:
        fields = _select(stmt, outer, f)
    ctes.finish(expressions_of, f)
    if fields is not None and len(fields) > MAX_COLUMNS:
        raise TooComplexError(f"the statement has more than {MAX_COLUMNS} columns")
    return fields


def _select(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    scope = from_items.enter(stmt.from_clause, outer, f)
    if stmt.HasField("into_clause"):
        f.problem("unsupported", "SELECT INTO inside a statement is not understood")
    fields = target_list(stmt.target_list, scope, f)
    if stmt.HasField("where_clause"):
        expressions.evaluate(stmt.where_clause, scope, _WHERE, f)
    for item in stmt.group_clause:
        _group_item(item, scope, fields, f)
    if stmt.HasField("having_clause"):
        expressions.evaluate(stmt.having_clause, scope, _HAVING, f)
    for definition in stmt.window_clause:
        functions.window(definition.window_def, scope, f)
    if stmt.distinct_clause:
        _distinct(stmt.distinct_clause, scope, fields, f)
    for item in stmt.sort_clause:
        sort_item(item.sort_by, scope, fields, f)
    _limit(stmt, scope, f)
    if stmt.locking_clause:
        f.effects.add(Effect.LOCK)
    return fields


def target_list(
    targets: Iterable[Any], scope: Scope, f: Findings, clause: Clause = SELECT_LIST
) -> tuple[Field, ...] | None:
    """Return the columns of a select or RETURNING list; None when ``*`` cannot be expanded."""
    fields: list[Field] = []
    known = True
    for target in targets:
        entry = target.res_target
        kind = entry.val.WhichOneof("node")
        if kind == "column_ref" and entry.val.column_ref.fields[-1].WhichOneof("node") == "a_star":
            names, _ = reference_names(entry.val.column_ref)
            expanded = star_fields(names, scope, clause, f, entry.val.column_ref.location)
        elif kind == "a_indirection" and _ends_in_star(entry.val.a_indirection):
            expanded = _row_star(entry.val.a_indirection, scope, clause, f)
        else:
            value = expressions.evaluate(entry.val, scope, clause, f)
            fields.append(Field(entry.name or label(entry.val), value))
            continue
        if expanded is None:
            known = False
        else:
            fields.extend(expanded)
    return tuple(fields) if known else None


def _ends_in_star(node: Any) -> bool:
    return bool(node.indirection) and node.indirection[-1].WhichOneof("node") == "a_star"


def _row_star(node: Any, scope: Scope, clause: Clause, f: Findings) -> tuple[Field, ...] | None:
    """Expand ``(row).*`` of a select list."""
    if len(node.indirection) == 1 and node.arg.WhichOneof("node") == "column_ref":
        item = peek_row(node.arg.column_ref, scope)
        if item is not None and item.fields is not None:
            for field in item.fields:
                f.use(field.value.sources, clause, node.arg.column_ref.location)
            return item.fields
    value = expressions.evaluate(node.arg, scope, clause, f)
    if len(node.indirection) == 1 and value.fields is not None:
        return value.fields
    f.problem("unsupported", "(row).* over a row whose columns are not known")
    return None


def _values(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    scope = outer.child()
    columns: list[Value] = []
    for number, row in enumerate(stmt.values_lists):
        values = expressions.evaluate_all(row.list.items, scope, SELECT_LIST, f)
        if number == 0:
            columns = values
        elif len(values) != len(columns):
            f.problem("unsupported", "VALUES lists must all be of one length")
            return None
        else:
            columns = [types.unify(a, b) for a, b in zip(columns, values, strict=True)]
    fields = tuple(
        Field(f"column{index}", without_origin(value)) for index, value in enumerate(columns, 1)
    )
    for item in stmt.sort_clause:
        sort_item(item.sort_by, scope, fields, f)
    _limit(stmt, scope, f)
    return fields


def _set_operation(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    """Merge the arms by position; a chain of operations is walked without recursion."""
    spine = [stmt]
    while (left := spine[-1].larg).op != pb.SETOP_NONE and not _has_clauses(left):
        spine.append(left)
    fields = query(left, outer, f)
    for step in reversed(spine):
        fields = _merge_arms(step, fields, query(step.rarg, outer, f), f)
    scope = outer.child()
    for item in stmt.sort_clause:
        sort_item(item.sort_by, scope, fields, f)
    _limit(stmt, scope, f)
    if stmt.locking_clause:
        f.effects.add(Effect.LOCK)
    return fields


def _has_clauses(stmt: Any) -> bool:
    return bool(
        stmt.HasField("with_clause")
        or stmt.sort_clause
        or stmt.HasField("limit_count")
        or stmt.HasField("limit_offset")
        or stmt.locking_clause
    )


def _merge_arms(
    step: Any, left: tuple[Field, ...] | None, right: tuple[Field, ...] | None, f: Findings
) -> tuple[Field, ...] | None:
    word = _SET_WORDS.get(step.op, "set operation")
    if step.op != pb.SETOP_UNION or not step.all:
        clause = Clause(ColumnRole.SET_OPERATION, word)
        for field in (*(left or ()), *(right or ())):
            f.use(field.value.sources, clause)
    if left is None or right is None:
        return None
    if len(left) != len(right):
        f.problem("unsupported", f"the arms of {word} have different numbers of columns")
        return None
    return merge_fields(left, right)


def merge_fields(left: tuple[Field, ...], right: tuple[Field, ...]) -> tuple[Field, ...]:
    """Return the columns of a set operation over two arms of equal width."""
    return tuple(
        Field(a.name, types.unify(a.value, b.value)) for a, b in zip(left, right, strict=True)
    )


def _ordinal(node: Any) -> int | None:
    if node.WhichOneof("node") == "a_const" and node.a_const.WhichOneof("val") == "ival":
        return int(node.a_const.ival.ival)
    return None


def _by_ordinal(number: int, fields: tuple[Field, ...] | None, clause: Clause, f: Findings) -> None:
    f.literals_matter = True
    if fields is None:
        f.problem("unsupported", f"{clause.name} {number} over columns that are not known")
    elif 1 <= number <= len(fields):
        f.use(fields[number - 1].value.sources, clause)


def _bare_name(node: Any) -> str | None:
    if node.WhichOneof("node") != "column_ref" or len(node.column_ref.fields) != 1:
        return None
    part = node.column_ref.fields[0]
    return part.string.sval if part.WhichOneof("node") == "string" else None


def _group_item(node: Any, scope: Scope, fields: tuple[Field, ...] | None, f: Findings) -> None:
    """GROUP BY: an input column before an output name; ordinals; grouping sets."""
    kind = node.WhichOneof("node")
    if kind == "grouping_set":
        for part in node.grouping_set.content:
            _group_item(part, scope, fields, f)
        return
    if kind == "row_expr":
        for part in node.row_expr.args:
            _group_item(part, scope, fields, f)
        return
    number = _ordinal(node)
    if number is not None:
        _by_ordinal(number, fields, _GROUP, f)
        return
    name = _bare_name(node)
    if name is not None and not scope.find(name):
        named = [field for field in fields or () if field.name == name]
        for field in named:
            f.use(field.value.sources, _GROUP, node.column_ref.location)
        if named:
            return
    expressions.evaluate(node, scope, _GROUP, f)


def _distinct(
    clause: Iterable[Any], scope: Scope, fields: tuple[Field, ...] | None, f: Findings
) -> None:
    items = [item for item in clause if item.WhichOneof("node") is not None]
    if not items:
        for field in fields or ():
            f.use(field.value.sources, _DISTINCT)
            if field.value.expression is ExpressionClass.TOTAL:
                f.use_function(field.value, "DISTINCT")
        return
    for item in items:
        _by_output(item, scope, fields, _DISTINCT_ON, f)


def sort_item(sort: Any, scope: Scope, fields: tuple[Field, ...] | None, f: Findings) -> None:
    """Note what one entry of ORDER BY sorts by."""
    if sort.use_op:
        parts = [part.string.sval for part in sort.use_op]
        expressions.check_operator(parts[-2] if len(parts) > 1 else "", parts[-1], sort.location, f)
    _by_output(sort.node, scope, fields, _ORDER, f)


def _by_output(
    node: Any, scope: Scope, fields: tuple[Field, ...] | None, clause: Clause, f: Findings
) -> None:
    """ORDER BY and DISTINCT ON: an output name before an input column; ordinals."""
    number = _ordinal(node)
    if number is not None:
        _by_ordinal(number, fields, clause, f)
        return
    name = _bare_name(node)
    if name is not None:
        named = [field for field in fields or () if field.name == name]
        for field in named:
            f.use(field.value.sources, clause, node.column_ref.location)
        if named:
            return
    expressions.evaluate(node, scope, clause, f)


def _limit(stmt: Any, scope: Scope, f: Findings) -> None:
    if stmt.HasField("limit_count"):
        expressions.evaluate(stmt.limit_count, scope, _LIMIT, f)
    if stmt.HasField("limit_offset"):
        expressions.evaluate(stmt.limit_offset, scope, _LIMIT, f)
