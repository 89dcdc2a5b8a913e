"""Names of output columns, as PostgreSQL makes them up. Source: ``FigureColname``."""

from __future__ import annotations

from typing import Any

from querykeep_engines.postgresql.analysis.parsing import pb

_UNNAMED = "?column?"
_FIXED = {
    "coalesce_expr": "coalesce",
    "grouping_func": "grouping",
    "row_expr": "row",
    "a_array_expr": "array",
    "merge_support_func": "merge_action",
    "xml_serialize": "xmlserialize",
    "json_object_constructor": "json_object",
    "json_array_constructor": "json_array",
    "json_array_query_constructor": "json_array",
    "json_object_agg": "json_objectagg",
    "json_array_agg": "json_arrayagg",
    "json_parse_expr": "json",
    "json_scalar_expr": "json_scalar",
    "json_serialize_expr": "json_serialize",
}
_SESSION_VALUES = {
    1: "current_date",
    2: "current_time",
    3: "current_time",
    4: "current_timestamp",
    5: "current_timestamp",
    6: "localtime",
    7: "localtime",
    8: "localtimestamp",
    9: "localtimestamp",
    10: "current_role",
    11: "current_user",
    12: "user",
    13: "session_user",
    14: "current_catalog",
    15: "current_schema",
}
_XML = {1: "xmlconcat", 2: "xmlelement", 3: "xmlforest", 4: "xmlparse", 5: "xmlpi", 6: "xmlroot"}
_SUBLINKS = {pb.EXISTS_SUBLINK: "exists", pb.ARRAY_SUBLINK: "array"}


def label(node: Any) -> str:
    """Return the name of an unnamed select-list entry."""
    return _figure(node)[0] or _UNNAMED


def _figure(node: Any) -> tuple[str, int]:
    """Return (name, strength): 2 a real name, 1 a type's name, 0 none."""
    kind = node.WhichOneof("node")
    if kind is None:
        return "", 0
    inner = getattr(node, kind)
    if kind == "column_ref":
        names = [part.string.sval for part in inner.fields if part.HasField("string")]
        return (names[-1], 2) if names else ("", 0)
    if kind == "a_indirection":
        names = [part.string.sval for part in inner.indirection if part.HasField("string")]
        return (names[-1], 2) if names else _figure(inner.arg)
    if kind == "func_call":
        return inner.funcname[-1].string.sval, 2
    if kind == "type_cast":
        name, strength = _figure(inner.arg)
        if strength < 2 and inner.type_name.names:
            return inner.type_name.names[-1].string.sval, 1
        return name, strength
    if kind == "collate_clause":
        return _figure(inner.arg)
    if kind == "case_expr":
        name, strength = _figure(inner.defresult)
        return (name, strength) if strength > 1 else ("case", 1)
    if kind == "a_expr":
        return ("nullif", 2) if inner.kind == pb.AEXPR_NULLIF else ("", 0)
    if kind == "min_max_expr":
        return ("greatest" if inner.op == pb.IS_GREATEST else "least"), 2
    if kind == "sub_link":
        return _sub_link(inner)
    if kind == "sqlvalue_function":
        return _SESSION_VALUES.get(inner.op, ""), 2
    if kind == "xml_expr":
        return _XML.get(inner.op, ""), 2
    if kind == "json_func_expr":
        return inner.column_name or "json_value", 2
    return (_FIXED[kind], 2) if kind in _FIXED else ("", 0)


def _sub_link(node: Any) -> tuple[str, int]:
    if node.sub_link_type == pb.EXPR_SUBLINK and node.subselect.select_stmt.target_list:
        target = node.subselect.select_stmt.target_list[0].res_target
        return (target.name, 2) if target.name else _figure(target.val)
    name = _SUBLINKS.get(node.sub_link_type, "")
    return name, 2 if name else 0
