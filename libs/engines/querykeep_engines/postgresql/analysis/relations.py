"""Relations of the catalog as FROM entries: tables, generated columns, views by definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from querykeep_engines.postgresql.analysis import attached, expressions, queries
from querykeep_engines.postgresql.analysis.model import (
    MAX_VIEW_DEPTH,
    SELECT_LIST,
    Field,
    Findings,
    Item,
    Scope,
    Value,
)
from querykeep_engines.postgresql.analysis.names import (
    PG_CATALOG,
    STATISTICS,
    SYSTEM_SCHEMAS,
    TEMP,
    CatalogNames,
    is_readable_system,
)
from querykeep_engines.postgresql.analysis.parsing import Offsets, TooComplexError, parse
from querykeep_guard.contracts.catalog import Column, Relation
from querykeep_guard.sql.facts import (
    STORED_SIZE,
    ColumnName,
    ColumnOrigin,
    ColumnUse,
    Effect,
    ExpressionClass,
    Problem,
    RelationName,
    StatementSyntaxError,
)

_VIEWS = frozenset({"view", "materialized_view"})
_SIZE_COLUMNS = {
    "pg_class": frozenset({"relpages", "reltuples", "relallvisible", "relallfrozen"}),
    "pg_replication_slots": frozenset(
        {"restart_lsn", "confirmed_flush_lsn", "wal_status", "safe_wal_size"}
    ),
}
_NAMES_OF_STATISTICS = frozenset({"relid", "indexrelid", "schemaname", "relname", "indexrelname"})
"""What the views of activity say that is no count and no time of one."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """A view's definition, walked once per catalog."""

    fields: tuple[Field, ...] | None
    uses: tuple[ColumnUse, ...]
    reads: tuple[RelationName, ...]
    problems: tuple[Problem, ...]
    effects: frozenset[Effect]
    functions: tuple[str, ...]


def item(node: Any, f: Findings) -> Item:
    """Return the FROM entry of a ``RangeVar``; an unknown name is a problem."""
    schema, name = node.schemaname, node.relname
    database = f.names.shared.catalog.database
    if node.catalogname and node.catalogname != database:
        f.problem("unknown_relation", f'database "{node.catalogname}" is not this one')
    relation = f.names.relation(schema, name)
    if f.names.is_temporary(schema, name):
        # The temporary table may be gone again (DROP, ROLLBACK, DISCARD): then it is this one.
        relation = None if schema else f.names.permanent(name)
        if relation is None:
            f.read(RelationName(TEMP, name))
            return Item(name, None, schema=TEMP)
        f.problem(
            "ambiguous",
            f'"{name}" may be a temporary table or "{relation.schema}.{name}": name its schema',
            about=f"{relation.schema}.{name}",
            location=node.location,
        )
    if relation is None:
        spoken = f"{schema}.{name}" if schema else name
        f.problem(
            "unknown_relation",
            f'relation "{spoken}" is not in the known schema of this database',
            about=spoken,
            location=node.location,
        )
        return Item(name, None, schema=schema)
    return Item(name, fields(relation, f), relation, relation.schema)


def fields(relation: Relation, f: Findings) -> tuple[Field, ...] | None:
    """Return the columns of a relation as a statement reads them, and note that it is read."""
    name = RelationName(relation.schema, relation.name)
    f.read(name)
    if relation.schema in SYSTEM_SCHEMAS:
        if not is_readable_system(relation):
            f.problem(
                "unsafe",
                f'"{name}" may show stored values, statistics or the statements of others',
                about=str(name),
            )
    elif relation.kind in _VIEWS:
        return _view(relation, name, f)
    if relation.policies:
        attached.policies(relation, f)
    return stored_fields(relation, f)


def stored_fields(relation: Relation, f: Findings) -> tuple[Field, ...]:
    """Return the columns of a table or system relation, as they are stored."""
    shared = f.names.shared
    key = (relation.schema, relation.name)
    found = shared.fields.get(key)
    if found is None:
        found = tuple(_column(relation, column, shared) for column in relation.columns)
        if any(column.generated for column in relation.columns):
            found = _with_generated(relation, found, f)
        shared.fields[key] = found
    return found


def _column(relation: Relation, column: Column, shared: CatalogNames) -> Field:
    sources = shared.lineage_names(relation, column.name)
    if relation.schema == PG_CATALOG and _tells_size(relation.name, column.name):
        sources |= {STORED_SIZE}
    return Field(
        column.name,
        Value(
            sources,
            ExpressionClass.IDENTITY,
            ColumnOrigin(relation.oid, column.position),
            column.type_oid,
            column.type_name,
        ),
    )


def _tells_size(relation: str, column: str) -> bool:
    """Return whether a column of a system relation tells how much is stored, moved or looked at."""
    if relation in STATISTICS:
        return column not in _NAMES_OF_STATISTICS
    return column in _SIZE_COLUMNS.get(relation, ())


def _with_generated(relation: Relation, plain: tuple[Field, ...], f: Findings) -> tuple[Field, ...]:
    """Add to each generated column the columns that its expression reads."""
    made = []
    for column, field in zip(relation.columns, plain, strict=True):
        if not column.generated:
            made.append(field)
            continue
        inner = quiet(f, RelationName(relation.schema, relation.name))
        scope = Scope()
        entry = Item(relation.name, plain, relation, relation.schema)
        scope.add([entry], plain, unknown=False)
        try:
            tree = parse(f"SELECT {column.generated}")
            target = tree.stmts[0].stmt.select_stmt.target_list[0].res_target
            value = expressions.evaluate(target.val, scope, SELECT_LIST, inner)
            sources, expression = value.sources, value.expression
        except (StatementSyntaxError, TooComplexError):
            sources = frozenset().union(*(other.value.sources for other in plain))
            expression = ExpressionClass.OTHER
        own = field.value
        made.append(
            Field(
                field.name,
                Value(
                    own.sources | sources,
                    ExpressionClass.IDENTITY if not sources else _not_identity(expression),
                    own.origin,
                    own.type_oid,
                    own.type_name,
                ),
            )
        )
    return tuple(made)


def _not_identity(expression: ExpressionClass) -> ExpressionClass:
    return ExpressionClass.TOTAL if expression is not ExpressionClass.OTHER else expression


def quiet(f: Findings, view: RelationName) -> Findings:
    """Return empty findings for a text that the catalog holds: every name in it is qualified."""
    names = f.names.without_temporary().with_path(())
    inner = Findings(names, Offsets.of(""), 0, f.version, view=view)
    inner.view_depth = f.view_depth + 1
    inner.within = f.within
    inner.subquery = lambda statement, scope: queries.query(statement, scope, inner)
    return inner


def _view(relation: Relation, name: RelationName, f: Findings) -> tuple[Field, ...] | None:
    key = (relation.schema, relation.name)
    found = f.names.shared.views.get(key)
    if not isinstance(found, Expanded):
        if f.view_depth >= MAX_VIEW_DEPTH:
            raise TooComplexError(f'view "{name}" is nested too deeply')
        found = _expand(relation, name, f)
        if not f.within:
            f.names.shared.views[key] = found
    _replay(found, f)
    return found.fields


def _replay(expanded: Expanded, f: Findings) -> None:
    for use in expanded.uses:
        f.uses.setdefault((use.column, use.role, use.clause, use.via), use)
    for read in expanded.reads:
        f.reads[read] = None
        f.view_reads[read] = None
    for problem in expanded.problems:
        f.problems.setdefault((problem.code, problem.message), problem)
    f.effects |= expanded.effects
    f.functions.update(dict.fromkeys(expanded.functions))


def _expand(relation: Relation, name: RelationName, f: Findings) -> Expanded:
    inner = quiet(f, name)
    body = _body(relation, name, inner)
    made: tuple[Field, ...] | None = None
    if body is not None and len(body) == len(relation.columns):
        made = tuple(
            _view_column(relation, column, inside.value)
            for column, inside in zip(relation.columns, body, strict=True)
        )
    elif body is not None:
        inner.problem(
            "stale_catalog", f'view "{name}" has changed since it was read', unmasked=True
        )
    return Expanded(
        made,
        tuple(inner.uses.values()),
        tuple(inner.reads),
        tuple(inner.problems.values()),
        frozenset(inner.effects),
        tuple(inner.functions),
    )


def _body(relation: Relation, name: RelationName, inner: Findings) -> tuple[Field, ...] | None:
    if not relation.definition:
        inner.problem("stale_catalog", f'the definition of view "{name}" could not be read')
        return None
    try:
        tree = parse(relation.definition)
    except StatementSyntaxError:
        inner.problem("unsupported", f'the definition of view "{name}" is not understood')
        return None
    return queries.query(tree.stmts[0].stmt.select_stmt, None, inner)


def _view_column(relation: Relation, column: Column, body: Value) -> Field:
    own = ColumnName(relation.schema, relation.name, column.name)
    return Field(
        column.name,
        Value(
            body.sources | {own},
            body.expression,
            ColumnOrigin(relation.oid, column.position),
            column.type_oid,
            column.type_name,
        ),
    )
