# ruff: noqa: S608 - every query here is put together from constants of this module
"""The queries of a crawl. Columns are read by position: MySQL 8 spells their names in capitals."""

from __future__ import annotations

_OWN = "('mysql', 'performance_schema', 'sys')"
_ENGINE = "('information_schema', 'mysql', 'performance_schema', 'sys')"

SETTING_NAMES = (
    "database",
    "sql_mode",
    "lower_case_table_names",
    "character_set_server",
    "collation_database",
    "version",
)
SETTINGS = """
SELECT DATABASE(), @@session.sql_mode, @@lower_case_table_names, @@character_set_server,
       @@collation_database, @@version
"""

SCHEMAS = f"SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN {_OWN}"

TABLES = f"""
SELECT table_schema, table_name, table_type, table_rows, table_comment
FROM information_schema.tables WHERE table_schema NOT IN {_OWN}
ORDER BY table_schema, table_name
"""

_COLUMNS = """
SELECT table_schema, table_name, column_name, ordinal_position, column_type, is_nullable,
       column_default, {generated}, character_set_name, column_comment
FROM information_schema.columns WHERE table_schema NOT IN {own}
ORDER BY table_schema, table_name, ordinal_position
"""
COLUMNS = _COLUMNS.format(generated="NULLIF(generation_expression, '')", own=_OWN)
COLUMNS_MARIADB = _COLUMNS.format(generated="generation_expression", own=_OWN)

VIEWS = f"""
SELECT table_schema, table_name, view_definition FROM information_schema.views
WHERE table_schema NOT IN {_ENGINE}
"""

_INDEXES = """
SELECT table_schema, table_name, index_name, non_unique, column_name, {expression}
FROM information_schema.statistics WHERE table_schema NOT IN {engine}
ORDER BY table_schema, table_name, index_name, seq_in_index
"""
INDEXES = _INDEXES.format(expression="expression", engine=_ENGINE)
INDEXES_MARIADB = _INDEXES.format(expression="NULL", engine=_ENGINE)

FOREIGN_KEYS = f"""
SELECT table_schema, table_name, constraint_name, column_name,
       referenced_table_schema, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE referenced_table_name IS NOT NULL AND table_schema NOT IN {_ENGINE}
ORDER BY table_schema, table_name, constraint_name, ordinal_position
"""

CHECKS_MARIADB = f"""
SELECT constraint_schema, table_name, constraint_name, check_clause
FROM information_schema.check_constraints WHERE constraint_schema NOT IN {_ENGINE}
"""
CHECKS = f"""
SELECT t.table_schema, t.table_name, c.constraint_name, c.check_clause
FROM information_schema.check_constraints c
JOIN information_schema.table_constraints t
  ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name
 AND t.constraint_type = 'CHECK'
WHERE c.constraint_schema NOT IN {_ENGINE}
"""

TRIGGERS = f"""
SELECT event_object_schema, event_object_table, trigger_name, event_manipulation, action_statement
FROM information_schema.triggers WHERE event_object_schema NOT IN {_ENGINE}
"""

ROUTINES = f"""
SELECT routine_schema, routine_name, routine_type FROM information_schema.routines
WHERE routine_schema NOT IN {_ENGINE}
"""


def _digest(expression: str, source: str, schema: str) -> str:
    """A scalar subquery: how many rows, and the sum of 60 bits of each row's digest.

    SHA-2 and not MD5, which MySQL has moved out of the server since 9.6.
    """
    return (
        "(SELECT CONCAT(COUNT(*), ':', COALESCE(SUM(CAST(CONV(LEFT(SHA2("
        f"CONCAT_WS('|', {expression}), 256), 15), 16, 10) AS UNSIGNED)), 0)) "
        f"FROM information_schema.{source} WHERE {schema} NOT IN {_ENGINE})"
    )


FINGERPRINT = "SELECT " + ",\n".join(
    (
        _digest(
            "table_schema, table_name, column_name, ordinal_position, column_type, is_nullable, "
            "COALESCE(generation_expression, ''), COALESCE(collation_name, '')",
            "columns",
            "table_schema",
        ),
        _digest("table_schema, table_name, view_definition", "views", "table_schema"),
        _digest(
            "table_schema, table_name, index_name, non_unique, seq_in_index, "
            "COALESCE(column_name, '')",
            "statistics",
            "table_schema",
        ),
        _digest(
            "table_schema, table_name, constraint_name, constraint_type",
            "table_constraints",
            "table_schema",
        ),
        _digest(
            "event_object_schema, event_object_table, trigger_name, event_manipulation, "
            "action_statement",
            "triggers",
            "event_object_schema",
        ),
        _digest("routine_schema, routine_name, routine_type", "routines", "routine_schema"),
    )
)
