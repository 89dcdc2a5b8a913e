"""How long a stored value can be, by the type of its column, and whether its bytes are text.

Source: MySQL Reference Manual, "Data Type Storage Requirements"; MariaDB knowledge base, the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from querykeep_engines.mysql.analysis.lineage import UNBOUNDED

MAX_SIZE = 1024 * 1024
"""The longest value, in bytes, that a function which makes its argument longer may give: far below
the packet limit of any server, beyond which a result becomes NULL with a warning."""

NUMBER_SIZE = 90
"""No number or time is written with more bytes."""

_TYPE = re.compile(r"\s*([a-z0-9_]+)(?:\s+varying)?\s*(?:\((.*)\))?", re.IGNORECASE | re.DOTALL)
_FIXED = {
    "tinytext": 255,
    "text": 65_535,
    "tinyblob": 255,
    "blob": 65_535,
    "inet4": 16,
    "inet6": 46,
    "uuid": 36,
}
_COUNTED = {"char": 4, "varchar": 4, "nchar": 4, "nvarchar": 4, "binary": 1, "varbinary": 1}
_BINARY = ("blob", "binary", "bit", "geom", "point", "line", "polygon", "multi", "vector")
_NUMBERS = (
    *("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric"),
    *("float", "double", "real", "year", "date", "time", "datetime", "timestamp", "bit"),
)


@lru_cache(maxsize=4096)
def size_of(type_name: str) -> int:
    """Return the most bytes that a value of this type has as text; UNBOUNDED where unknown."""
    found = _TYPE.match(type_name)
    if found is None:
        return UNBOUNDED
    name, inside = found[1].lower(), found[2] or ""
    if name in _NUMBERS:
        return NUMBER_SIZE
    if name in ("enum", "set"):
        return len(inside) * 4
    if name in _COUNTED:
        return (int(inside) if inside.isdigit() else 65_535) * _COUNTED[name]
    return _FIXED.get(name, UNBOUNDED)


@lru_cache(maxsize=4096)
def is_binary(type_name: str) -> bool:
    """Return whether a type's values are bytes rather than text, a number or a time."""
    name = type_name.strip().lower()
    return any(part in name.split("(", 1)[0] for part in _BINARY)
