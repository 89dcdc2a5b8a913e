"""What judges a write: unique and partial indexes, constraints, foreign keys, triggers and rules.

The answer to a write (done, refused, changed) depends on the columns that these look at, so each is
noted as ``ColumnRole.JUDGED``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from querykeep_engines.postgresql.analysis import attached
from querykeep_engines.postgresql.analysis.model import Clause, Findings
from querykeep_guard.contracts.catalog import Constraint, Relation
from querykeep_guard.sql.facts import ColumnName, ColumnRole, RelationName

_CASCADES = re.compile(r" ON (?:UPDATE|DELETE) (?:CASCADE|SET)\b")
"""As ``pg_get_constraintdef`` writes an action that changes rows of the table that refers."""


def judge(
    relation: Relation | None, written: frozenset[str] | None, event: str, f: Findings
) -> None:
    """Note the columns that judge a write; ``written`` None means every column.

    Args:
        relation: The target as the catalog has it; a view is judged by what it is made of, which
            the caller names.
        written: Columns that an UPDATE sets.
        event: insert, update or delete.
        f: Takes the uses.
    """
    if relation is None:
        return
    if written is not None:
        made = {column.name for column in relation.columns if column.generated}
        written = written | made
    for base in _bases(relation, f):
        f.touches[RelationName(base.schema, base.name)] = None
        if event != "delete":
            _indexes(base, written, f)
            _constraints(base, written, f)
        if event != "insert":
            _referencing(base, written, f)
        _triggers(base, event, f)
        attached.rules(base, event, f)


def _bases(relation: Relation, f: Findings) -> Iterable[Relation]:
    """Return the relation, its partitions, and the tables below a view."""
    shared = f.names.shared
    key = (relation.schema, relation.name)
    found = {key: relation}
    todo = [key]
    while todo:
        for child in shared.children.get(todo.pop(), ()):
            if child not in found and child in shared.relations:
                found[child] = shared.relations[child]
                todo.append(child)
    if relation.kind == "view":
        for name in f.writes:
            base = shared.relations.get((name.schema, name.name))
            if base is not None:
                found[(name.schema, name.name)] = base
    return found.values()


def _use(relation: Relation, columns: Iterable[str], clause: str, f: Findings) -> None:
    f.use(
        (ColumnName(relation.schema, relation.name, column) for column in columns),
        Clause(ColumnRole.JUDGED, clause),
    )


def _touches(columns: Iterable[str], written: frozenset[str] | None) -> bool:
    return written is None or not written.isdisjoint(columns)


def _indexes(relation: Relation, written: frozenset[str] | None, f: Findings) -> None:
    for index in relation.indexes:
        special = index.has_expression or index.predicate_columns
        if not (index.unique or special):
            continue
        columns = (*index.columns, *index.predicate_columns)
        if _touches(columns, written):
            # A plain index of expressions judges only what it computes, which may fail.
            judging = columns if index.unique else index.predicate_columns
            _use(relation, judging, f'index "{index.name}"', f)


def _constraints(relation: Relation, written: frozenset[str] | None, f: Findings) -> None:
    for constraint in relation.constraints:
        columns = constraint.columns or tuple(column.name for column in relation.columns)
        if not _touches(columns, written):
            continue
        word = f'constraint "{constraint.name}"'
        _use(relation, columns, word, f)
        if constraint.kind == "foreign_key":
            target = f.names.shared.relations.get((constraint.ref_schema, constraint.ref_table))
            if target is not None:
                _use(target, constraint.ref_columns, word, f)


def _referencing(relation: Relation, written: frozenset[str] | None, f: Findings) -> None:
    for child, constraint in f.names.shared.referencing.get((relation.schema, relation.name), ()):
        assert isinstance(constraint, Constraint)
        if _touches(constraint.ref_columns, written):
            word = f'constraint "{constraint.name}"'
            _use(child, constraint.columns, word, f)
            if _CASCADES.search(constraint.definition):
                _cascaded(child, f)
            _use(relation, constraint.ref_columns, word, f)


def _cascaded(relation: Relation, f: Findings) -> None:
    """Note the rows that go or change with others, and those that go or change with them."""
    todo = [relation]
    while todo:
        found = todo.pop()
        name = RelationName(found.schema, found.name)
        if name in f.touches:
            continue
        f.touches[name] = None
        for child, constraint in f.names.shared.referencing.get((found.schema, found.name), ()):
            assert isinstance(constraint, Constraint)
            if _CASCADES.search(constraint.definition):
                todo.append(child)


def _triggers(relation: Relation, event: str, f: Findings) -> None:
    for trigger in relation.triggers:
        if event in trigger.events and not attached.is_rule(trigger):
            columns = (column.name for column in relation.columns)
            _use(relation, columns, f'trigger "{trigger.name}"', f)
