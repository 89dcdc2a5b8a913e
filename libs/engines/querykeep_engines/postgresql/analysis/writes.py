"""INSERT, UPDATE, DELETE, MERGE: what is written, from where, judged by what, returned how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from querykeep_engines.postgresql.analysis import (
    attached,
    ctes,
    expressions,
    from_items,
    judged,
    queries,
    relations,
)
from querykeep_engines.postgresql.analysis.model import (
    CONSTANT,
    Clause,
    Field,
    Findings,
    Item,
    Scope,
    Value,
    merge,
)
from querykeep_engines.postgresql.analysis.names import SYSTEM_SCHEMAS, TEMP
from querykeep_engines.postgresql.analysis.parsing import pb
from querykeep_guard.contracts.catalog import Relation
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import ColumnRole, Effect, ExpressionClass, RelationName

_WHERE = Clause(ColumnRole.PREDICATE, "WHERE")
_KINDS = {
    "insert_stmt": StatementKind.INSERT,
    "update_stmt": StatementKind.UPDATE,
    "delete_stmt": StatementKind.DELETE,
    "merge_stmt": StatementKind.MERGE,
}
# Before RETURNING could name OLD and NEW.
_OLD_NEW_SINCE = 18


def modify(kind: str, stmt: Any, parent: Scope | None, f: Findings) -> tuple[Field, ...] | None:
    """Walk a data-modifying statement; return the columns of RETURNING (none: empty)."""
    f.effects.add(Effect.WRITE)
    if kind in ("update_stmt", "delete_stmt"):
        f.has_where = f.has_where is not False and stmt.HasField("where_clause")
    f.kinds.add(_KINDS.get(kind, StatementKind.UNKNOWN))
    walkers = {
        "insert_stmt": _insert,
        "update_stmt": _update,
        "delete_stmt": _delete,
        "merge_stmt": _merge,
    }
    walker = walkers.get(kind)
    if walker is None:
        f.problem("unsupported", f"{kind} is not understood", unmasked=True)
        return None
    outer, expressions_of = ctes.enter(stmt, parent, f)
    fields = walker(stmt, outer, f)
    ctes.finish(expressions_of, f)
    return fields


class Target:
    """The relation that a statement writes, with what its columns stand for."""

    def __init__(self, node: Any, f: Findings) -> None:
        before = dict(f.reads)
        self.item = relations.item(node, f)
        if node.alias.aliasname:
            self.item.alias, self.item.schema = node.alias.aliasname, ""
        self.relation: Relation | None = self.item.relation
        if self.relation is not None:
            self.name = RelationName(self.relation.schema, self.relation.name)
        else:
            self.name = RelationName(self.item.schema, node.relname)
        # Writing alone reads nothing; what a view is made of is written through it.
        written = [name for name in f.reads if name not in before] or [self.name]
        for name in written:
            f.reads.pop(name, None)
            f.writes[name] = None
        f.writes[self.name] = None
        if self.relation is not None and self.relation.schema in SYSTEM_SCHEMAS:
            f.problem("unsafe", f'"{self.name}" belongs to the system', about=str(self.name))
        self.by_name = {field.name: field.value for field in self.item.fields or ()}
        self._literals: set[tuple[str, str]] = set()

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return [field.name for field in self.item.fields or ()]

    def write(self, names: Iterable[str], clause: Clause, f: Findings) -> None:
        """Note columns as written; an unknown one is a problem."""
        for name in names:
            value = self.by_name.get(name)
            if value is not None:
                f.use(value.sources, clause)
            elif self.item.fields is not None:
                about = f"{self.name}.{name}"
                f.problem("unknown_column", f'column "{about}" is not known', about=about)

    def literal(self, name: str, text: str, f: Findings) -> None:
        """Note a literal that is written into a column."""
        value = self.by_name.get(name)
        if value is not None and (name, text) not in self._literals:
            self._literals.add((name, text))
            f.literals_matter = True
            f.written_literals.extend((source, text) for source in value.sources)


def _insert(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    target = Target(stmt.relation, f)
    named = [part.res_target.name for part in stmt.cols]
    names = named or target.columns
    target.write(names, Clause(ColumnRole.WRITTEN, "INSERT"), f)
    proposed = _insert_source(stmt, target, names, outer, f)
    judged.judge(target.relation, None, "insert", f)
    attached.defaults(target.relation, set(names) - _defaulted(stmt, names), f)
    scope = outer.child()
    scope.add([target.item], target.item.fields or (), unknown=target.item.fields is None)
    if stmt.HasField("on_conflict_clause"):
        _on_conflict(stmt.on_conflict_clause, target, proposed, scope, f)
    return _returning(stmt, target, scope, f)


def _defaulted(stmt: Any, names: list[str]) -> set[str]:
    """Return the columns that an INSERT names, but gives their default."""
    if not stmt.HasField("select_stmt"):
        return set(names)  # DEFAULT VALUES
    return {
        names[index]
        for row in stmt.select_stmt.select_stmt.values_lists
        for index, node in enumerate(row.list.items)
        if index < len(names) and node.WhichOneof("node") == "set_to_default"
    }


def _insert_source(stmt: Any, target: Target, names: list[str], outer: Scope, f: Findings) -> Value:
    """Walk what is inserted; return what it is made of."""
    source = stmt.select_stmt.select_stmt
    if not stmt.HasField("select_stmt"):
        return CONSTANT
    if not source.values_lists or source.HasField("with_clause") or source.sort_clause:
        fields = queries.query(source, outer, f)
        for index, field in enumerate(fields or ()):
            name = names[index] if index < len(names) else str(index + 1)
            copied(field.value, f"INSERT into {name}", f)
        if fields is None:
            f.effects.add(Effect.COPIES_DATA)
        return merge([field.value for field in fields or ()], ExpressionClass.OTHER)
    scope = outer.child()
    values = []
    for row in source.values_lists:
        f.tick()
        for index, node in enumerate(row.list.items):
            name = names[index] if index < len(names) else ""
            if node.WhichOneof("node") == "a_const":
                if node.a_const.WhichOneof("val") == "sval":
                    target.literal(name, node.a_const.sval.sval, f)
                continue
            values.append(_assigned(node, f"INSERT into {name}", scope, f))
    return merge(values, ExpressionClass.OTHER)


def _assigned(node: Any, place: str, scope: Scope, f: Findings) -> Value:
    clause = Clause(ColumnRole.WRITTEN_FROM, place)
    value = expressions.evaluate(node, scope, clause, f)
    copied(value, place, f)
    return value


def copied(value: Value, place: str, f: Findings) -> None:
    """Note that stored values go into something else that is stored."""
    if value.sources:
        f.use(value.sources, Clause(ColumnRole.WRITTEN_FROM, place))
        f.effects.add(Effect.COPIES_DATA)


def _on_conflict(clause: Any, target: Target, proposed: Value, scope: Scope, f: Findings) -> None:
    judging = Clause(ColumnRole.JUDGED, "ON CONFLICT")
    for part in clause.infer.index_elems:
        element = part.index_elem
        if element.name:
            target.write([element.name], judging, f)
        else:
            expressions.evaluate(element.expr, scope, judging, f)
    if clause.infer.HasField("where_clause"):
        expressions.evaluate(clause.infer.where_clause, scope, _WHERE, f)
    if clause.action != pb.ONCONFLICT_UPDATE:
        return
    f.kinds.add(StatementKind.UPDATE)
    inside = Scope(parent=scope.parent)
    inside.add(scope.items, scope.columns, unknown=scope.has_unknown)
    excluded = Value(proposed.sources, ExpressionClass.OTHER)
    fields = tuple(Field(name, excluded) for name in target.columns)
    known = target.item.fields is not None
    inside.items.append(Item("excluded", fields if known else None, sources=proposed.sources))
    _set(clause.target_list, target, inside, "ON CONFLICT DO UPDATE SET", f)
    if clause.HasField("where_clause"):
        expressions.evaluate(clause.where_clause, inside, _WHERE, f)


def _set(targets: Iterable[Any], target: Target, scope: Scope, word: str, f: Findings) -> None:
    """Walk ``SET a = x, (b, c) = (…)``."""
    written: list[str] = []
    defaulted: set[str] = set()
    for part in targets:
        entry = part.res_target
        written.append(entry.name)
        place = f"{word} {entry.name}"
        kind = entry.val.WhichOneof("node")
        if kind == "multi_assign_ref":
            if entry.val.multi_assign_ref.colno == 1:
                _multiple(entry.val.multi_assign_ref.source, place, scope, f)
            if _is_default_of(entry.val.multi_assign_ref):
                defaulted.add(entry.name)
            continue
        if kind == "set_to_default":
            defaulted.add(entry.name)
        if kind == "a_const" and entry.val.a_const.WhichOneof("val") == "sval":
            target.literal(entry.name, entry.val.a_const.sval.sval, f)
        for step in entry.indirection:
            if step.WhichOneof("node") == "a_indices":
                _assigned(step.a_indices.lidx, place, scope, f)
                _assigned(step.a_indices.uidx, place, scope, f)
        _assigned(entry.val, place, scope, f)
    target.write(written, Clause(ColumnRole.WRITTEN, word), f)
    judged.judge(target.relation, frozenset(written), "update", f)
    if defaulted:
        attached.defaults(target.relation, set(target.columns) - defaulted, f)


def _is_default_of(part: Any) -> bool:
    """Return whether ``SET (a, b) = (…)`` gives one of its columns the default."""
    if part.source.WhichOneof("node") != "row_expr":
        return False
    values = part.source.row_expr.args
    if part.colno > len(values):
        return False
    return bool(values[part.colno - 1].WhichOneof("node") == "set_to_default")


def _multiple(source: Any, place: str, scope: Scope, f: Findings) -> None:
    if source.WhichOneof("node") == "row_expr":
        for node in source.row_expr.args:
            _assigned(node, place, scope, f)
    elif source.WhichOneof("node") == "sub_link":
        fields = f.subquery(source.sub_link.subselect.select_stmt, scope)
        for field in fields or ():
            copied(field.value, place, f)
    else:
        _assigned(source, place, scope, f)


def _update(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    target = Target(stmt.relation, f)
    scope = _target_scope(target, outer)
    for node in stmt.from_clause:
        from_items.add(node, scope, f)
    _set(stmt.target_list, target, scope, "SET", f)
    if stmt.HasField("where_clause"):
        expressions.evaluate(stmt.where_clause, scope, _WHERE, f)
    return _returning(stmt, target, scope, f)


def _delete(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    target = Target(stmt.relation, f)
    scope = _target_scope(target, outer)
    for node in stmt.using_clause:
        from_items.add(node, scope, f)
    if stmt.HasField("where_clause"):
        expressions.evaluate(stmt.where_clause, scope, _WHERE, f)
    judged.judge(target.relation, None, "delete", f)
    return _returning(stmt, target, scope, f)


def _target_scope(target: Target, outer: Scope) -> Scope:
    scope = outer.child()
    scope.add([target.item], target.item.fields or (), unknown=target.item.fields is None)
    return scope


def _merge(stmt: Any, outer: Scope, f: Findings) -> tuple[Field, ...] | None:
    target = Target(stmt.relation, f)
    scope = _target_scope(target, outer)
    from_items.add(stmt.source_relation, scope, f)
    expressions.evaluate(stmt.join_condition, scope, Clause(ColumnRole.JOIN, "MERGE ON"), f)
    for part in stmt.merge_when_clauses:
        when = part.merge_when_clause
        if when.match_kind == pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE and f.version < 17:
            f.problem("unsupported", "NOT MATCHED BY SOURCE is syntax of PostgreSQL 17")
        if when.HasField("condition"):
            condition = Clause(ColumnRole.PREDICATE, "MERGE WHEN")
            expressions.evaluate(when.condition, scope, condition, f)
        if when.command_type == pb.CMD_UPDATE:
            _set(when.target_list, target, scope, "MERGE UPDATE SET", f)
        elif when.command_type == pb.CMD_INSERT:
            names = [entry.res_target.name for entry in when.target_list] or target.columns
            target.write(names, Clause(ColumnRole.WRITTEN, "MERGE INSERT"), f)
            for index, node in enumerate(when.values):
                name = names[index] if index < len(names) else ""
                _assigned(node, f"MERGE INSERT into {name}", scope, f)
            judged.judge(target.relation, None, "insert", f)
            given = zip(names, when.values, strict=False)
            attached.defaults(
                target.relation,
                {name for name, node in given if node.WhichOneof("node") != "set_to_default"},
                f,
            )
        elif when.command_type == pb.CMD_DELETE:
            judged.judge(target.relation, None, "delete", f)
    return _returning(stmt, target, scope, f)


def _returning(stmt: Any, target: Target, scope: Scope, f: Findings) -> tuple[Field, ...] | None:
    clause = stmt.returning_clause
    if not stmt.HasField("returning_clause") or not clause.exprs:
        return ()
    inside = Scope(parent=scope.parent)
    inside.add(scope.items, scope.columns, unknown=scope.has_unknown)
    aliases = {1: "old", 2: "new"}
    for option in clause.options:
        aliases[option.returning_option.option] = option.returning_option.value
    if f.version >= _OLD_NEW_SINCE:
        for alias in aliases.values():
            if all(item.alias != alias for item in inside.items):
                inside.items.append(Item(alias, target.item.fields, target.relation))
    elif clause.options:
        f.problem("unsupported", "RETURNING WITH is syntax of PostgreSQL 18", unmasked=True)
    returned = Clause(ColumnRole.PROJECTED, "RETURNING")
    return queries.target_list(clause.exprs, inside, f, returned)


__all__ = ["TEMP", "Target", "copied", "modify"]
