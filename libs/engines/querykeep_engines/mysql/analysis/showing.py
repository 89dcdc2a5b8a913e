"""The columns of those SHOW statements that tell how much is stored, by flavour and version.

Tools read keys and tables through them, so that they are not refused: what tells a size is hidden
in their result. Sources: MySQL Reference Manual, "SHOW INDEX", "SHOW TABLE STATUS"; MariaDB
knowledge base, the same pages.
"""

from __future__ import annotations

from querykeep_engines.mysql.analysis.lineage import (
    IDENTITY,
    NOTHING,
    Lineage,
    NamedColumn,
    named,
)
from querykeep_engines.mysql.syntax.modes import LexicalModes
from querykeep_guard.sql.facts import STORED_SIZE

SIZE = Lineage(frozenset({STORED_SIZE}), IDENTITY, 20)
"""The lineage of a value that tells how much is stored."""

_INDEX = (
    "Table Non_unique Key_name Seq_in_index Column_name Collation Cardinality Sub_part Packed Null "
    "Index_type Comment Index_comment"
)
_TABLES = (
    "Name Engine Version Row_format Rows Avg_row_length Data_length Max_data_length Index_length "
    "Data_free Auto_increment Create_time Update_time Check_time Collation Checksum Create_options "
    "Comment"
)
_SIZED = frozenset(
    {"Cardinality", "Rows", "Avg_row_length", "Data_length", "Max_data_length", "Index_length"}
    | {"Data_free", "Auto_increment", "Create_time", "Update_time", "Check_time", "Checksum"}
    | {"Max_index_length"}
)


def shown_columns(topic: str, modes: LexicalModes) -> tuple[NamedColumn, ...] | None:
    """Return the columns of ``SHOW INDEX`` or ``SHOW TABLE STATUS``, or None for another topic."""
    match topic:
        case "index":
            text = _INDEX + _since(modes, index=True)
        case "table_status":
            text = _TABLES + _since(modes, index=False)
        case _:
            return None
    return tuple(named(name, SIZE if name in _SIZED else NOTHING) for name in text.split())


def _since(modes: LexicalModes, *, index: bool) -> str:
    version = modes.version
    if modes.is_mariadb:
        if index:
            return " Ignored" if version >= (10, 6, 0) else ""
        return " Max_index_length Temporary" if version >= (10, 3, 5) else ""
    if index:
        return (" Visible" if version >= (8, 0, 0) else "") + (
            " Expression" if version >= (8, 0, 13) else ""
        )
    return ""
