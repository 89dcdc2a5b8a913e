"""What the server adds to a statement on a relation: row-level security policies, rules, defaults.

The statement does not name them, yet what it shows or answers depends on what they look at. Each is
walked once per catalog, from the text that the server prints of it, and what it does is noted as if
it stood in the statement, under its own name. Source: PostgreSQL documentation, "Row Security
Policies", "Rules on INSERT, UPDATE, and DELETE", "Default Values".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from querykeep_engines.postgresql.analysis import expressions, queries, relations, writes
from querykeep_engines.postgresql.analysis.model import Clause, Findings, Item, Scope
from querykeep_engines.postgresql.analysis.parsing import TooComplexError, parse
from querykeep_engines.postgresql.analysis.relations import Expanded
from querykeep_guard.contracts.catalog import Policy, Relation, Trigger
from querykeep_guard.sql.facts import (
    ColumnRole,
    ColumnUse,
    Effect,
    Problem,
    RelationName,
    StatementSyntaxError,
)

POLICY = "row-level security policy"
_WRITES = frozenset({"insert_stmt", "update_stmt", "delete_stmt"})
_RULE = "CREATE RULE "
_SERIAL = "nextval()"


def is_rule(trigger: Trigger) -> bool:
    """Return whether an entry of ``Relation.triggers`` is a rule."""
    return trigger.definition.startswith(_RULE)


def policies(relation: Relation, f: Findings) -> None:
    """Note what the policies of a relation look at; a relation without any costs nothing.

    Whether they bind the stored account (owners and some roles are exempt) and which command each
    is for is not asked: SET ROLE changes the one, and most texts of a policy are for all of them.
    """
    for policy in relation.policies:
        _noted(
            relation,
            f'{POLICY} "{policy.name}"',
            f,
            partial(_policy, relation, policy),
        )


def rules(relation: Relation, event: str, f: Findings) -> None:
    """Note what the rules of a relation do at a write."""
    for rule in relation.triggers:
        if event in rule.events and is_rule(rule):
            _noted(
                relation,
                f'rule "{rule.name}"',
                f,
                partial(_rule, relation, rule),
            )


def defaults(relation: Relation | None, given: Iterable[str], f: Findings) -> None:
    """Note what the defaults of columns do for which an INSERT gives no value."""
    if relation is None:
        return
    named = frozenset(given)
    for column in relation.columns:
        text = column.default
        if text and column.name not in named:
            _noted(
                relation,
                f'the default of column "{column.name}"',
                f,
                partial(_expression, text, Scope(), ColumnRole.JUDGED),
            )


def _noted(relation: Relation, what: str, f: Findings, walk: Callable[[Findings], None]) -> None:
    key = (relation.schema, relation.name, what)
    if key in f.within:
        return  # It is being walked: what it does is noted there.
    found = f.names.shared.attached.get(key)
    if not isinstance(found, Expanded):
        found = _walked(relation, key, f, walk)
        if not f.within:
            # Within another one, what that does is left out, and so not kept.
            f.names.shared.attached[key] = found
    _note(found, what, f)


def _walked(
    relation: Relation, key: tuple[str, str, str], f: Findings, walk: Callable[[Findings], None]
) -> Expanded:
    inner = relations.quiet(f, RelationName(relation.schema, relation.name))
    inner.within = f.within | {key}
    try:
        walk(inner)
    except (StatementSyntaxError, TooComplexError) as error:
        inner.problem("unsupported", f"its text is not understood: {error}")
    touched = dict.fromkeys((*inner.reads, *inner.writes, *inner.touches))
    problems = (problem for problem in inner.problems.values() if not _is_harmless(problem, f))
    return Expanded(
        None,
        tuple(inner.uses.values()),
        tuple(touched),
        tuple(problems),
        frozenset(inner.effects & {Effect.PROCEDURE}),
        tuple(inner.functions),
    )


def _is_harmless(problem: Problem, f: Findings) -> bool:
    """Return whether a problem is none in a text that the server itself keeps: the next number of
    a sequence, and a function of an extension that was read (all others are in the catalog)."""
    if problem.object == _SERIAL:
        return True
    if problem.code != "unknown_function":
        return False
    schema, _, name = problem.object.removesuffix("()").rpartition(".")
    return bool(schema) and (schema, name) not in f.names.shared.routines


def _note(found: Expanded, what: str, f: Findings) -> None:
    for use in found.uses:
        role = ColumnRole.JUDGED if use.role is ColumnRole.PROJECTED else use.role
        key = (use.column, role, what, f.view)
        f.uses.setdefault(key, ColumnUse(use.column, role, what, -1, f.view))
    for name in found.reads:
        f.touches[name] = None
    for problem in found.problems:
        message = f"{problem.message}, in {what}"
        f.problems.setdefault(
            (problem.code, message),
            replace(problem, message=message, position=-1, matters_unmasked=False),
        )
    f.effects |= found.effects
    f.functions.update(dict.fromkeys(found.functions))


def _expression(text: str, scope: Scope, role: ColumnRole, inner: Findings) -> None:
    tree = parse(f"SELECT {text}")
    target = tree.stmts[0].stmt.select_stmt.target_list[0].res_target
    value = expressions.evaluate(target.val, scope, Clause(role, ""), inner)
    inner.use(value.sources, Clause(role, ""))


def _policy(relation: Relation, policy: Policy, inner: Findings) -> None:
    fields = relations.stored_fields(relation, inner)
    scope = Scope()
    scope.add([Item(relation.name, fields, relation, relation.schema)], fields, unknown=False)
    for text, role in ((policy.using, ColumnRole.PREDICATE), (policy.check, ColumnRole.JUDGED)):
        if text:
            _expression(text, scope, role, inner)


def _rule(relation: Relation, rule: Trigger, inner: Findings) -> None:
    node = parse(rule.definition).stmts[0].stmt
    if node.WhichOneof("node") != "rule_stmt":
        inner.problem("unsupported", "its text is not understood")
        return
    fields = relations.fields(relation, inner) or ()
    scope = Scope()
    scope.items += [Item(alias, fields, relation) for alias in ("old", "new")]
    if node.rule_stmt.HasField("where_clause"):
        clause = Clause(ColumnRole.PREDICATE, "")
        expressions.evaluate(node.rule_stmt.where_clause, scope, clause, inner)
    for action in node.rule_stmt.actions:
        kind = action.WhichOneof("node") or ""
        if kind in _WRITES:
            writes.modify(kind, getattr(action, kind), scope, inner)
        elif kind == "select_stmt":
            for field in queries.query(action.select_stmt, scope, inner) or ():
                inner.use(field.value.sources, Clause(ColumnRole.JUDGED, ""))
        elif kind != "notify_stmt":
            inner.problem("unsupported", f"{kind} is not understood")


__all__ = ["POLICY", "defaults", "is_rule", "policies", "rules"]
