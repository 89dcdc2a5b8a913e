"""Statements that are no query: settings, transactions, cursors, prepared names, COPY, EXPLAIN.

Each node type is listed with its kind. What runs code that cannot be seen, or would answer with
something that a mask hides, carries a problem; schema changes are in ``definitions``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import postgast

from querykeep_engines.postgresql.analysis import (
    attached,
    expressions,
    judged,
    queries,
    relations,
    settings,
    types,
    writes,
)
from querykeep_engines.postgresql.analysis.functions import refuse, unvouched
from querykeep_engines.postgresql.analysis.model import (
    SELECT_LIST,
    Clause,
    Field,
    Findings,
    Scope,
    Value,
)
from querykeep_engines.postgresql.analysis.parsing import parse, pb
from querykeep_guard.contracts.policy import StatementKind as Kind
from querykeep_guard.sql.facts import (
    ColumnRole,
    Effect,
    ExpressionClass,
    RelationName,
    SettingChange,
    StatementSyntaxError,
)

Fields = tuple[Field, ...] | None
Handler = Callable[[Any, Findings], tuple[Kind, Fields]]

_MAX_PREPARED_DEPTH = 4
_TEXT = Value(type_oid=25, type_name="text")
_FILES_OF_SERVER = "reads or writes a file of the server"
QUERIES = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})


def query_statement(kind: str, stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    """Walk a query or data-modifying statement at the top level or inside EXPLAIN, PREPARE …"""
    if kind != "select_stmt":
        before = set(f.kinds)
        fields = writes.modify(kind, stmt, None, f)
        own = Kind(kind.removesuffix("_stmt"))
        f.kinds = before | f.kinds
        returns = stmt.HasField("returning_clause")
        return own, fields if returns else ()
    return Kind.SELECT, queries.query(stmt, None, f)


def _transaction(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.TRANSACTION)
    if stmt.kind in (pb.TRANS_STMT_PREPARE, pb.TRANS_STMT_COMMIT_PREPARED):
        f.problem("unsafe", "two-phase commit leaves locks behind when a session ends")
    return Kind.TRANSACTION, ()


def _set(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.SESSION)
    f.literals_matter = True
    if stmt.kind == pb.VAR_SET_MULTI:
        f.effects.add(Effect.TRANSACTION)
        if stmt.name == "TRANSACTION SNAPSHOT":
            f.problem("unsafe", "SET TRANSACTION SNAPSHOT uses the snapshot of another session")
        return Kind.SET, ()
    name = "all" if stmt.kind == pb.VAR_RESET_ALL else stmt.name
    value = None
    if stmt.kind == pb.VAR_SET_VALUE:
        value = ", ".join(_setting_value(argument) for argument in stmt.args)
    change = SettingChange(name, value, stmt.is_local)
    f.settings.append(change)
    if stmt.kind == pb.VAR_SET_CURRENT:
        return Kind.SET, ()
    settings.check(change, f)
    return Kind.SET, ()


def _setting_value(node: Any) -> str:
    """Return one value of SET as text; names that need it come back quoted."""
    kind = node.WhichOneof("node")
    if kind == "type_cast":
        return _setting_value(node.type_cast.arg)
    constant = node.a_const
    match constant.WhichOneof("val"):
        case "sval":
            text = str(constant.sval.sval)
            is_plain = text.replace("_", "a").isalnum() and text == text.lower()
            return text if is_plain else '"' + text.replace('"', '""') + '"'
        case "ival":
            return str(constant.ival.ival)
        case "fval":
            return str(constant.fval.fval)
        case "boolval":
            return "true" if constant.boolval.boolval else "false"
    return ""


def _show(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    if stmt.name == "all":
        return Kind.SHOW, tuple(Field(name, _TEXT) for name in ("name", "setting", "description"))
    return Kind.SHOW, (Field(stmt.name, _TEXT),)


def _discard(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.SESSION)
    if stmt.target == pb.DISCARD_ALL:
        f.settings.append(SettingChange("all", None))
        f.used_names += [("deallocate", "*"), ("close", "*")]
    return Kind.SET, ()


def _explain(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    options = {item.def_elem.defname: item.def_elem for item in stmt.options}
    kind, _ = _inner(stmt.query, f)
    runs = "analyze" in options and _is_on(options["analyze"])
    if runs:
        f.kinds.add(kind)
    else:
        f.effects -= {Effect.WRITE, Effect.COPIES_DATA}
        f.kinds.add(kind)
    f.literals_matter = True
    return Kind.EXPLAIN, (Field("QUERY PLAN", _TEXT),)


def _is_on(option: Any) -> bool:
    if not option.HasField("arg"):
        return True
    kind = option.arg.WhichOneof("node")
    if kind == "string":
        return option.arg.string.sval.lower() not in ("off", "false", "0", "no")
    if kind == "integer":
        return bool(option.arg.integer.ival)
    return True


def _inner(node: Any, f: Findings) -> tuple[Kind, Fields]:
    """Walk the statement inside EXPLAIN, PREPARE, DECLARE."""
    kind = node.WhichOneof("node")
    inner = getattr(node, kind)
    if kind in QUERIES:
        if kind == "select_stmt" and inner.HasField("into_clause"):
            return select_into(inner, f)
        return query_statement(kind, inner, f)
    if kind == "execute_stmt":
        return _execute(inner, f)
    if kind == "declare_cursor_stmt":
        return _inner(inner.query, f)
    if kind == "create_table_as_stmt":
        return create_table_as(inner, f)
    if kind == "refresh_mat_view_stmt":
        return Kind.MAINTENANCE, ()
    f.problem("unsupported", f"{kind} is not understood here", unmasked=True)
    return Kind.UNKNOWN, None


def _prepare(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.used_names.append(("prepare", stmt.name))
    f.literals_matter = True
    for argument in stmt.argtypes:
        types.check(argument.type_name, -1, f)
    kind, _ = _inner(stmt.query, f)
    f.kinds.add(kind)
    # It runs later and is judged again then; its writes are the writes of EXECUTE.
    return Kind.PREPARE, ()


def _execute(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.used_names.append(("execute", stmt.name))
    f.literals_matter = True
    expressions.evaluate_all(stmt.params, Scope(), SELECT_LIST, f)
    found = _earlier(stmt.name, f)
    if found is None:
        return Kind.EXECUTE, None
    kind, fields = found
    f.kinds.add(kind)
    # A write without RETURNING has no result; a SELECT of no columns has one all the same.
    return Kind.EXECUTE, fields if fields or kind is Kind.SELECT else None


def _earlier(name: str, f: Findings) -> tuple[Kind, Fields] | None:
    """Walk the text behind a prepared statement or cursor, under whatever path it was made."""
    text = f.prepared.get(name)
    if text is None or f.prepared_depth >= _MAX_PREPARED_DEPTH:
        f.problem(
            "unsupported", f'the text behind "{name}" is not known in this session', about=name
        )
        return None
    names, offsets, view = f.names, f.offsets, f.view
    f.names = names.under_any_path(f.prepared_paths.get(name))
    f.prepared_depth += 1
    # Positions would point into another text.
    f.silent = True
    try:
        tree = parse(text)
        node = tree.stmts[-1].stmt
        kind = node.WhichOneof("node")
        if kind == "prepare_stmt":
            node = node.prepare_stmt.query
        elif kind == "declare_cursor_stmt":
            node = node.declare_cursor_stmt.query
        return _inner(node, f)
    except StatementSyntaxError:
        f.problem("unsupported", f'the text behind "{name}" cannot be read', about=name)
        return None
    finally:
        f.names, f.offsets, f.view = names, offsets, view
        f.prepared_depth -= 1
        f.silent = f.prepared_depth > 0


def _deallocate(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.SESSION)
    f.used_names.append(("deallocate", stmt.name or "*"))
    return Kind.DEALLOCATE, ()


def _declare(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.used_names.append(("declare", stmt.portalname))
    f.literals_matter = True
    _inner(stmt.query, f)
    # 1 = BINARY (parsenodes.h, CURSOR_OPT_BINARY): rows would not come as the client asks for them.
    if stmt.options & 1:
        f.problem("unsupported", "a BINARY cursor cannot be masked")
    return Kind.DECLARE_CURSOR, ()


def _fetch(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.used_names.append(("fetch", stmt.portalname))
    f.literals_matter = True
    found = _earlier(stmt.portalname, f)
    if stmt.ismove:
        return Kind.FETCH, ()
    return Kind.FETCH, None if found is None else found[1]


def _close(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.used_names.append(("close", stmt.portalname or "*"))
    return Kind.CLOSE_CURSOR, ()


def _copy(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.literals_matter = True
    if stmt.filename or stmt.is_program:
        f.effects.add(Effect.FILE)
        f.problem("unsafe", "COPY with a file or program of the server", about=stmt.filename)
    columns = [part.string.sval for part in stmt.attlist]
    if stmt.is_from:
        f.effects.add(Effect.WRITE)
        target = writes.Target(stmt.relation, f)
        target.write(columns or target.columns, Clause(ColumnRole.WRITTEN, "COPY FROM"), f)
        judged.judge(target.relation, None, "insert", f)
        attached.defaults(target.relation, columns or target.columns, f)
        if stmt.HasField("where_clause"):
            scope = Scope()
            scope.add([target.item], target.item.fields or (), unknown=target.item.fields is None)
            where = Clause(ColumnRole.PREDICATE, "COPY WHERE")
            expressions.evaluate(stmt.where_clause, scope, where, f)
        return Kind.COPY_IN, ()
    if stmt.HasField("query"):
        kind, fields = _inner(stmt.query, f)
        f.kinds.add(kind)
        return Kind.COPY_OUT, fields
    item = relations.item(stmt.relation, f)
    fields = item.fields
    if columns and fields is not None:
        by_name = {field.name: field for field in fields}
        for name in columns:
            if name not in by_name:
                f.problem("unknown_column", f'column "{name}" is not known', about=name)
        fields = tuple(by_name[name] for name in columns if name in by_name)
    for field in fields or ():
        f.use(field.value.sources, Clause(ColumnRole.PROJECTED, "COPY TO"))
    if fields is None:
        f.problem("unsupported", "COPY of a relation whose columns are not known")
    return Kind.COPY_OUT, fields


def _do(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    unvouched(f)
    f.problem("unsafe", "a DO block runs code that is not looked into")
    return Kind.CALL, ()


def _call(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    call = stmt.funccall
    parts = [part.string.sval for part in call.funcname]
    expressions.evaluate_all(call.args, Scope(), SELECT_LIST, f)
    f.functions[".".join(parts)] = None
    refuse(parts[-2] if len(parts) > 1 else "", parts[-1], call, f)
    unvouched(f)
    return Kind.CALL, None


def _notify(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.NOTIFY)
    return Kind.NOTIFY, ()


def _lock(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    only_reads = stmt.mode == _ACCESS_SHARE
    if not only_reads:
        f.effects.add(Effect.LOCK)
    for node in stmt.relations:
        item = relations.item(node.range_var, f)
        if not only_reads and item.relation is not None:
            f.writes[RelationName(item.relation.schema, item.relation.name)] = None
    return (Kind.SELECT, None) if only_reads else (Kind.LOCK, ())


# lockdefs.h: AccessShareLock, what every SELECT takes.
_ACCESS_SHARE = 1


def _maintenance(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    for part in getattr(stmt, "rels", ()):
        _touch(part.vacuum_relation.relation, f)
    if hasattr(stmt, "relation") and stmt.HasField("relation"):
        _touch(stmt.relation, f)
    return Kind.MAINTENANCE, ()


def _touch(node: Any, f: Findings) -> None:
    item = relations.item(node, f)
    if item.relation is not None:
        f.writes[RelationName(item.relation.schema, item.relation.name)] = None


def _constraints(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    f.effects.add(Effect.TRANSACTION)
    return Kind.SET, ()


def select_into(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    """Walk ``SELECT … INTO table``, which is CREATE TABLE AS."""
    into = stmt.into_clause
    copy = pb.SelectStmt()
    copy.CopyFrom(stmt)
    copy.ClearField("into_clause")
    return _create_from(into.rel, queries.query(copy, None, f), f)


def create_table_as(stmt: Any, f: Findings) -> tuple[Kind, Fields]:
    """Walk CREATE TABLE AS and CREATE MATERIALIZED VIEW."""
    kind = stmt.query.WhichOneof("node")
    if kind == "execute_stmt":
        fields = _execute(stmt.query.execute_stmt, f)[1]
    else:
        fields = queries.query(stmt.query.select_stmt, None, f)
    return _create_from(stmt.into.rel, fields, f)


def _create_from(node: Any, fields: Fields, f: Findings) -> tuple[Kind, Fields]:
    f.effects |= {Effect.DDL, Effect.WRITE, Effect.COPIES_DATA}
    name = new_name(node, f)
    f.writes[name] = None
    for field in fields or ():
        writes.copied(field.value, f"CREATE TABLE {name} AS", f)
    return Kind.CREATE, ()


def new_name(node: Any, f: Findings) -> RelationName:
    """Return the name that a ``RangeVar`` of a CREATE makes."""
    if node.relpersistence == "t" or node.schemaname.startswith("pg_temp"):
        return RelationName("pg_temp", node.relname)
    return RelationName(node.schemaname or f.names.creation_schema(), node.relname)


def digest(text: str) -> str:
    """Return libpg_query's fingerprint: equal for texts that differ in literals only."""
    return str(postgast.fingerprint(text).hex)


HANDLERS: dict[str, Handler] = {
    "transaction_stmt": _transaction,
    "variable_set_stmt": _set,
    "variable_show_stmt": _show,
    "discard_stmt": _discard,
    "explain_stmt": _explain,
    "prepare_stmt": _prepare,
    "execute_stmt": _execute,
    "deallocate_stmt": _deallocate,
    "declare_cursor_stmt": _declare,
    "fetch_stmt": _fetch,
    "close_portal_stmt": _close,
    "copy_stmt": _copy,
    "do_stmt": _do,
    "call_stmt": _call,
    "notify_stmt": _notify,
    "listen_stmt": _notify,
    "unlisten_stmt": _notify,
    "lock_stmt": _lock,
    "vacuum_stmt": _maintenance,
    "cluster_stmt": _maintenance,
    "reindex_stmt": _maintenance,
    "check_point_stmt": _maintenance,
    "refresh_mat_view_stmt": _maintenance,
    "constraints_set_stmt": _constraints,
    "create_table_as_stmt": create_table_as,
}
__all__ = ["HANDLERS", "QUERIES", "ExpressionClass", "query_statement"]
