"""Expressions: every node type of the grammar that can stand in one, each handled or refused.

``evaluate`` returns what a value is made of and notes each column in its role. A node that is not
on the list of total ones notes ``ColumnRole.FUNCTION`` for every column below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from querykeep_engines.postgresql.analysis import functions, types
from querykeep_engines.postgresql.analysis.columns import column, peek_row
from querykeep_engines.postgresql.analysis.model import (
    CONSTANT,
    TEXT_OID,
    UNKNOWN_OID,
    Clause,
    Findings,
    Scope,
    Value,
    merge,
    without_origin,
)
from querykeep_engines.postgresql.analysis.parsing import pb
from querykeep_guard.sql.facts import ColumnRole, ExpressionClass

# Roles in which a bare comparison is what the clause is for, so that no FUNCTION use is noted.
_COMPARING = frozenset({ColumnRole.PREDICATE, ColumnRole.JOIN})
_COMPARISONS = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"})
_SYMBOLS = """
!! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> <<
<<= <<| <= <> <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> ||
||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~* !=
"""
_OPERATORS = frozenset(_SYMBOLS.split())
# First server version (major) that reads these as the grammar does; an older one calls a user's
# function of that name, or refuses.
_SINCE = {
    "json_object_constructor": (16, "JSON_OBJECT"),
    "json_array_constructor": (16, "JSON_ARRAY"),
    "json_array_query_constructor": (16, "JSON_ARRAY"),
    "json_object_agg": (16, "JSON_OBJECTAGG"),
    "json_array_agg": (16, "JSON_ARRAYAGG"),
    "json_is_predicate": (16, "IS JSON"),
    "json_func_expr": (17, "JSON_QUERY/JSON_VALUE/JSON_EXISTS"),
    "json_parse_expr": (17, "JSON"),
    "json_scalar_expr": (17, "JSON_SCALAR"),
    "json_serialize_expr": (17, "JSON_SERIALIZE"),
    "merge_support_func": (17, "MERGE_ACTION"),
}
Handler = Callable[[Any, Scope, Clause, Findings], Value]


def evaluate(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Return the value of an expression node; an absent node is a constant."""
    f.tick()
    kind = node.WhichOneof("node")
    if kind is None:
        return CONSTANT
    handler = HANDLERS.get(kind)
    if handler is None:
        f.problem("unsupported", f"expression {kind} is not understood", unmasked=True)
        return Value(expression=ExpressionClass.OTHER)
    return handler(getattr(node, kind), scope, clause, f)


def evaluate_all(nodes: Iterable[Any], scope: Scope, clause: Clause, f: Findings) -> list[Value]:
    """Evaluate each node of a list."""
    return [evaluate(node, scope, clause, f) for node in nodes]


def total(values: Iterable[Value]) -> Value:
    """Return the text value of a total node: hidden whole when it holds something hidden."""
    merged = merge(values)
    if merged.sources and merged.expression is ExpressionClass.IDENTITY:
        merged = merge([merged], ExpressionClass.TOTAL)
    return Value(merged.sources, merged.expression, None, TEXT_OID, "text")


def note(value: Value, clause: Clause, f: Findings, location: int = -1) -> None:
    """Note a value that came from elsewhere (a subquery) as standing in a clause."""
    if value.sources:
        f.use(value.sources, clause, location)


def _constant(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    kind = node.WhichOneof("val")
    if kind == "sval" or kind is None:
        return Value(type_oid=UNKNOWN_OID, type_name="text")
    return _CONSTANTS[kind]


_CONSTANTS = {
    "ival": Value(type_oid=23, type_name="integer"),
    "fval": Value(type_oid=1700, type_name="numeric"),
    "boolval": Value(type_oid=16, type_name="boolean"),
    "bsval": Value(type_oid=1560, type_name="bit"),
}


def _parameter(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return CONSTANT


def _operator(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Walk down a chain of operators without recursion, then combine on the way up."""
    spine = [node]
    while spine[-1].lexpr.WhichOneof("node") == "a_expr":
        spine.append(spine[-1].lexpr.a_expr)
    left = evaluate(spine[-1].lexpr, scope, clause, f) if spine[-1].HasField("lexpr") else None
    for step in reversed(spine):
        f.tick()
        right = evaluate(step.rexpr, scope, clause, f)
        left = _combine(step, left, right, clause, f)
    return left if left is not None else CONSTANT


def _combine(node: Any, left: Value | None, right: Value, clause: Clause, f: Findings) -> Value:
    parts = [part.string.sval for part in node.name]
    symbol = parts[-1] if parts else "="
    values = [right] if left is None else [left, right]
    kind = node.kind
    if (
        kind in (pb.AEXPR_BETWEEN, pb.AEXPR_NOT_BETWEEN, pb.AEXPR_BETWEEN_SYM)
        or kind == pb.AEXPR_NOT_BETWEEN_SYM
    ):
        symbol = "<="
    elif kind == pb.AEXPR_SIMILAR:
        symbol = "~"
    schema = parts[-2] if len(parts) > 1 else ""
    check_operator(schema, symbol, node.location, f)
    if symbol == "||" and all(value.is_text for value in values):
        return total(values)
    if kind == pb.AEXPR_NULLIF:
        return f.opaque(values, "NULLIF", node.location)
    if symbol in _COMPARISONS and clause.role in _COMPARING:
        return merge(values, ExpressionClass.OTHER)
    return f.opaque(values, f"operator {symbol}", node.location)


def check_operator(schema: str, symbol: str, location: int, f: Findings) -> None:
    """Note a problem when an operator is no builtin or may be a user's own."""
    if f.names.user_operator(schema, symbol) or (
        schema not in ("", "pg_catalog") or symbol not in _OPERATORS
    ):
        f.problem(
            "unknown_function",
            f"operator {symbol} is not a builtin that is known to be safe",
            about=f"operator {symbol}",
            location=location,
        )
        functions.unvouched(f)


def _list(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return merge(evaluate_all(node.items, scope, clause, f))


def _boolean(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    values = evaluate_all(node.args, scope, clause, f)
    if clause.role in _COMPARING:
        return merge(values, ExpressionClass.OTHER)
    return f.opaque(values, "boolean expression", node.location)


def _null_test(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    value = evaluate(node.arg, scope, clause, f)
    if clause.role in _COMPARING:
        return merge([value], ExpressionClass.OTHER)
    return f.opaque([value], "IS NULL", node.location)


def _boolean_test(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    value = evaluate(node.arg, scope, clause, f)
    if clause.role in _COMPARING:
        return merge([value], ExpressionClass.OTHER)
    return f.opaque([value], "IS TRUE", node.location)


def _case(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Conditions are predicates; a text result is hidden whole when one arm is hidden."""
    condition = Clause(ColumnRole.PREDICATE, "CASE")
    judged = [evaluate(node.arg, scope, condition, f)] if node.HasField("arg") else []
    results = []
    for arm in node.args:
        judged.append(evaluate(arm.case_when.expr, scope, condition, f))
        results.append(evaluate(arm.case_when.result, scope, clause, f))
    results.append(evaluate(node.defresult, scope, clause, f))
    if node.HasField("arg"):
        check_operator("", "=", node.location, f)
    sources = merge(judged, ExpressionClass.OTHER)
    if all(value.is_text or value is CONSTANT for value in results):
        value = total(results)
        return merge([value, sources]) if not sources.sources else _with(value, sources)
    return f.opaque([*results, sources], "CASE", node.location)


def _with(value: Value, condition: Value) -> Value:
    """Add what decided to what was chosen; the decision itself is judged as a predicate."""
    return Value(
        value.sources | condition.sources,
        ExpressionClass.OTHER if not value.sources else value.expression,
        None,
        value.type_oid,
        value.type_name,
    )


def _coalesce(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    values = evaluate_all(node.args, scope, clause, f)
    if all(value.is_text for value in values):
        return total(values)
    return f.opaque(values, "COALESCE", node.location)


def _min_max(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    values = evaluate_all(node.args, scope, clause, f)
    return f.opaque(values, "GREATEST/LEAST", node.location)


def _row(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    values = evaluate_all(node.args, scope, clause, f)
    if clause.role in _COMPARING:
        return merge(values, ExpressionClass.OTHER)
    return f.opaque(values, "ROW", node.location)


def _array(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return f.opaque(evaluate_all(node.elements, scope, clause, f), "ARRAY", node.location)


def _indirection(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """``(row).field``, ``array[i]``: a field of a known row is that column and no other."""
    steps = list(node.indirection)
    if node.arg.WhichOneof("node") == "column_ref":
        item = peek_row(node.arg.column_ref, scope)
        if item is not None and item.fields is not None and steps:
            first = steps[0]
            found = item.find(first.string.sval) if first.WhichOneof("node") == "string" else []
            if len(found) == 1:
                note(found[0], clause, f, node.arg.column_ref.location)
                return _steps(found[0], steps[1:], scope, clause, f)
    return _steps(evaluate(node.arg, scope, clause, f), steps, scope, clause, f)


def _steps(value: Value, steps: list[Any], scope: Scope, clause: Clause, f: Findings) -> Value:
    for step in steps:
        kind = step.WhichOneof("node")
        if kind == "string" and value.fields is not None:
            name = step.string.sval
            found = [entry.value for entry in value.fields if entry.name == name]
            if len(found) == 1:
                value = without_origin(found[0])
                continue
        if kind == "a_indices":
            bounds = [
                evaluate(step.a_indices.lidx, scope, clause, f),
                evaluate(step.a_indices.uidx, scope, clause, f),
            ]
            value = f.opaque([value, *bounds], "subscript")
        elif kind == "string":
            name = step.string.sval
            if f.names.user_routine("", name):
                f.problem("unknown_function", f"{name}() is not known to be safe", about=name)
                functions.unvouched(f)
            value = f.opaque([value], f"field {name}")
        else:
            value = f.opaque([value], "field selection")
            f.problem("unsupported", "(row).* in an expression is not understood")
    return value


def _collate(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    value = evaluate(node.arg, scope, clause, f)
    if node.HasField("arg") and value.is_text:
        return total([value]) if value.sources else value
    return f.opaque([value], "COLLATE", node.location)


def _cast(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    value = evaluate(node.arg, scope, clause, f)
    return types.cast(value, node.type_name, node.location, f)


def _sub_link(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    fields = f.subquery(node.subselect.select_stmt, scope)
    values = [entry.value for entry in fields or ()]
    kind = node.sub_link_type
    if kind == pb.EXISTS_SUBLINK:
        return Value(type_oid=16, type_name="boolean")
    for value in values:
        note(value, clause, f, node.location)
    if kind == pb.EXPR_SUBLINK:
        if len(values) == 1:
            return without_origin(values[0])
        return f.opaque(values, "row subquery", node.location)
    if kind == pb.ARRAY_SUBLINK:
        return f.opaque(values, "ARRAY subquery", node.location)
    tested = evaluate(node.testexpr, scope, clause, f)
    parts = [part.string.sval for part in node.oper_name] or ["="]
    check_operator(parts[-2] if len(parts) > 1 else "", parts[-1], node.location, f)
    if parts[-1] in _COMPARISONS and clause.role in _COMPARING:
        return merge([tested, *values], ExpressionClass.OTHER)
    return f.opaque([tested, *values], f"{parts[-1]} ANY/ALL subquery", node.location)


def _session_value(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return CONSTANT


def _grouping(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    grouping = Clause(ColumnRole.GROUP, "GROUPING")
    return merge(evaluate_all(node.args, scope, grouping, f), ExpressionClass.OTHER)


def _named_argument(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return evaluate(node.arg, scope, clause, f)


def _target(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """XMLELEMENT's attributes and XMLFOREST's items are written as select-list entries."""
    return evaluate(node.val, scope, clause, f)


def _xml(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    values = evaluate_all([*node.named_args, *node.args], scope, clause, f)
    return f.opaque(values, "XML expression", node.location)


def _xml_serialize(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return f.opaque([evaluate(node.expr, scope, clause, f)], "XMLSERIALIZE", node.location)


def _default(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    return CONSTANT


def _json(kind: str) -> Handler:
    since, word = _SINCE[kind]

    def handle(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
        if f.version < since:
            f.problem(
                "unknown_function",
                f"{word} is syntax of PostgreSQL {since}; this server reads it otherwise",
                about=word,
                unmasked=True,
            )
        role = clause
        if kind in ("json_object_agg", "json_array_agg"):
            role = Clause(ColumnRole.AGGREGATE, f"aggregate {word}")
        values = inside(node, scope, role, f)
        return f.opaque(values, word)

    return handle


def inside(message: Any, scope: Scope, clause: Clause, f: Findings) -> list[Value]:
    """Evaluate every expression below a node that is only made of expressions and options."""
    values: list[Value] = []
    for descriptor, content in message.ListFields():
        if descriptor.message_type is None:
            continue
        repeated = not hasattr(content, "DESCRIPTOR")
        for part in content if repeated else [content]:
            if part.DESCRIPTOR.name == "Node":
                kind = part.WhichOneof("node")
                if kind == "select_stmt":
                    fields = f.subquery(part.select_stmt, scope)
                    values += [entry.value for entry in fields or ()]
                elif kind in HANDLERS:
                    values.append(evaluate(part, scope, clause, f))
                elif kind is not None:
                    values += inside(getattr(part, kind), scope, clause, f)
            elif part.DESCRIPTOR.name == "WindowDef":
                functions.window(part, scope, f)
            elif part.DESCRIPTOR.name == "FuncCall":
                values.append(functions.call(part, scope, clause, f))
            elif part.DESCRIPTOR.name not in ("TypeName", "JsonFormat", "JsonReturning"):
                values += inside(part, scope, clause, f)
    return values


HANDLERS: dict[str, Handler] = {
    "a_const": _constant,
    "param_ref": _parameter,
    "column_ref": column,
    "a_expr": _operator,
    "bool_expr": _boolean,
    "null_test": _null_test,
    "boolean_test": _boolean_test,
    "case_expr": _case,
    "coalesce_expr": _coalesce,
    "min_max_expr": _min_max,
    "row_expr": _row,
    "a_array_expr": _array,
    "a_indirection": _indirection,
    "collate_clause": _collate,
    "type_cast": _cast,
    "sub_link": _sub_link,
    "func_call": functions.call,
    "sqlvalue_function": _session_value,
    "grouping_func": _grouping,
    "named_arg_expr": _named_argument,
    "res_target": _target,
    "xml_expr": _xml,
    "xml_serialize": _xml_serialize,
    "set_to_default": _default,
    "current_of_expr": _default,
    "list": _list,
    **{kind: _json(kind) for kind in _SINCE},
}
