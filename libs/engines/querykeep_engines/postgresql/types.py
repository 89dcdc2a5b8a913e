"""Result types by OID: the engine's own name, and the neutral kind that grids and exports use.

OIDs of built-in types are fixed by PostgreSQL (``pg_type.dat``). A type of the database's own has
no fixed OID; it is shown as text and named by its number.
"""

from __future__ import annotations

import psycopg

from querykeep_engines.kit.driver import ResultColumn

_KINDS = {
    "text": (
        "text",
        "varchar",
        "bpchar",
        "char",
        "name",
        "xml",
        "tsvector",
        "tsquery",
        "refcursor",
    ),
    "integer": ("int2", "int4", "int8", "oid", "xid", "xid8", "cid"),
    "decimal": ("numeric",),
    "float": ("float4", "float8"),
    "boolean": ("bool",),
    "date": ("date",),
    "time": ("time", "timetz"),
    "timestamp": ("timestamp",),
    "timestamptz": ("timestamptz",),
    "interval": ("interval",),
    "json": ("json", "jsonb"),
    "binary": ("bytea",),
    "uuid": ("uuid",),
}
_KIND_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}
_VARHDRSZ = 4


def result_column(name: str, type_oid: int, modifier: int) -> ResultColumn:
    """Return the neutral description of a result column; ``modifier`` is ``atttypmod`` or -1."""
    info = psycopg.postgres.types.get(type_oid)
    if info is None:
        return ResultColumn(name, f"type {type_oid}", "other")
    if info.array_oid == type_oid:
        return ResultColumn(name, f"{info.regtype}[]", "array")
    return ResultColumn(
        name, info.regtype + _modifier(info.name, modifier), _KIND_BY_NAME.get(info.name, "other")
    )


def _modifier(type_name: str, modifier: int) -> str:
    """Print a type modifier as ``format_type`` does, for the types where people look for it."""
    if modifier < _VARHDRSZ:
        return ""
    if type_name in ("varchar", "bpchar"):
        return f"({modifier - _VARHDRSZ})"
    if type_name == "numeric":
        packed = modifier - _VARHDRSZ
        scale = packed & 0x7FF
        return f"({packed >> 16},{scale - 0x800 if scale >= 0x400 else scale})"
    return ""
