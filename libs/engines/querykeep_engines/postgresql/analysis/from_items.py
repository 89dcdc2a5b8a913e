"""FROM: tables, views, subqueries, functions, joins, and what names they bring into sight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from querykeep_engines.postgresql.analysis import ctes, expressions, functions, queries, relations
from querykeep_engines.postgresql.analysis.labels import label
from querykeep_engines.postgresql.analysis.model import (
    NO_SOURCES,
    Clause,
    Field,
    Findings,
    Item,
    Scope,
    Value,
    merge,
    renamed,
)
from querykeep_engines.postgresql.analysis.parsing import pb
from querykeep_engines.postgresql.analysis.types import unify
from querykeep_guard.sql.facts import ColumnRole, ExpressionClass, RelationName

_ON = Clause(ColumnRole.JOIN, "JOIN ON")
_USING = Clause(ColumnRole.JOIN, "JOIN USING")
_FUNCTION = Clause(ColumnRole.FUNCTION, "function in FROM")
_ROWS_OF_ANY_SHAPE = frozenset(
    {
        *("json_populate_record", "json_populate_recordset", "json_to_record"),
        *("json_to_recordset", "jsonb_populate_record", "jsonb_populate_recordset"),
        *("jsonb_to_record", "jsonb_to_recordset"),
    }
)


@dataclass(slots=True)
class Part:
    """What one entry of FROM brings: table names, bare columns in order of ``*``."""

    items: list[Item]
    columns: list[Field]
    unknown: bool = False

    @classmethod
    def of(cls, item: Item) -> Part:
        """Return the part of a single item."""
        return cls([item], list(item.fields or ()), item.fields is None)


def enter(clause: Iterable[Any], outer: Scope, f: Findings) -> Scope:
    """Return the scope of a query over its FROM list."""
    scope = outer.child()
    for node in clause:
        part = _part(node, scope, f)
        scope.add(part.items, part.columns, unknown=part.unknown)
    return scope


def add(node: Any, scope: Scope, f: Findings) -> None:
    """Bring one more entry (of USING, MERGE …) into a scope."""
    part = _part(node, scope, f)
    scope.add(part.items, part.columns, unknown=part.unknown)


def _part(node: Any, scope: Scope, f: Findings) -> Part:
    """Return what an entry brings; ``scope`` holds the entries before it, for LATERAL."""
    f.tick()
    kind = node.WhichOneof("node")
    if kind == "range_var":
        return Part.of(_table(node.range_var, scope, f))
    if kind == "join_expr":
        return _join(node.join_expr, scope, f)
    if kind == "range_subselect":
        return Part.of(_subselect(node.range_subselect, scope, f))
    if kind == "range_function":
        return Part.of(_function(node.range_function, scope, f))
    if kind == "range_table_func":
        return Part.of(_xml_table(node.range_table_func, scope, f))
    if kind == "range_table_sample":
        return _sample(node.range_table_sample, scope, f)
    if kind == "json_table":
        return Part.of(_json_table(node.json_table, scope, f))
    f.problem("unsupported", f"{kind} in FROM is not understood", unmasked=True)
    return Part([], [], unknown=True)


def _aliased(item: Item, alias: Any) -> Item:
    names = [part.string.sval for part in alias.colnames]
    if alias.aliasname:
        item.alias, item.schema = alias.aliasname, ""
    if names and item.fields is not None:
        item.fields = renamed(item.fields, names)
    return item


def _table(node: Any, scope: Scope, f: Findings) -> Item:
    if not node.schemaname:
        cte = scope.cte(node.relname)
        if cte is not None:
            fields = ctes.columns(cte, f)
            return _aliased(Item(node.relname, fields), node.alias)
    return _aliased(relations.item(node, f), node.alias)


def _subselect(node: Any, scope: Scope, f: Findings) -> Item:
    parent = scope if node.lateral else scope.parent
    fields = queries.query(node.subquery.select_stmt, parent, f)
    return _aliased(Item("", fields), node.alias)


def _sample(node: Any, scope: Scope, f: Findings) -> Part:
    part = _part(node.relation, scope, f)
    for item in part.items:
        if item.relation is not None:
            about = f"{item.relation.schema}.{item.relation.name}"
            f.problem(
                "unsafe",
                f'TABLESAMPLE on "{about}" shows how it is stored',
                about=about,
                only=RelationName(item.relation.schema, item.relation.name),
            )
    expressions.evaluate_all(node.args, scope, _FUNCTION, f)
    expressions.evaluate(node.repeatable, scope, _FUNCTION, f)
    return part


def _function(node: Any, scope: Scope, f: Findings) -> Item:
    """``f(x) AS t(a, b)``, ``ROWS FROM (…)``, WITH ORDINALITY, a column definition list."""
    alias = node.alias.aliasname
    fields: list[Field] | None = []
    sources = NO_SOURCES
    first_name = ""
    for pair in node.functions:
        call = pair.list.items[0]
        definitions = node.coldeflist or (
            pair.list.items[1].list.items if len(pair.list.items) > 1 else ()
        )
        arguments = list(call.func_call.args) if call.WhichOneof("node") == "func_call" else []
        value = expressions.evaluate(call, scope, _FUNCTION, f)
        sources = sources | value.sources
        name = label(call)
        first_name = first_name or name
        names = _result_names(call, definitions, arguments, alias, f)
        if names is None or fields is None:
            fields = None
            continue
        made = Value(value.sources, ExpressionClass.OTHER)
        fields += [Field(column, made) for column in names]
    if fields is not None and node.ordinality:
        fields.append(Field("ordinality", Value(type_oid=20, type_name="bigint")))
    item = Item(first_name, None if fields is None else tuple(fields), sources=sources)
    return _aliased(item, node.alias)


def _result_names(
    call: Any, definitions: Any, arguments: list[Any], alias: str, f: Findings
) -> list[str] | None:
    """Return the column names of a function in FROM, or None when they cannot be known."""
    if definitions:
        return [part.column_def.colname for part in definitions]
    name = label(call)
    if call.WhichOneof("node") != "func_call":
        return [alias or name]
    schema, bare = functions.function_name(call.func_call)
    builtin = functions.lookup(schema, bare, f)
    if builtin is None or bare in _ROWS_OF_ANY_SHAPE:
        return None
    if builtin.columns:
        return list(builtin.columns)
    if bare == "unnest":
        if len(arguments) == 1:
            return [alias or name]
        return [name] * len(arguments)
    return [alias or name]


def _xml_table(node: Any, scope: Scope, f: Findings) -> Item:
    values = [
        expressions.evaluate(node.docexpr, scope, _FUNCTION, f),
        expressions.evaluate(node.rowexpr, scope, _FUNCTION, f),
        *expressions.evaluate_all(node.namespaces, scope, _FUNCTION, f),
    ]
    names = []
    for part in node.columns:
        column = part.range_table_func_col
        names.append(column.colname)
        values.append(expressions.evaluate(column.colexpr, scope, _FUNCTION, f))
        values.append(expressions.evaluate(column.coldefexpr, scope, _FUNCTION, f))
    value = f.opaque(values, "XMLTABLE", node.location)
    return _aliased(Item("xmltable", tuple(Field(name, value) for name in names)), node.alias)


def _json_table(node: Any, scope: Scope, f: Findings) -> Item:
    if f.version < 17:
        f.problem(
            "unknown_function",
            "JSON_TABLE is syntax of PostgreSQL 17; this server reads it otherwise",
            unmasked=True,
        )
    value = f.opaque(expressions.inside(node, scope, _FUNCTION, f), "JSON_TABLE", node.location)
    names: list[str] = []
    _json_names(node.columns, names)
    return _aliased(Item("json_table", tuple(Field(n, value) for n in names)), node.alias)


def _json_names(columns: Iterable[Any], names: list[str]) -> None:
    for part in columns:
        column = part.json_table_column
        if column.columns:
            _json_names(column.columns, names)
        else:
            names.append(column.name)


def _join(node: Any, scope: Scope, f: Findings) -> Part:
    """Walk a chain of joins from its left end without recursion."""
    spine = [node]
    while spine[-1].larg.WhichOneof("node") == "join_expr":
        spine.append(spine[-1].larg.join_expr)
    part = _part(spine[-1].larg, scope, f)
    for step in reversed(spine):
        part = _join_step(step, part, scope, f)
    return part


def _join_step(node: Any, left: Part, scope: Scope, f: Findings) -> Part:
    sight = scope
    if node.rarg.WhichOneof("node") != "range_var":
        sight = Scope(parent=scope.parent)
        sight.add(scope.items, scope.columns, unknown=scope.has_unknown)
        sight.add(left.items, left.columns, unknown=left.unknown)
    right = _part(node.rarg, sight, f)
    unknown = left.unknown or right.unknown
    names = [part.string.sval for part in node.using_clause]
    if node.is_natural:
        if unknown:
            f.problem("unsupported", "NATURAL JOIN over columns that are not known")
        there = {field.name for field in right.columns}
        names = [field.name for field in left.columns if field.name in there]
    joined = Part([*left.items, *right.items], [*left.columns, *right.columns], unknown)
    if names:
        merged = _merge_columns(names, left, right, node, f)
        rest = [field for field in joined.columns if field.name not in names]
        joined.columns = [*merged, *rest]
        if node.join_using_alias.aliasname:
            joined.items.append(Item(node.join_using_alias.aliasname, tuple(merged)))
    if node.HasField("quals"):
        inside = Scope(parent=scope.parent)
        inside.add(joined.items, joined.columns, unknown=joined.unknown)
        expressions.evaluate(node.quals, inside, _ON, f)
    if node.alias.aliasname:
        fields = None if unknown else tuple(joined.columns)
        sources = merge([field.value for field in joined.columns]).sources
        item = _aliased(Item("", fields, sources=sources), node.alias)
        return Part.of(item)
    return joined


def _merge_columns(
    names: list[str], left: Part, right: Part, node: Any, f: Findings
) -> list[Field]:
    """Return the columns that USING and NATURAL merge; both sides are compared."""
    merged = []
    expressions.check_operator("", "=", -1, f)
    for name in names:
        lefts = [field.value for field in left.columns if field.name == name]
        rights = [field.value for field in right.columns if field.name == name]
        for value in (*lefts, *rights):
            f.use(value.sources, _USING)
        if len(lefts) != 1 or len(rights) != 1:
            if not (left.unknown or right.unknown):
                f.problem("unknown_column", f'column "{name}" of USING is not known', about=name)
            merged.append(Field(name, merge([*lefts, *rights], ExpressionClass.OTHER)))
            continue
        value = unify(lefts[0], rights[0])
        origin = {
            pb.JOIN_INNER: lefts[0].origin,
            pb.JOIN_LEFT: lefts[0].origin,
            pb.JOIN_RIGHT: rights[0].origin,
        }.get(node.jointype)
        merged.append(
            Field(
                name,
                Value(value.sources, value.expression, origin, value.type_oid, value.type_name),
            )
        )
    return merged


__all__ = ["Part", "RelationName", "add", "enter"]
