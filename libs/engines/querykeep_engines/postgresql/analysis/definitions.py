"""Schema changes and rights: each node type with its kind, the objects that it names, and problems.

A definition that evaluates something over stored rows, brings in code, or moves a rule off its
column carries a problem for those who have something to hide from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from querykeep_engines.postgresql.analysis import expressions, queries, relations, types, writes
from querykeep_engines.postgresql.analysis.model import (
    CONSTANT,
    Clause,
    Field,
    Findings,
    Item,
    Scope,
)
from querykeep_engines.postgresql.analysis.names import TEMP
from querykeep_engines.postgresql.analysis.parsing import pb
from querykeep_engines.postgresql.analysis.utility import new_name
from querykeep_guard.contracts.policy import StatementKind as Kind
from querykeep_guard.sql.facts import ColumnRole, Effect, RelationName

Handler = Callable[[Any, Findings], Kind]
_PREDICATE = Clause(ColumnRole.PREDICATE, "definition")
_INDEXED = Clause(ColumnRole.JUDGED, "index")
_RELATIONS = frozenset(
    {
        *(pb.OBJECT_TABLE, pb.OBJECT_VIEW, pb.OBJECT_MATVIEW, pb.OBJECT_FOREIGN_TABLE),
        *(pb.OBJECT_SEQUENCE, pb.OBJECT_INDEX, pb.OBJECT_COLUMN, pb.OBJECT_TABCONSTRAINT),
    }
)
_OWNED = frozenset({pb.OBJECT_TRIGGER, pb.OBJECT_RULE, pb.OBJECT_POLICY, pb.OBJECT_COLUMN})


def _existing(node: Any, f: Findings) -> None:
    """Note a relation that a definition changes; it need not be a table (an index is not known)."""
    schema, name = node.schemaname, node.relname
    if f.names.is_temporary(schema, name):
        f.writes[RelationName("pg_temp", name)] = None
        return
    relation = f.names.relation(schema, name)
    if relation is not None:
        f.writes[RelationName(relation.schema, relation.name)] = None
    else:
        f.writes[RelationName(schema or f.names.creation_schema(), name)] = None


def _by_parts(parts: list[str], f: Findings) -> None:
    if not parts:
        return
    node = pb.RangeVar(schemaname=parts[-2] if len(parts) > 1 else "", relname=parts[-1])
    _existing(node, f)


def _parts(node: Any) -> list[str]:
    kind = node.WhichOneof("node")
    if kind == "list":
        return [item.string.sval for item in node.list.items if item.HasField("string")]
    if kind == "string":
        return [node.string.sval]
    return []


def _code(word: str) -> Callable[[Any, Findings, Kind], None]:
    def note(stmt: Any, f: Findings, kind: Kind) -> None:
        f.problem("unsafe", f"{word} brings in code or rights that are not looked into")

    return note


def _create_table(stmt: Any, f: Findings) -> Kind:
    """CREATE TABLE: expressions of defaults and checks, LIKE, parents and references."""
    name = new_name(stmt.relation, f)
    f.writes[name] = None
    for parent in stmt.inh_relations:
        relations.item(parent.range_var, f)
    names = [node.column_def.colname for node in stmt.table_elts if node.HasField("column_def")]
    # What a new table holds is visible to whoever makes it; parents' columns are not known here.
    fields = tuple(Field(column, CONSTANT) for column in names)
    scope = Scope()
    item = Item(name.name, None if stmt.inh_relations else fields, schema=name.schema)
    scope.add([item], fields, unknown=item.fields is None)
    for node in (*stmt.table_elts, *stmt.constraints):
        _table_element(node, f, scope)
    return Kind.CREATE


def _table_element(node: Any, f: Findings, scope: Scope) -> None:
    kind = node.WhichOneof("node")
    if kind == "column_def":
        types.check(node.column_def.type_name, -1, f)
        for constraint in node.column_def.constraints:
            _table_element(constraint, f, scope)
    elif kind == "table_like_clause":
        relations.item(node.table_like_clause.relation, f)
    elif kind == "constraint":
        constraint = node.constraint
        if constraint.HasField("pktable"):
            f.names.relation(constraint.pktable.schemaname, constraint.pktable.relname)
        # DEFAULT, CHECK, GENERATED: evaluated at each write, and what it says can be read there.
        expressions.inside(constraint, scope, _PREDICATE, f)


def _create_view(stmt: Any, f: Findings) -> Kind:
    """CREATE VIEW: the query is judged as if it ran, so that no hidden predicate is laundered."""
    fields = queries.query(stmt.query.select_stmt, None, f)
    name = new_name(stmt.view, f)
    f.writes[name] = None
    if name.schema == TEMP or any(read.schema == TEMP for read in f.reads):
        # The catalog will not know it, so that what it shows would have no lineage.
        for field in fields or ():
            writes.copied(field.value, f"temporary view {name.name}", f)
        f.effects.add(Effect.COPIES_DATA)
    return Kind.CREATE


def _index(stmt: Any, f: Findings) -> Kind:
    """CREATE INDEX tells duplicates and values that are too long; an expression may fail."""
    item = relations.item(stmt.relation, f)
    scope = Scope()
    scope.add([item], item.fields or (), unknown=item.fields is None)
    if item.relation is not None:
        f.writes[RelationName(item.relation.schema, item.relation.name)] = None
    for part in (*stmt.index_params, *stmt.index_including_params):
        element = part.index_elem
        if element.HasField("expr"):
            expressions.evaluate(element.expr, scope, _INDEXED, f)
        else:
            for value in item.find(element.name):
                f.use(value.sources, _INDEXED)
    if stmt.HasField("where_clause"):
        expressions.evaluate(stmt.where_clause, scope, _PREDICATE, f)
    return Kind.CREATE


def _alter_table(stmt: Any, f: Findings) -> Kind:
    _existing(stmt.relation, f)
    f.problem(
        "unsafe",
        "ALTER TABLE may move data or rules off their columns",
        about=stmt.relation.relname,
    )
    return Kind.ALTER


def _rename(stmt: Any, f: Findings) -> Kind:
    if stmt.HasField("relation"):
        _existing(stmt.relation, f)
    elif stmt.HasField("object"):
        f.objects[".".join(_parts(stmt.object))] = None
    f.problem("unsafe", "a rename takes rules off what they name")
    return Kind.RENAME


def _drop(stmt: Any, f: Findings) -> Kind:
    for node in stmt.objects:
        parts = _parts(node)
        if stmt.remove_type in _RELATIONS:
            _by_parts(parts, f)
        elif stmt.remove_type in _OWNED:
            _by_parts(parts[:-1], f)
        else:
            f.objects[".".join(parts)] = None
    return Kind.DROP


def _truncate(stmt: Any, f: Findings) -> Kind:
    f.effects.add(Effect.WRITE)
    for node in stmt.relations:
        item = relations.item(node.range_var, f)
        if item.relation is not None:
            name = RelationName(item.relation.schema, item.relation.name)
            f.reads.pop(name, None)
            f.writes[name] = None
            if any("truncate" in trigger.events for trigger in item.relation.triggers):
                f.problem("unsafe", f'a trigger of "{name}" runs code', about=str(name))
        elif item.schema == "pg_temp":
            f.writes[RelationName("pg_temp", item.alias)] = None
    return Kind.TRUNCATE


def _comment(stmt: Any, f: Findings) -> Kind:
    parts = _parts(stmt.object)
    if stmt.objtype == pb.OBJECT_COLUMN:
        _by_parts(parts[:-1], f)
    elif stmt.objtype in _RELATIONS:
        _by_parts(parts, f)
    elif parts:
        f.objects[".".join(parts)] = None
    return Kind.COMMENT


def _grant(stmt: Any, f: Findings) -> Kind:
    for node in getattr(stmt, "objects", ()):
        if node.WhichOneof("node") == "range_var":
            _existing(node.range_var, f)
    return Kind.GRANT


def _schema(stmt: Any, f: Findings) -> Kind:
    f.objects[stmt.schemaname] = None
    if stmt.schema_elts:
        f.problem("unsupported", "CREATE SCHEMA with elements: send them one by one", unmasked=True)
    return Kind.CREATE


def _sequence(stmt: Any, f: Findings) -> Kind:
    f.writes[new_name(stmt.sequence, f)] = None
    return Kind.CREATE


def _simple(kind: Kind, problem: str = "") -> Handler:
    def handle(stmt: Any, f: Findings) -> Kind:
        for attribute in ("relation", "sequence", "table"):
            if attribute in stmt.DESCRIPTOR.fields_by_name and stmt.HasField(attribute):
                node = getattr(stmt, attribute)
                if node.DESCRIPTOR.name == "RangeVar":
                    _existing(node, f)
        if problem:
            f.problem("unsafe", problem)
        return kind

    return handle


_CODE = "it brings in code that is not looked into"
_RIGHTS = "it changes accounts or rights of the server"
_SERVER = "it changes the server itself"
_AWAY = "it takes rules off what they name"
_FOREIGN = "it reaches other servers"

HANDLERS: dict[str, Handler] = {
    "create_stmt": _create_table,
    "create_foreign_table_stmt": lambda stmt, f: _create_table(stmt.base_stmt, f),
    "view_stmt": _create_view,
    "index_stmt": _index,
    "create_schema_stmt": _schema,
    "create_seq_stmt": _sequence,
    "alter_seq_stmt": _simple(Kind.ALTER),
    "alter_table_stmt": _alter_table,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _simple(Kind.ALTER, _AWAY),
    "alter_owner_stmt": _simple(Kind.ALTER, _RIGHTS),
    "alter_object_depends_stmt": _simple(Kind.ALTER),
    "drop_stmt": _drop,
    "truncate_stmt": _truncate,
    "comment_stmt": _comment,
    "sec_label_stmt": _simple(Kind.COMMENT),
    "grant_stmt": _grant,
    "grant_role_stmt": _grant,
    "alter_default_privileges_stmt": _simple(Kind.GRANT),
    "create_role_stmt": _simple(Kind.CREATE, _RIGHTS),
    "alter_role_stmt": _simple(Kind.ALTER, _RIGHTS),
    "alter_role_set_stmt": _simple(Kind.ALTER, _RIGHTS),
    "drop_role_stmt": _simple(Kind.DROP, _RIGHTS),
    "drop_owned_stmt": _simple(Kind.DROP, _RIGHTS),
    "reassign_owned_stmt": _simple(Kind.ALTER, _RIGHTS),
    "create_function_stmt": _simple(Kind.CREATE, _CODE),
    "alter_function_stmt": _simple(Kind.ALTER, _CODE),
    "create_trig_stmt": _simple(Kind.CREATE, _CODE),
    "create_event_trig_stmt": _simple(Kind.CREATE, _CODE),
    "alter_event_trig_stmt": _simple(Kind.ALTER, _CODE),
    "rule_stmt": _simple(Kind.CREATE, _CODE),
    "create_policy_stmt": _simple(Kind.CREATE, _CODE),
    "alter_policy_stmt": _simple(Kind.ALTER, _CODE),
    "create_plang_stmt": _simple(Kind.CREATE, _CODE),
    "create_cast_stmt": _simple(Kind.CREATE, _CODE),
    "create_conversion_stmt": _simple(Kind.CREATE, _CODE),
    "create_transform_stmt": _simple(Kind.CREATE, _CODE),
    "create_op_class_stmt": _simple(Kind.CREATE, _CODE),
    "create_op_family_stmt": _simple(Kind.CREATE, _CODE),
    "alter_op_family_stmt": _simple(Kind.ALTER, _CODE),
    "alter_operator_stmt": _simple(Kind.ALTER, _CODE),
    "create_am_stmt": _simple(Kind.CREATE, _CODE),
    "define_stmt": _simple(Kind.CREATE, _CODE),
    "create_extension_stmt": _simple(Kind.CREATE, _CODE),
    "alter_extension_stmt": _simple(Kind.ALTER, _CODE),
    "alter_extension_contents_stmt": _simple(Kind.ALTER, _CODE),
    "load_stmt": _simple(Kind.LOAD, _CODE),
    "create_domain_stmt": _simple(Kind.CREATE, _CODE),
    "alter_domain_stmt": _simple(Kind.ALTER, _CODE),
    "composite_type_stmt": _simple(Kind.CREATE),
    "create_enum_stmt": _simple(Kind.CREATE),
    "alter_enum_stmt": _simple(Kind.ALTER),
    "create_range_stmt": _simple(Kind.CREATE),
    "alter_type_stmt": _simple(Kind.ALTER, _CODE),
    "alter_collation_stmt": _simple(Kind.ALTER),
    "create_stats_stmt": _simple(Kind.CREATE, "it gathers statistics of stored values"),
    "alter_stats_stmt": _simple(Kind.ALTER),
    "alter_tsdictionary_stmt": _simple(Kind.ALTER),
    "alter_tsconfiguration_stmt": _simple(Kind.ALTER),
    "create_publication_stmt": _simple(Kind.CREATE, _FOREIGN),
    "alter_publication_stmt": _simple(Kind.ALTER, _FOREIGN),
    "create_subscription_stmt": _simple(Kind.CREATE, _FOREIGN),
    "alter_subscription_stmt": _simple(Kind.ALTER, _FOREIGN),
    "drop_subscription_stmt": _simple(Kind.DROP, _FOREIGN),
    "create_fdw_stmt": _simple(Kind.CREATE, _FOREIGN),
    "alter_fdw_stmt": _simple(Kind.ALTER, _FOREIGN),
    "create_foreign_server_stmt": _simple(Kind.CREATE, _FOREIGN),
    "alter_foreign_server_stmt": _simple(Kind.ALTER, _FOREIGN),
    "create_user_mapping_stmt": _simple(Kind.CREATE, _FOREIGN),
    "alter_user_mapping_stmt": _simple(Kind.ALTER, _FOREIGN),
    "drop_user_mapping_stmt": _simple(Kind.DROP, _FOREIGN),
    "import_foreign_schema_stmt": _simple(Kind.CREATE, _FOREIGN),
    "createdb_stmt": _simple(Kind.CREATE, _SERVER),
    "alter_database_stmt": _simple(Kind.ALTER, _SERVER),
    "alter_database_refresh_coll_stmt": _simple(Kind.ALTER, _SERVER),
    "alter_database_set_stmt": _simple(Kind.ALTER, _SERVER),
    "dropdb_stmt": _simple(Kind.DROP, _SERVER),
    "create_table_space_stmt": _simple(Kind.CREATE, _SERVER),
    "alter_table_space_options_stmt": _simple(Kind.ALTER, _SERVER),
    "alter_table_move_all_stmt": _simple(Kind.ALTER, _SERVER),
    "drop_table_space_stmt": _simple(Kind.DROP, _SERVER),
    "alter_system_stmt": _simple(Kind.ALTER, _SERVER),
    "replica_identity_stmt": _simple(Kind.ALTER),
}
__all__ = ["HANDLERS", "Field"]
