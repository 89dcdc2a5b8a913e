"""Pages of a catalog, and one relation whole with what masks and refuses its columns for me."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from querykeep_api.kernel.errors import InvalidInput
from querykeep_guard.contracts.catalog import Catalog, Relation
from querykeep_guard.contracts.codec import to_json
from querykeep_guard.contracts.policy import AccessRule, MaskingRule, SessionPolicy
from querykeep_guard.policy.decide import index_for
from querykeep_guard.sql.facts import ColumnName, RelationName

PAGE = 200


def relations_page(
    catalog: Catalog, *, schema: str, search: str, kind: str, cursor: str, limit: int = PAGE
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of relations by (schema, name), and the cursor of the next one."""
    after = _read_cursor(cursor)
    wanted = search.casefold()
    rows = sorted(
        (
            relation
            for relation in catalog.relations
            if (not schema or relation.schema == schema)
            and (not kind or relation.kind == kind)
            and (not wanted or _matches(relation, wanted))
        ),
        key=lambda relation: (relation.schema, relation.name),
    )
    if after is not None:
        rows = [row for row in rows if (row.schema, row.name) > after]
    page, rest = rows[:limit], rows[limit:]
    entries = [_entry(row) for row in page]
    return entries, _cursor(page[-1]) if rest else None


def relation_named(catalog: Catalog, schema: str, name: str) -> Relation | None:
    """Return a relation by its names as the catalog spells them, or None."""
    return next((r for r in catalog.relations if r.schema == schema and r.name == name), None)


def relation_entry(
    relation: Relation, policy: SessionPolicy, catalog: Catalog, lineage: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Return a relation whole, each column with the rules that mask or refuse it for this person.

    Args:
        lineage: Per column, ids of rules that reach it through a view; empty where there are none.
    """
    data: dict[str, Any] = to_json(relation)
    index = index_for(policy, catalog)
    rules = {rule.id: rule for rule in policy.masking_rules}
    whole = [r for r in index.refused_by(_name(relation)) if not r.exempt]
    for position, (column, shown) in enumerate(zip(relation.columns, data["columns"], strict=True)):
        named = index.column_rules(ColumnName(relation.schema, relation.name, column.name))
        reached = lineage[position] if position < len(lineage) else ()
        masking = dict.fromkeys([*named.masking, *(rules[i] for i in reached if i in rules)])
        shown["masked_by"] = _named(masking)
        shown["refused_by"] = _named([*whole, *named.refusing])
    data["refused_by"] = _named(whole)
    return data


def _name(relation: Relation) -> RelationName:
    return RelationName(relation.schema, relation.name)


def _named(rules: Iterable[MaskingRule | AccessRule]) -> list[dict[str, str]]:
    return [{"id": rule.id, "code": rule.code, "name": rule.name} for rule in rules]


def _matches(relation: Relation, wanted: str) -> bool:
    return wanted in relation.name.casefold() or any(
        wanted in column.name.casefold() for column in relation.columns
    )


def _entry(relation: Relation) -> dict[str, Any]:
    return {
        "schema": relation.schema,
        "name": relation.name,
        "kind": relation.kind,
        "columns": len(relation.columns),
        "row_estimate": relation.row_estimate,
        "comment": relation.comment,
    }


def _cursor(relation: Relation) -> str:
    raw = f"{relation.schema}\x00{relation.name}".encode()
    return base64.urlsafe_b64encode(raw).decode()


def _read_cursor(cursor: str) -> tuple[str, str] | None:
    if not cursor:
        return None
    try:
        parts: Sequence[str] = base64.urlsafe_b64decode(cursor).decode().split("\x00")
    except ValueError as error:
        raise InvalidInput("cursor: not a cursor of this list") from error
    if len(parts) != 2:
        raise InvalidInput("cursor: not a cursor of this list")
    return parts[0], parts[1]
