"""Result types by protocol type code: the engine's own name and the neutral kind for grids.

Source: MySQL internals, "Column Type" of the text protocol; character set 63 means binary.
"""

from __future__ import annotations

from querykeep_engines.kit.driver import ResultColumn

BINARY_CHARSET = 63
_UNSIGNED, _ENUM, _SET = 32, 256, 2048

# type code -> (name, kind)
_TYPES: dict[int, tuple[str, str]] = {
    0: ("decimal", "decimal"),
    1: ("tinyint", "integer"),
    2: ("smallint", "integer"),
    3: ("int", "integer"),
    4: ("float", "float"),
    5: ("double", "float"),
    6: ("null", "other"),
    7: ("timestamp", "timestamp"),
    8: ("bigint", "integer"),
    9: ("mediumint", "integer"),
    10: ("date", "date"),
    11: ("time", "time"),
    12: ("datetime", "timestamp"),
    13: ("year", "integer"),
    14: ("date", "date"),
    15: ("varchar", "text"),
    16: ("bit", "binary"),
    245: ("json", "json"),
    246: ("decimal", "decimal"),
    247: ("enum", "text"),
    248: ("set", "text"),
    249: ("tinytext", "text"),
    250: ("mediumtext", "text"),
    251: ("longtext", "text"),
    252: ("text", "text"),
    253: ("varchar", "text"),
    254: ("char", "text"),
    255: ("geometry", "binary"),
}
_BINARY_NAMES = {
    "tinytext": "tinyblob",
    "mediumtext": "mediumblob",
    "longtext": "longblob",
    "text": "blob",
    "varchar": "varbinary",
    "char": "binary",
}


def result_column(name: str, type_code: int, charset: int, flags: int) -> ResultColumn:
    """Return how a result column is shown; an unknown code is ``other``, never an error."""
    type_name, kind = _TYPES.get(type_code, (f"type {type_code}", "other"))
    if type_code == 254 and flags & _ENUM:
        type_name = "enum"
    elif type_code == 254 and flags & _SET:
        type_name = "set"
    elif kind == "text" and charset == BINARY_CHARSET:
        type_name, kind = _BINARY_NAMES.get(type_name, type_name), "binary"
    elif kind == "integer" and flags & _UNSIGNED:
        type_name += " unsigned"
    return ResultColumn(name, type_name, kind)
