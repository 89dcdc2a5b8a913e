"""Types and casts: which type a name means, and whether a cast may fail or run a user's code."""

from __future__ import annotations

from typing import Any

from querykeep_engines.postgresql.analysis.model import TEXT_TYPES, Findings, Value, merge
from querykeep_engines.postgresql.analysis.names import PG_CATALOG, TEMP
from querykeep_guard.sql.facts import STORED_SIZE, Effect, ExpressionClass

_TYPE_NAMES = """
bool bytea char name int8 int2 int2vector int4 regproc text oid tid xid cid oidvector json xml
pg_node_tree xid8 point lseg path box polygon line float4 float8 unknown circle money macaddr inet
cidr macaddr8 aclitem bpchar varchar date time timestamp timestamptz interval timetz bit varbit
numeric refcursor regprocedure regoper regoperator regclass regcollation regtype regrole
regnamespace uuid pg_lsn tsvector tsquery regconfig regdictionary jsonb jsonpath txid_snapshot
pg_snapshot int4range numrange tsrange tstzrange daterange int8range int4multirange nummultirange
tsmultirange tstzmultirange datemultirange int8multirange record cstring
"""
_BUILTIN_TYPES = frozenset(_TYPE_NAMES.split())
_TEXT_NAMES = {"text": 25, "varchar": 1043, "bpchar": 1042, "name": 19}
_OIDS = {"int4": 23, "int8": 20, "int2": 21, "numeric": 1700, "bool": 16, "date": 1082, "json": 114}
# OIDs of scalar builtins whose text output cannot fail: bool bytea char name int8 int2 int4 text
# oid json float4 float8 money macaddr inet cidr bpchar varchar date time timestamp timestamptz
# interval timetz numeric uuid jsonb.
_PRINTABLE = frozenset(
    {16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 790, 829, 869, 650, 1042, 1043}
    | {1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802, 705}
)
# relpages, sizes in bytes and reltuples fit into these, whatever they are: such a cast cannot fail.
_SIZES = frozenset({20, 23, 700, 1700})
_WIDE = frozenset({"int8", "numeric", "float8"})


def name_of(type_name: Any) -> tuple[str, str]:
    """Return (schema, name) of a ``TypeName``."""
    parts = [part.string.sval for part in type_name.names]
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


def is_builtin(schema: str, name: str, f: Findings) -> bool:
    """True when the name means a type of pg_catalog here."""
    if name not in _BUILTIN_TYPES:
        return False
    if schema:
        return schema == PG_CATALOG
    for entry in f.names.path:
        if entry == PG_CATALOG:
            return True
        if entry != TEMP and f.names.user_type(entry, name):
            return False
    return False


def check(type_name: Any, location: int, f: Findings) -> str:
    """Note a problem for a type that is unknown or whose input runs a user's code; return its
    bare name."""
    schema, name = name_of(type_name)
    if type_name.pct_type or type_name.setof:
        f.problem("unsupported", f"type {name}%TYPE is not understood", location=location)
        return name
    if is_builtin(schema, name, f):
        if f.names.has_user_cast(name):
            _user_code(f"a cast to {name} may run a user-defined function", name, location, f)
        return name
    kind = f.names.user_type(schema, name)
    if kind in ("enum", "range", "multirange", "relation", "composite"):
        return name
    if kind:
        _user_code(f"type {name} may run a user-defined check", name, location, f)
    else:
        f.problem("unknown_function", f'type "{name}" is not known', about=name, location=location)
    return name


def _user_code(message: str, name: str, location: int, f: Findings) -> None:
    f.problem("unknown_function", message, about=name, location=location)
    f.effects.add(Effect.PROCEDURE)


def cast(value: Value, type_name: Any, location: int, f: Findings) -> Value:
    """Return the value of ``value::type``."""
    name = check(type_name, location, f)
    is_array = len(type_name.array_bounds) > 0
    text_oid = 0 if is_array or type_name.typmods else _TEXT_NAMES.get(name, 0)
    spoken = name + ("[]" if is_array else "")
    if not value.sources:
        oid = 0 if is_array else _TEXT_NAMES.get(name, 0) or _OIDS.get(name, 0)
        return Value(value.sources, value.expression, None, oid, spoken)
    if text_oid and value.fields is None and value.type_oid in _PRINTABLE and text_oid != 19:
        expression = value.expression
        if expression is ExpressionClass.IDENTITY:
            expression = ExpressionClass.TOTAL
        return Value(value.sources, expression, None, text_oid, name)
    if STORED_SIZE in value.sources and value.type_oid in _SIZES and name in _WIDE:
        return Value(value.sources, ExpressionClass.TOTAL, None, text_oid, spoken)
    opaque = f.opaque([value], f"cast to {spoken}", location)
    return Value(opaque.sources, opaque.expression, None, text_oid, spoken)


def same_kind(left: Value, right: Value) -> bool:
    """True when a set operation or USING merges the two without a conversion that may fail."""
    if left.type_oid == right.type_oid and left.type_oid:
        return True
    if left.type_oid in TEXT_TYPES and right.type_oid in TEXT_TYPES:
        return True
    return 705 in (left.type_oid, right.type_oid)


def unify(left: Value, right: Value) -> Value:
    """Return the value of one column of a set operation's result."""
    merged = merge([left, right])
    expression = merged.expression
    if left.sources and right.sources and not same_kind(left, right):
        expression = ExpressionClass.OTHER
    winner = left if left.type_oid not in (0, 705) else right
    return Value(merged.sources, expression, None, winner.type_oid, winner.type_name)
