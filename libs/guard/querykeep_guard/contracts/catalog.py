"""Catalog: the schema of one database as its engine describes it, as far as decisions need it.

Crawled through the engine's driver, versioned by its fingerprint, read by analyzers. A name that it
lacks is refused (DESIGN rule 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``position`` is the engine's own attribute number (gaps where one was dropped).
    ``generated`` is the expression of a generated column, ``type_name`` as the engine prints it."""

    name: str
    type_name: str
    position: int
    nullable: bool = True
    type_oid: int = 0
    default: str | None = None
    generated: str | None = None
    comment: str = ""
    charset: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index. ``columns`` holds plain columns; ``definition`` the engine's text, which also shows
    expressions and predicates."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    primary: bool
    definition: str = ""
    has_expression: bool = False
    predicate_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint other than an index. ``kind``: foreign_key, check, exclude."""

    name: str
    kind: str
    columns: tuple[str, ...]
    definition: str = ""
    ref_schema: str = ""
    ref_table: str = ""
    ref_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger or rule on a table; ``events`` among insert, update, delete, truncate."""

    name: str
    events: tuple[str, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A row-level security policy that is in force on a table: which rows are seen (``using``) and
    which may be written (``check``), as the engine prints them; empty where it has none."""

    name: str
    using: str = ""
    check: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialized_view, foreign_table, partitioned_table, sequence or
    system_view. ``oid`` is the engine's own number (0 where there is none); ``definition`` the
    view's query text (empty when it may not be read: then the view is refused)."""

    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    oid: int = 0
    definition: str = ""
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    row_estimate: int | None = None
    comment: str = ""
    parents: tuple[tuple[str, str], ...] = ()
    policies: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True)
class Routine:
    """A user-defined function, procedure, operator or aggregate, by name: analyzers refuse calls
    that may reach one."""

    schema: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """One database. ``fingerprint`` changes when any DDL that matters changed; ``settings`` are the
    server's own defaults that analysis needs (search_path, sql_mode, lower_case_table_names …) for
    the stored account. ``complete`` is False when the stored account could not read everything."""

    engine: str
    flavour: str
    server_version: str
    database: str
    fingerprint: str
    crawled_at: datetime
    relations: tuple[Relation, ...]
    routines: tuple[Routine, ...] = ()
    schemas: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    notes: tuple[str, ...] = ()
    contract: int = 1
