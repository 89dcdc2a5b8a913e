"""Function calls: by allow-list of builtins, never shadowed, each in its role.

What is not in ``functions.txt`` is a user's function or an unsafe builtin and is refused for those
who have something to hide from; ``Effect.PROCEDURE`` says that its doings are not seen.
"""

from __future__ import annotations

from typing import Any

from querykeep_engines.postgresql.analysis import expressions, settings
from querykeep_engines.postgresql.analysis.model import (
    TEXT_OID,
    Clause,
    Findings,
    Scope,
    Value,
    merge,
)
from querykeep_engines.postgresql.analysis.names import (
    INFORMATION_SCHEMA,
    PG_CATALOG,
    Builtin,
    builtins,
)
from querykeep_guard.contracts.policy import StatementKind
from querykeep_guard.sql.facts import (
    STORED_SIZE,
    ColumnRole,
    Effect,
    ExpressionClass,
    SettingChange,
)

# Builtins with effects that a grant can cover, by what they do.
_SEQUENCE_WRITES = frozenset({"nextval", "setval"})
_SEQUENCE_READS = frozenset({"currval", "lastval", "pg_sequence_last_value"})
_LOCKS = ("pg_advisory_", "pg_try_advisory_")
_SLEEPS = ("pg_sleep",)
_FILES = (
    "pg_read_",
    "pg_ls_",
    "pg_stat_file",
    "lo_import",
    "lo_export",
    "pg_file_",
    "pg_current_logfile",
)
_INT8_OID = 20
_TEXT_RESULTS = frozenset({"left", "right"})
_TABLE_SIZES = frozenset(
    {
        "pg_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_total_relation_size",
        "pg_stat_get_numscans",
    }
)
_OTHER_SIZES = frozenset({"pg_database_size", "pg_tablespace_size"})


def unvouched(f: Findings) -> None:
    """Note that code runs that cannot be looked into."""
    f.effects.add(Effect.PROCEDURE)
    f.kinds.add(StatementKind.CALL)


def function_name(node: Any) -> tuple[str, str]:
    """Return (schema, name) of a ``FuncCall``."""
    parts = [part.string.sval for part in node.funcname]
    return (parts[-2] if len(parts) > 1 else "", parts[-1])


def lookup(schema: str, name: str, f: Findings) -> Builtin | None:
    """Return the manifest's entry when a call can reach nothing but that builtin."""
    found = builtins().get(name)
    if found is None or f.version < found.since:
        return None
    if found.kind == "schema":
        return found if schema == INFORMATION_SCHEMA else None
    if schema not in ("", PG_CATALOG) or f.names.user_routine(schema, name):
        return None
    return found


def call(node: Any, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Return the value of a function call in an expression."""
    schema, name = function_name(node)
    spoken = f"{schema}.{name}" if schema else name
    f.functions[spoken] = None
    if _is_size(schema, name, f):
        return _size(node, spoken, scope, clause, f)
    builtin = lookup(schema, name, f)
    if builtin is None and not _is_literal_set_config(schema, name, node, f):
        refuse(schema, name, node, f)
    if builtin is not None and builtin.kind == "aggregate" and not node.HasField("over"):
        return _aggregate(node, spoken, scope, f)
    if node.HasField("over"):
        return _windowed(node, spoken, scope, f)
    values = expressions.evaluate_all(node.args, scope, clause, f)
    values += _extras(node, spoken, scope, f)
    if builtin is not None and builtin.kind == "total" and _is_total(name, node, values):
        return expressions.total(values)
    if name == "pg_size_pretty" and builtin is not None and _are_sizes(values):
        return expressions.total(values)
    value = f.opaque(values, f"function {spoken}()", node.location)
    if builtin is not None and builtin.kind == "total":
        return Value(value.sources, value.expression, None, TEXT_OID, "text")
    return value


def _is_size(schema: str, name: str, f: Findings) -> bool:
    """Return whether a call can mean nothing but a builtin that tells how much is stored."""
    if name not in _TABLE_SIZES and name not in _OTHER_SIZES:
        return False
    return schema in ("", PG_CATALOG) and not f.names.user_routine(schema, name)


def _size(node: Any, spoken: str, scope: Scope, clause: Clause, f: Findings) -> Value:
    """Return how much is stored: it may be shown, hidden, but decide nothing."""
    values = expressions.evaluate_all(node.args, scope, clause, f)
    made = f.opaque(values, f"function {spoken}()", node.location)
    f.use({STORED_SIZE}, clause, node.location)
    f.effects.add(Effect.METADATA)
    expression = ExpressionClass.TOTAL
    if any(value.sources and value.expression is ExpressionClass.OTHER for value in values):
        expression = ExpressionClass.OTHER
    return Value(made.sources | {STORED_SIZE}, expression, None, _INT8_OID, "bigint")


def _are_sizes(values: list[Value]) -> bool:
    return all(
        STORED_SIZE in value.sources and value.expression is not ExpressionClass.OTHER
        for value in values
    )


def _is_total(name: str, node: Any, values: list[Value]) -> bool:
    """True when every argument is text (or, for left() and right(), a literal count)."""
    if node.func_variadic or node.agg_distinct or node.agg_order:
        return False
    if name in _TEXT_RESULTS:
        counts = node.args[1:]
        if not all(argument.WhichOneof("node") == "a_const" for argument in counts):
            return False
        f_values = values[:1]
    else:
        f_values = values
    return all(value.is_text and value.fields is None for value in f_values)


def _aggregate(node: Any, spoken: str, scope: Scope, f: Findings) -> Value:
    clause = Clause(ColumnRole.AGGREGATE, f"aggregate {spoken}()")
    values = expressions.evaluate_all(node.args, scope, clause, f)
    values += _extras(node, spoken, scope, f)
    return merge(values, ExpressionClass.OTHER)


def _windowed(node: Any, spoken: str, scope: Scope, f: Findings) -> Value:
    clause = Clause(ColumnRole.WINDOW, f"window function {spoken}()")
    values = expressions.evaluate_all(node.args, scope, clause, f)
    values += _extras(node, spoken, scope, f)
    values += window(node.over, scope, f)
    return merge(values, ExpressionClass.OTHER)


def _extras(node: Any, spoken: str, scope: Scope, f: Findings) -> list[Value]:
    """Evaluate FILTER, ORDER BY and DISTINCT of an aggregate call."""
    values = []
    if node.HasField("agg_filter"):
        values.append(
            expressions.evaluate(node.agg_filter, scope, Clause(ColumnRole.PREDICATE, "FILTER"), f)
        )
    order = Clause(ColumnRole.ORDER, f"ORDER BY in {spoken}()")
    for item in node.agg_order:
        values.append(expressions.evaluate(item.sort_by.node, scope, order, f))
    if node.agg_distinct:
        distinct = Clause(ColumnRole.DISTINCT, f"DISTINCT in {spoken}()")
        for argument in node.args:
            expressions.evaluate(argument, scope, distinct, f)
    return values


def window(definition: Any, scope: Scope, f: Findings) -> list[Value]:
    """Evaluate a window definition: PARTITION BY, ORDER BY and the frame."""
    clause = Clause(ColumnRole.WINDOW, "window PARTITION BY")
    values = expressions.evaluate_all(definition.partition_clause, scope, clause, f)
    order = Clause(ColumnRole.WINDOW, "window ORDER BY")
    for item in definition.order_clause:
        values.append(expressions.evaluate(item.sort_by.node, scope, order, f))
    frame = Clause(ColumnRole.WINDOW, "window frame")
    for offset in (definition.start_offset, definition.end_offset):
        values.append(expressions.evaluate(offset, scope, frame, f))
    return values


def refuse(schema: str, name: str, node: Any, f: Findings) -> None:
    """Note the problem of a call that is not on the allow-list, and its effects."""
    spoken = f"{schema}.{name}" if schema else name
    message = f"function {spoken}() is not a builtin that is known to be safe"
    code = "unknown_function"
    if schema in ("", PG_CATALOG) and not f.names.user_routine(schema, name):
        code, message = _known_unsafe(name, spoken, f) or (code, message)
    else:
        unvouched(f)
    f.problem(code, message, about=f"{spoken}()", location=node.location)


def _known_unsafe(name: str, spoken: str, f: Findings) -> tuple[str, str] | None:
    if name in _SEQUENCE_WRITES:
        f.effects.add(Effect.WRITE)
        return "unsafe", f"function {spoken}() changes a sequence"
    if name in _SEQUENCE_READS:
        return "unsafe", f"function {spoken}() reads a sequence"
    if name == "set_config":
        return "unsafe", "set_config() with values that are not literals cannot be followed"
    if name.startswith(_LOCKS):
        f.effects.add(Effect.LOCK)
        return "unsafe", f"function {spoken}() takes a lock"
    if name == "pg_notify":
        f.effects.add(Effect.NOTIFY)
        f.kinds.add(StatementKind.NOTIFY)
        return "unsafe", "pg_notify() passes data to other sessions"
    if name.startswith(_SLEEPS):
        return "unsafe", f"function {spoken}() waits"
    if name in ("pg_cancel_backend", "pg_terminate_backend"):
        f.kinds.add(StatementKind.KILL)
        f.effects.add(Effect.PROCEDURE)
        return "unsafe", f"function {spoken}() ends other sessions"
    if name.startswith(_FILES):
        f.effects.add(Effect.FILE)
        return "unsafe", f"function {spoken}() reads or writes files of the server"
    if name.startswith("dblink"):
        f.effects.add(Effect.NETWORK)
        unvouched(f)
        return "unsafe", f"function {spoken}() opens a connection from the server"
    if name in ("pg_column_size", "pg_relation_filepath", "pg_relation_filenode"):
        return "unsafe", f"function {spoken}() shows how much is stored, or where"
    unvouched(f)
    return None


_PG_DUMP_VALUE = "view, foreign-table"


def _is_literal_set_config(schema: str, name: str, node: Any, f: Findings) -> bool:
    """Judge ``set_config('name', 'value', is_local)`` as the SET that it stands for; True when it
    could be read."""
    if name != "set_config" or schema not in ("", PG_CATALOG):
        return False
    if f.names.user_routine(schema, name):
        return False
    f.effects.add(Effect.SESSION)
    f.kinds.add(StatementKind.SET)
    f.literals_matter = True
    literals = [_literal(argument) for argument in node.args]
    if len(literals) == 3 and literals[1] == _PG_DUMP_VALUE and literals[2] is not None:
        # pg_dump names the setting by a column of pg_settings. Whatever setting that may be, the
        # value fits it or fails; the session reads its search_path again after any set_config().
        f.settings.append(SettingChange("restrict_nonsystem_relation_kind", _PG_DUMP_VALUE))
        return True
    if len(literals) != 3 or None in literals:
        return False
    setting, value, is_local = literals
    assert setting is not None
    change = SettingChange(setting, value, is_local in ("true", "t", "on", "1", "yes"))
    f.settings.append(change)
    settings.check(change, f)
    return True


def _literal(argument: Any) -> str | None:
    kind = argument.WhichOneof("node")
    if kind == "type_cast":
        return _literal(argument.type_cast.arg)
    if kind != "a_const":
        return None
    match argument.a_const.WhichOneof("val"):
        case "sval":
            return str(argument.a_const.sval.sval)
        case "boolval":
            return "true" if argument.a_const.boolval.boolval else "false"
    return None
