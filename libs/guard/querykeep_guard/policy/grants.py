"""Step 2: does a grant cover each object and each effect of the statement?"""

from __future__ import annotations

from datetime import datetime

from querykeep_guard.contracts.audit import AppliedRule
from querykeep_guard.contracts.policy import GrantScope, StatementKind
from querykeep_guard.policy.decision import TraceStep
from querykeep_guard.policy.index import (
    ObjectMatcher,
    PolicyIndex,
    allows_anything,
    applied_grant,
)
from querykeep_guard.policy.reasons import Reason
from querykeep_guard.policy.refusal import Refused
from querykeep_guard.sql.facts import Effect, RelationName, StatementFacts

_Active = list[tuple[ObjectMatcher, GrantScope]]

_WRITING_KINDS = frozenset(
    {
        StatementKind.INSERT,
        StatementKind.UPDATE,
        StatementKind.DELETE,
        StatementKind.MERGE,
        StatementKind.CREATE,
        StatementKind.ALTER,
        StatementKind.DROP,
        StatementKind.TRUNCATE,
        StatementKind.RENAME,
        StatementKind.COMMENT,
        StatementKind.GRANT,
        StatementKind.COPY_IN,
        StatementKind.LOAD,
        StatementKind.LOCK,
        StatementKind.MAINTENANCE,
        StatementKind.CALL,
    }
)

_UNSEEN_EFFECTS = {
    Effect.FILE: "reads or writes a file of the server",
    Effect.NETWORK: "opens a connection from the server",
    Effect.PROCEDURE: "runs code that cannot be looked into",
}


def required_kinds(facts: StatementFacts) -> frozenset[StatementKind]:
    """Return every kind that the statement needs a grant for.

    ``facts.extra`` may hold ``("kinds", "delete,select")`` where a statement does several things
    (a data-modifying CTE, EXPLAIN ANALYZE of a write).
    """
    kinds = {facts.kind}
    for name, value in facts.extra:
        if name == "kinds":
            kinds.update(StatementKind(word) for word in value.split(",") if word)
    if Effect.WRITE in facts.effects and not kinds & _WRITING_KINDS:
        kinds.update({StatementKind.INSERT, StatementKind.UPDATE, StatementKind.DELETE})
    if Effect.LOCK in facts.effects and facts.kind is StatementKind.SELECT:
        kinds.add(StatementKind.UPDATE)
    return frozenset(kinds)


def check_grants(
    facts: StatementFacts,
    index: PolicyIndex,
    now: datetime,
    trace: list[TraceStep],
    rules: list[AppliedRule],
) -> None:
    """Raise Refused unless active grants cover the statement."""
    active = index.active_grants(now)
    if not active:
        raise Refused(
            f'no grant on connection "{index.policy.connection_name}" holds now',
            "database",
            object=index.policy.database,
            step="grant",
            next_step=_ask(index),
            reason=Reason("no_grant_now", {"connection": index.policy.connection_name}),
        )
    if facts.kind is StatementKind.EMPTY:
        trace.append(TraceStep("grant", "allow", "an empty statement needs no privilege"))
        return
    kinds = required_kinds(facts)
    used: dict[str, GrantScope] = {}
    written = {str(name) for name in facts.writes}
    for kind in sorted(kinds, key=lambda k: k.value):
        if kind is StatementKind.EMPTY:
            continue
        holders = [(matcher, grant) for matcher, grant in active if kind in grant.kinds]
        if not holders:
            raise _kind_refused(kind, facts, index, active)
        if kind in _WRITING_KINDS and facts.writes:
            for name in facts.writes:
                grant = _covering(name, holders, index)
                if grant is None:
                    raise _object_refused(name, kind, index)
                used[grant.id] = grant
        else:
            used[holders[0][1].id] = holders[0][1]
    readers = [(matcher, grant) for matcher, grant in active if StatementKind.SELECT in grant.kinds]
    for name in facts.reads:
        if str(name) in written and facts.kind in _WRITING_KINDS and not _reads_back(facts, name):
            continue
        grant = _covering(name, readers, index)
        if grant is None:
            raise _object_refused(name, StatementKind.SELECT, index)
        used[grant.id] = grant
    _check_unseen(facts, active, used)
    for grant in used.values():
        rules.append(applied_grant(grant))
        trace.append(
            TraceStep(
                "grant",
                "allow",
                f'grant with privilege "{grant.privilege}"'
                + (f' through group "{grant.via_group}"' if grant.via_group else ""),
                rule=applied_grant(grant),
            )
        )


def _reads_back(facts: StatementFacts, name: RelationName) -> bool:
    """True when a written relation's stored values are also read (WHERE, RETURNING, SELECT)."""
    return any(use.column.relation == name and use.role.value != "written" for use in facts.columns)


def _covering(name: RelationName, holders: _Active, index: PolicyIndex) -> GrantScope | None:
    is_system = index.is_system(name)
    for matcher, grant in holders:
        if is_system or matcher.matches_relation(name):
            return grant
    return None


def _check_unseen(facts: StatementFacts, active: _Active, used: dict[str, GrantScope]) -> None:
    for effect, words in _UNSEEN_EFFECTS.items():
        if effect not in facts.effects:
            continue
        grant = next((grant for _, grant in active if allows_anything(grant)), None)
        if grant is None:
            raise Refused(
                f"the statement {words}, which only a grant over everything allows",
                "statement",
                step="grant",
                reason=Reason("needs_whole_grant", {"detail": words}),
            )
        used[grant.id] = grant


def _kind_refused(
    kind: StatementKind, facts: StatementFacts, index: PolicyIndex, active: _Active
) -> Refused:
    held = sorted({grant.privilege for _, grant in active})
    objects = facts.writes or facts.reads
    word = kind.value.replace("_", " ").upper()
    return Refused(
        f"{word} is not allowed with privilege {', '.join(held)}"
        + (f' on "{objects[0]}"' if objects else ""),
        "table" if objects else "statement",
        object=str(objects[0]) if objects else "",
        step="grant",
        next_step=_ask(index),
        reason=Reason(
            "kind_not_granted",
            {
                "kind": kind.value,
                "privileges": ", ".join(held),
                "object": str(objects[0]) if objects else "",
            },
        ),
    )


def _object_refused(name: RelationName, kind: StatementKind, index: PolicyIndex) -> Refused:
    return Refused(
        f'no grant allows {kind.value.replace("_", " ").upper()} on "{name}"',
        "table",
        object=str(name),
        step="grant",
        next_step=_ask(index),
        reason=Reason("object_not_granted", {"kind": kind.value, "object": str(name)}),
    )


def _ask(index: PolicyIndex) -> str:
    base = index.policy.base_url.rstrip("/")
    where = f": {base}/connections/{index.policy.connection_id}" if base else "."
    return f"Ask the owner of the connection for access{where}"
