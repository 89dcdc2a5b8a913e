"""Column references: which column, whole row or system column a name means in a scope.

Source: PostgreSQL's ``transformColumnRef``: a bare name is a column of the innermost level that has
one, then a whole row; ``a.b`` is column b of entry a, else ``b(a)``.
"""

from __future__ import annotations

from typing import Any

from querykeep_engines.postgresql.analysis.model import (
    CONSTANT,
    SELECT_LIST,
    Clause,
    Field,
    Findings,
    Item,
    Scope,
    Value,
    merge,
    without_origin,
)
from querykeep_engines.postgresql.analysis.names import system_column
from querykeep_guard.sql.facts import ColumnOrigin, ExpressionClass, RelationName

_OTHER = ExpressionClass.OTHER


def reference_names(reference: Any) -> tuple[list[str], bool]:
    """Return the parts of a ``ColumnRef`` and whether it ends in ``*``."""
    names: list[str] = []
    for part in reference.fields:
        if part.WhichOneof("node") == "a_star":
            return names, True
        names.append(part.string.sval)
    return names, False


def column(reference: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Return the value of a ``ColumnRef`` in an expression, and note its use."""
    names, star = reference_names(reference)
    location = reference.location
    if star:
        item = _entry(names, scope)
        if item is None:
            _unknown(".".join([*names, "*"]), f, location)
            return CONSTANT
        return whole_row(item, clause, f, location)
    if len(names) == 1:
        value = _bare(names[0], scope, clause, f, location)
    else:
        value = _qualified(names, scope, clause, f, location)
    if value.sources:
        f.use(value.sources, clause, location)
    return value


def peek_row(reference: Any, scope: Scope) -> Item | None:
    """Return the FROM entry when a ``ColumnRef`` can only mean its whole row (for ``(t).col``)."""
    names, star = reference_names(reference)
    if star:
        return _entry(names, scope)
    if len(names) != 1:
        return None
    level: Scope | None = scope
    while level is not None:
        if level.find(names[0]) or level.has_unknown:
            return None
        level = level.parent
    return _entry(names, scope)


def whole_row(item: Item, clause: Clause, f: Findings, location: int) -> Value:
    """Return the value of a whole-row reference: every column of the entry stands in it."""
    fields = item.fields or ()
    value = merge([field.value for field in fields], ExpressionClass.OTHER)
    sources = value.sources | item.sources
    f.use(sources, clause, location)
    if item.fields is None:
        f.problem("unsupported", f'the columns of "{item.alias}" are not known', location=location)
    # PostgreSQL reports a whole row as attribute 0 of its table.
    origin = ColumnOrigin(item.relation.oid, 0) if item.relation is not None else None
    row = Value(sources, ExpressionClass.OTHER, origin, fields=item.fields)
    f.use_function(row, f"whole row of {item.alias}", location)
    return row


def star_fields(
    names: list[str], scope: Scope, clause: Clause, f: Findings, location: int
) -> tuple[Field, ...] | None:
    """Expand ``*`` or ``t.*`` of a select list; None when the columns are not known."""
    if names:
        item = _entry(names, scope)
        if item is None:
            _unknown(".".join([*names, "*"]), f, location)
            return None
        fields = item.fields
        if fields is None:
            _no_star(item.alias, item, f, location)
            return None
    else:
        if scope.has_unknown:
            unknown = next(item for item in scope.items if item.fields is None)
            _no_star(unknown.alias, unknown, f, location)
            return None
        fields = tuple(scope.columns)
    for field in fields:
        f.use(field.value.sources, clause, location)
    return fields


def _no_star(alias: str, item: Item, f: Findings, location: int) -> None:
    f.use(item.sources, SELECT_LIST, location)
    f.problem(
        "unsupported",
        f'"*" over "{alias}", whose columns are not known: name the columns',
        about=alias,
        location=location,
    )


def _bare(name: str, scope: Scope, clause: Clause, f: Findings, location: int) -> Value:
    unknown: list[Value] = []
    level: Scope | None = scope
    while level is not None:
        found = level.find(name)
        if len(found) > 1:
            f.problem("ambiguous", f'column reference "{name}" is ambiguous', location=location)
            return merge(found, ExpressionClass.OTHER)
        if found:
            return merge([*unknown, found[0]], ExpressionClass.OTHER) if unknown else found[0]
        if level.has_unknown:
            unknown += [
                Value(item.sources, ExpressionClass.OTHER)
                for item in level.items
                if item.fields is None
            ]
        attribute = system_column(name)
        if attribute is not None:
            # Views have none; where more than one entry has it PostgreSQL calls the name ambiguous.
            having = [item for item in level.items if _has_system_columns(item)]
            if having:
                return merge([_system(item, name, f, location) for item in having], _OTHER)
        level = level.parent
    entry = _entry([name], scope)
    if entry is not None:
        row = whole_row(entry, clause, f, location)
        return merge([*unknown, row], ExpressionClass.OTHER) if unknown else row
    if unknown:
        return merge(unknown, ExpressionClass.OTHER)
    _unknown(name, f, location)
    return CONSTANT


def _qualified(names: list[str], scope: Scope, clause: Clause, f: Findings, location: int) -> Value:
    item = _entry(names[:-1], scope)
    if item is None:
        _unknown(".".join(names), f, location)
        return CONSTANT
    name = names[-1]
    found = item.find(name)
    if len(found) > 1:
        f.problem("ambiguous", f'column reference "{name}" is ambiguous', location=location)
        return merge(found, ExpressionClass.OTHER)
    if found:
        return found[0]
    if item.fields is None:
        return Value(item.sources, ExpressionClass.OTHER)
    if system_column(name) is not None and _has_system_columns(item):
        return _system(item, name, f, location)
    # PostgreSQL reads t.name as name(t) where t has no such column: a function over the row.
    row = whole_row(item, clause, f, location)
    f.use_function(row, f"function {name}()", location)
    _unknown(".".join(names), f, location)
    return without_origin(row)


def _system(item: Item, name: str, f: Findings, location: int) -> Value:
    relation = item.relation
    about = f"{relation.schema}.{relation.name}" if relation is not None else item.alias
    is_catalog = relation is not None and relation.schema == "pg_catalog"
    if not (is_catalog or name == "tableoid"):
        f.problem(
            "unsafe",
            f'system column "{name}" shows where rows of "{about}" are stored',
            about=about,
            location=location,
            only=RelationName(relation.schema, relation.name) if relation is not None else None,
        )
    return Value(expression=_OTHER)


def _has_system_columns(item: Item) -> bool:
    return item.relation is not None and item.relation.kind not in ("view", "system_view")


def _entry(names: list[str], scope: Scope) -> Item | None:
    """Return the FROM entry that ``[db.][schema.]alias`` means, innermost level first."""
    schema = names[-2] if len(names) > 1 else ""
    alias = names[-1] if names else ""
    level: Scope | None = scope
    while level is not None:
        for item in level.items:
            if item.alias == alias and (not schema or item.schema == schema):
                return item
        level = level.parent
    return None


def _unknown(name: str, f: Findings, location: int) -> None:
    f.problem("unknown_column", f'column "{name}" is not known', about=name, location=location)
