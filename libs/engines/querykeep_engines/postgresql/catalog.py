"""Reads a PostgreSQL database's schema into ``Catalog``: thirteen queries, one snapshot.

Holds what analysis needs: relations and columns with the server's own numbers, view texts, what
judges a write (indexes, constraints, triggers, rules), user routines, and the system relations with
their columns, so that tools' introspection resolves.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from querykeep_engines.postgresql import catalog_queries as queries
from querykeep_guard.contracts.catalog import (
    Catalog,
    Column,
    Constraint,
    Index,
    Policy,
    Relation,
    Routine,
    Trigger,
)

if TYPE_CHECKING:
    from querykeep_engines.postgresql.connection import PostgresqlConnection

Row = tuple[str | None, ...]
T = TypeVar("T")

_KINDS = {
    "r": "table",
    "p": "partitioned_table",
    "v": "view",
    "m": "materialized_view",
    "f": "foreign_table",
    "S": "sequence",
}
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")
_CONSTRAINT_KINDS = {"f": "foreign_key", "c": "check", "x": "exclude"}
# pg_trigger.tgtype bits and pg_rewrite.ev_type codes. Source: catalog/pg_trigger.h, pg_rewrite.h.
_TRIGGER_BITS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))
_RULE_EVENTS = {"1": "select", "2": "update", "3": "insert", "4": "delete"}


def crawl(connection: PostgresqlConnection) -> Catalog:
    """Return the catalog as the connection's account sees it; raises ``DriverError``."""
    database = (connection.query("SELECT pg_catalog.current_database()")[0][0]) or ""
    connection.query(queries.BEGIN)
    try:
        search_path, user = connection.query(queries.DEFAULTS)[0]
        connection.query(queries.PIN)
        read = {
            name: connection.query(getattr(queries, name))
            for name in (
                "SETTINGS",
                "SCHEMAS",
                "RELATIONS",
                "COLUMNS",
                "INDEXES",
                "CONSTRAINTS",
                "TRIGGERS",
                "PARENTS",
                "POLICIES",
                "ROUTINES",
                "FINGERPRINT",
            )
        }
    finally:
        connection.query("ROLLBACK")
    settings = {_text(name): _text(value) for name, value in read["SETTINGS"]}
    settings |= {"search_path": _text(search_path), "session_user": _text(user)}
    return Catalog(
        engine="postgresql",
        flavour="postgresql",
        server_version=settings["server_version"],
        database=database,
        fingerprint=_text(read["FINGERPRINT"][0][0]),
        crawled_at=datetime.now(UTC),
        relations=_relations(read),
        routines=tuple(Routine(*(_text(value) for value in row)) for row in read["ROUTINES"]),
        schemas=tuple(_text(row[0]) for row in read["SCHEMAS"]),
        settings=tuple(sorted(settings.items())),
    )


def fingerprint(connection: PostgresqlConnection) -> str:
    """Return what ``crawl`` would give as ``Catalog.fingerprint``, in one query."""
    return _text(connection.query(queries.FINGERPRINT)[0][0])


def _relations(read: dict[str, list[Row]]) -> tuple[Relation, ...]:
    names = {_text(row[0]): (_text(row[1]), _text(row[2])) for row in read["RELATIONS"]}
    columns = _grouped(read["COLUMNS"], _column)
    indexes = _grouped(read["INDEXES"], _index)
    constraints = _grouped(read["CONSTRAINTS"], _constraint)
    triggers = _grouped(read["TRIGGERS"], _trigger)
    policies = _grouped(read["POLICIES"], _policy)
    parents: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for child, parent in read["PARENTS"]:
        if _text(parent) in names:
            parents[_text(child)].append(names[_text(parent)])
    found = []
    for oid, schema, name, kind, estimate, comment, definition in read["RELATIONS"]:
        key = _text(oid)
        spoken = _KINDS[_text(kind)]
        if spoken == "view" and schema in _SYSTEM_SCHEMAS:
            spoken = "system_view"
        found.append(
            Relation(
                schema=_text(schema),
                name=_text(name),
                kind=spoken,
                columns=tuple(columns[key]),
                oid=int(key),
                definition=_text(definition),
                indexes=tuple(indexes[key]),
                constraints=tuple(constraints[key]),
                triggers=tuple(triggers[key]),
                row_estimate=_estimate(estimate),
                comment=_text(comment),
                parents=tuple(parents[key]),
                policies=tuple(policies[key]),
            )
        )
    return tuple(found)


def _grouped(rows: Iterable[Row], make: Callable[[Row], T]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for row in rows:
        groups[_text(row[0])].append(make(row[1:]))
    return groups


def _column(row: Row) -> Column:
    name, type_name, position, not_null, type_oid, generated, expression, comment = row
    is_generated = generated not in ("", None)
    return Column(
        name=_text(name),
        type_name=_text(type_name),
        position=int(_text(position)),
        nullable=not_null != "true",
        type_oid=int(_text(type_oid)),
        default=None if is_generated else expression,
        generated=expression if is_generated else None,
        comment=_text(comment),
    )


def _index(row: Row) -> Index:
    name, unique, primary, definition, has_expression, columns, depends = row
    plain = _names(columns)
    return Index(
        name=_text(name),
        columns=plain,
        unique=unique == "true",
        primary=primary == "true",
        definition=_text(definition),
        has_expression=has_expression == "true",
        predicate_columns=_names(depends),
    )


def _constraint(row: Row) -> Constraint:
    name, kind, definition, ref_schema, ref_table, columns, ref_columns = row
    return Constraint(
        name=_text(name),
        kind=_CONSTRAINT_KINDS[_text(kind)],
        columns=_names(columns),
        definition=_text(definition),
        ref_schema=_text(ref_schema),
        ref_table=_text(ref_table),
        ref_columns=_names(ref_columns),
    )


def _trigger(row: Row) -> Trigger:
    name, code, definition, kind = row
    if kind == "rule":
        events: tuple[str, ...] = (_RULE_EVENTS[_text(code)],)
    else:
        bits = int(_text(code))
        events = tuple(event for bit, event in _TRIGGER_BITS if bits & bit)
    return Trigger(_text(name), events, _text(definition))


def _policy(row: Row) -> Policy:
    name, using, check = row
    return Policy(_text(name), _text(using), _text(check))


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(str(name) for name in json.loads(value)) if value else ()


def _estimate(value: str | None) -> int | None:
    count = int(_text(value))
    return count if count >= 0 else None


def _text(value: str | None) -> str:
    return "" if value is None else value
