"""Common table expressions: walked once, when first referred to; recursion to a fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from querykeep_engines.postgresql.analysis import queries, writes
from querykeep_engines.postgresql.analysis.model import (
    Clause,
    Field,
    Findings,
    Scope,
    Value,
    merge,
    renamed,
    without_origin,
)
from querykeep_engines.postgresql.analysis.parsing import TooComplexError, pb
from querykeep_guard.sql.facts import ColumnRole, ExpressionClass

# Sources only grow from round to round, so this many rounds means an endless query in any case.
_MAX_ROUNDS = 64


@dataclass(slots=True)
class Cte:
    """One common table expression and what is known of it so far."""

    node: Any
    scope: Scope
    recursive: bool
    state: str = "waiting"
    fields: tuple[Field, ...] | None = None
    is_self_referring: bool = False


def enter(stmt: Any, parent: Scope | None, f: Findings) -> tuple[Scope, list[Cte]]:
    """Return the scope in which a statement's names resolve, and its WITH list.

    Without RECURSIVE an expression sees those before it; with it, all of them, itself included.
    """
    scope = Scope(parent=parent)
    if not stmt.HasField("with_clause"):
        return scope, []
    found = []
    clause = stmt.with_clause
    for part in clause.ctes:
        node = part.common_table_expr
        if clause.recursive:
            cte = Cte(node, scope, recursive=True)
            scope.ctes[node.ctename] = cte
        else:
            cte = Cte(node, scope, recursive=False)
            scope = Scope(parent=scope, ctes={node.ctename: cte})
        found.append(cte)
    return scope, found


def finish(expressions: list[Cte], f: Findings) -> None:
    """Walk those that nothing referred to: they may write, and the server checks them too."""
    for cte in expressions:
        columns(cte, f)


def columns(cte: object, f: Findings) -> tuple[Field, ...] | None:
    """Return the columns of an expression that a query refers to."""
    assert isinstance(cte, Cte)
    if cte.state == "running":
        cte.is_self_referring = True
        if cte.fields is None:
            f.problem(
                "unsupported", f'"{cte.node.ctename}" refers to itself in a way not understood'
            )
        return cte.fields
    if cte.state == "waiting":
        cte.state = "running"
        cte.fields = _walk(cte, f)
        cte.state = "done"
    return cte.fields


def _walk(cte: Cte, f: Findings) -> tuple[Field, ...] | None:
    kind = cte.node.ctequery.WhichOneof("node")
    stmt = getattr(cte.node.ctequery, kind)
    if kind != "select_stmt":
        fields = writes.modify(kind, stmt, cte.scope, f)
    elif cte.recursive and stmt.op == pb.SETOP_UNION:
        fields = _recursive(cte, stmt, f)
    else:
        fields = queries.query(stmt, cte.scope, f)
    if fields is None:
        return None
    fields = renamed(fields, [part.string.sval for part in cte.node.aliascolnames])
    return (*fields, *_search_and_cycle(cte.node, fields, f))


def _recursive(cte: Cte, stmt: Any, f: Findings) -> tuple[Field, ...] | None:
    """Walk ``first UNION rest`` until the sources of no column grow any more."""
    outer, inner = enter(stmt, cte.scope, f)
    fields = queries.query(stmt.larg, outer, f)
    aliases = [part.string.sval for part in cte.node.aliascolnames]
    for _ in range(_MAX_ROUNDS):
        if fields is None:
            return None
        cte.fields = renamed(_no_origins(fields), aliases)
        rest = queries.query(stmt.rarg, outer, f)
        if not stmt.all:
            distinct = Clause(ColumnRole.SET_OPERATION, "UNION")
            for field in (*fields, *(rest or ())):
                f.use(field.value.sources, distinct)
        if rest is None:
            return None
        if len(rest) != len(fields):
            f.problem("unsupported", "the arms of UNION have different numbers of columns")
            return None
        merged = queries.merge_fields(fields, rest)
        if not cte.is_self_referring or _same(merged, fields):
            break
        fields = merged
    else:
        raise TooComplexError("a recursive query does not come to rest")
    finish(inner, f)
    if stmt.sort_clause or stmt.HasField("limit_count") or stmt.HasField("limit_offset"):
        scope = outer.child()
        for part in stmt.sort_clause:
            queries.sort_item(part.sort_by, scope, merged, f)
    return merged


def _same(left: tuple[Field, ...], right: tuple[Field, ...]) -> bool:
    return all(
        a.value.sources == b.value.sources and a.value.expression is b.value.expression
        for a, b in zip(left, right, strict=True)
    )


def _no_origins(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(Field(field.name, without_origin(field.value)) for field in fields)


def _search_and_cycle(node: Any, fields: tuple[Field, ...], f: Findings) -> list[Field]:
    """Return the columns that SEARCH and CYCLE add; both compare the columns they name."""
    added = []
    by_name = {field.name: field.value for field in fields}

    def compared(parts: Any, word: str, role: ColumnRole) -> Value:
        values = [by_name[p.string.sval] for p in parts if p.string.sval in by_name]
        value = merge(values, ExpressionClass.OTHER)
        f.use(value.sources, Clause(role, word))
        f.use_function(value, word)
        return value

    if node.HasField("search_clause"):
        clause = node.search_clause
        value = compared(clause.search_col_list, "SEARCH", ColumnRole.ORDER)
        added.append(Field(clause.search_seq_column, value))
    if node.HasField("cycle_clause"):
        cycle = node.cycle_clause
        value = compared(cycle.cycle_col_list, "CYCLE", ColumnRole.PREDICATE)
        added.append(Field(cycle.cycle_mark_column, value))
        added.append(Field(cycle.cycle_path_column, value))
    return added
