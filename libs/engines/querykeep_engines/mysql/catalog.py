"""Reads a MySQL or MariaDB server's schema, as the stored account sees it, into ``Catalog``.

Every schema that the account sees is read (a statement may name any), of the engine's own schemas
only ``information_schema``, which tools look into.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from datetime import UTC, datetime

from querykeep_engines.kit.driver import DriverError
from querykeep_engines.mysql import catalog_queries as queries
from querykeep_engines.mysql.connection import MysqlConnection, Row
from querykeep_guard.contracts.catalog import (
    Catalog,
    Column,
    Constraint,
    Index,
    Relation,
    Routine,
    Trigger,
)

_Key = tuple[str, str]
_QUOTED = re.compile(r"`((?:[^`]|``)+)`")


def crawl(connection: MysqlConnection, flavour: str) -> Catalog:
    """Return the catalog; raises ``DriverError`` where a query needs what the account lacks."""
    is_mariadb = "mariadb" in connection.server_version.lower()
    before = fingerprint(connection)
    settings = _settings(connection)
    columns = _columns(connection, is_mariadb)
    views = {(_t(s), _t(n)): _t(text) for s, n, text in connection.query(queries.VIEWS)}
    indexes = _indexes(connection, is_mariadb)
    constraints = _constraints(connection, is_mariadb, columns)
    triggers = _triggers(connection)
    relations: list[Relation] = []
    notes: list[str] = []
    for schema, name, kind, rows, comment in connection.query(queries.TABLES):
        key = (_t(schema), _t(name))
        is_view = kind == "VIEW"
        definition = views.get(key, "") if is_view else ""
        if is_view and not definition:
            notes.append(f"the text of view {key[0]}.{key[1]} cannot be read (SHOW VIEW)")
        relations.append(
            Relation(
                schema=key[0],
                name=key[1],
                kind=_kind(_t(kind)),
                columns=tuple(columns.get(key, ())),
                definition=definition,
                indexes=tuple(indexes.get(key, ())),
                constraints=tuple(constraints.get(key, ())),
                triggers=tuple(triggers.get(key, ())),
                row_estimate=int(rows) if rows is not None else None,
                comment="" if is_view else _t(comment),
            )
        )
    routines = tuple(
        Routine(_t(schema), _t(name), _t(kind).lower())
        for schema, name, kind in connection.query(queries.ROUTINES)
    )
    schemas = tuple(_t(row[0]) for row in connection.query(queries.SCHEMAS))
    if fingerprint(connection) != before:
        raise DriverError("database", "the schema changed while it was read; read it again")
    return Catalog(
        engine=flavour,
        flavour="mariadb" if is_mariadb else "mysql",
        server_version=connection.server_version,
        database=settings.pop("database", ""),
        fingerprint=before,
        crawled_at=datetime.now(UTC),
        relations=tuple(relations),
        routines=routines,
        schemas=schemas,
        settings=tuple(sorted(settings.items())),
        complete=not notes,
        notes=tuple(notes),
    )


def fingerprint(connection: MysqlConnection) -> str:
    """Return a text that changes when a table, column, view, index, constraint, trigger, routine
    or setting does. Decisions are shared by it: equal fingerprints mean equal catalogs."""
    row = connection.query(queries.FINGERPRINT)[0]
    settings = _settings(connection).values()
    joined = "|".join((connection.server_version, *settings, *(value or "" for value in row)))
    return hashlib.sha256(joined.encode("utf-8")).hexdigest()[:32]


def _settings(connection: MysqlConnection) -> dict[str, str]:
    row = connection.query(queries.SETTINGS)[0]
    return {
        name: "" if value is None else value
        for name, value in zip(queries.SETTING_NAMES, row, strict=True)
    }


def _columns(connection: MysqlConnection, is_mariadb: bool) -> dict[_Key, list[Column]]:
    found: dict[_Key, list[Column]] = defaultdict(list)
    query = queries.COLUMNS_MARIADB if is_mariadb else queries.COLUMNS
    for row in connection.query(query):
        schema, table, name, position, type_name, nullable, default, generated, charset, note = row
        found[(_t(schema), _t(table))].append(
            Column(
                name=_t(name),
                type_name=_t(type_name),
                position=int(position or 0),
                nullable=nullable == "YES",
                default=default,
                generated=generated or None,
                comment=_t(note),
                charset=_t(charset),
            )
        )
    return found


def _indexes(connection: MysqlConnection, is_mariadb: bool) -> dict[_Key, list[Index]]:
    parts: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    query = queries.INDEXES_MARIADB if is_mariadb else queries.INDEXES
    for row in connection.query(query):
        parts[(_t(row[0]), _t(row[1]), _t(row[2]))].append(row)
    found: dict[_Key, list[Index]] = defaultdict(list)
    for (schema, table, name), rows in parts.items():
        plain = tuple(_t(row[4]) for row in rows if row[4] is not None)
        expressions = [_t(row[5]) for row in rows if row[5]]
        found[(schema, table)].append(
            Index(
                name=name,
                columns=plain,
                unique=rows[0][3] == "0",
                primary=name == "PRIMARY",
                definition=", ".join((*plain, *expressions)),
                has_expression=bool(expressions),
            )
        )
    return found


def _constraints(
    connection: MysqlConnection, is_mariadb: bool, columns: dict[_Key, list[Column]]
) -> dict[_Key, list[Constraint]]:
    found: dict[_Key, list[Constraint]] = defaultdict(list)
    keys: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in connection.query(queries.FOREIGN_KEYS):
        keys[(_t(row[0]), _t(row[1]), _t(row[2]))].append(row)
    for (schema, table, name), rows in keys.items():
        found[(schema, table)].append(
            Constraint(
                name=name,
                kind="foreign_key",
                columns=tuple(_t(row[3]) for row in rows),
                ref_schema=_t(rows[0][4]),
                ref_table=_t(rows[0][5]),
                ref_columns=tuple(_t(row[6]) for row in rows),
            )
        )
    query = queries.CHECKS_MARIADB if is_mariadb else queries.CHECKS
    for schema_, table_, name_, clause in connection.query(query):
        key = (_t(schema_), _t(table_))
        own = {column.name for column in columns.get(key, ())}
        named = {match.replace("``", "`") for match in _QUOTED.findall(_t(clause))}
        found[key].append(
            Constraint(_t(name_), "check", tuple(sorted(own & named)), definition=_t(clause))
        )
    return found


def _triggers(connection: MysqlConnection) -> dict[_Key, list[Trigger]]:
    found: dict[_Key, list[Trigger]] = defaultdict(list)
    for schema, table, name, event, body in connection.query(queries.TRIGGERS):
        found[(_t(schema), _t(table))].append(Trigger(_t(name), (_t(event).lower(),), _t(body)))
    return found


def _kind(table_type: str) -> str:
    return {
        "BASE TABLE": "table",
        "SYSTEM VERSIONED": "table",
        "VIEW": "view",
        "SYSTEM VIEW": "system_view",
        "SEQUENCE": "sequence",
    }.get(table_type, "other")


def _t(value: str | None) -> str:
    return "" if value is None else value
