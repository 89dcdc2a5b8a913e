"""``decide``: facts + policy + now -> Decision. The only place where a verdict is made.

Steps, in order; the first that refuses ends it, and each leaves its line in the trace:

1. what the analyzer could not understand or prove (problems),
2. grants: is there one, does it hold now, does it cover each object and each kind of effect,
3. access rules: refused tables, refused columns,
4. masking rules: where a masked column stands, what it is made into,
5. statement rules: by kind, shape, pattern or digest.

Nothing falls through: an allowed statement was covered by a grant and passed every step by name.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from querykeep_guard.contracts.audit import AppliedRule, Verdict
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy, StatementKind
from querykeep_guard.policy.decision import Decision, MaskPlan, TraceStep
from querykeep_guard.policy.grants import check_grants
from querykeep_guard.policy.index import PolicyIndex, allows_anything
from querykeep_guard.policy.masks import check_masks
from querykeep_guard.policy.reasons import Reason
from querykeep_guard.policy.refusal import Refused
from querykeep_guard.policy.rules import check_access, check_statement_rules
from querykeep_guard.sql.facts import Effect, Problem, StatementFacts, StatementSyntaxError

_INDEX_CACHE_SIZE = 256
_indexes: OrderedDict[tuple[int, int], PolicyIndex] = OrderedDict()

_UNDERSTOOD = TraceStep("understood", "pass", "the statement was understood whole")


def index_for(policy: SessionPolicy, catalog: Catalog) -> PolicyIndex:
    """Return the index of a (policy, catalog) pair, kept for the most recent pairs.

    Keyed by identity: the index holds both, so that an id is never reused while it is in the cache.
    """
    key = (id(policy), id(catalog))
    index = _indexes.get(key)
    if index is None or index.policy is not policy or index.catalog is not catalog:
        index = PolicyIndex(policy, catalog)
        _indexes[key] = index
        while len(_indexes) > _INDEX_CACHE_SIZE:
            _indexes.popitem(last=False)
    return index


def decide(
    facts: StatementFacts, policy: SessionPolicy, now: datetime, catalog: Catalog
) -> Decision:
    """Return the verdict on one statement.

    Args:
        facts: What the analyzer found, under ``catalog``.
        policy: The person's policy on this connection.
        now: UTC; decides dates and hours of grants.
        catalog: The catalog that the facts were made with.
    """
    index = index_for(policy, catalog)
    trace: list[TraceStep] = []
    rules: list[AppliedRule] = []
    try:
        _check_problems(facts, index, now, trace)
        check_grants(facts, index, now, trace, rules)
        check_access(facts, index, trace, rules)
        plan = check_masks(facts, index, trace, rules)
        pending = check_statement_rules(facts, index, trace, rules)
    except Refused as refused:
        return _denied(facts, refused, trace, rules)
    applied = tuple(dict.fromkeys(rules))
    if pending is not None:
        return Decision(
            pending.verdict,
            facts,
            MaskPlan(None),
            applied,
            tuple(trace),
            message=pending.message,
            denied_by="statement",
            next_step=pending.next_step,
            reason=pending.reason,
        )
    verdict = Verdict.MASKED if plan.masks else Verdict.ALLOWED
    return Decision(verdict, facts, plan, applied, tuple(trace))


def _check_problems(
    facts: StatementFacts, index: PolicyIndex, now: datetime, trace: list[TraceStep]
) -> None:
    if facts.kind is StatementKind.UNKNOWN and not facts.problems:
        raise _not_understood()
    if not facts.problems:
        trace.append(_UNDERSTOOD)
        return
    waives = not index.is_restricted and any(
        allows_anything(grant) for _, grant in index.active_grants(now)
    )
    for problem in facts.problems:
        why = "no rule binds this person and his grant covers everything" if waives else ""
        if not why and problem.relation is not None and index.hides_nothing_of(problem.relation):
            why = f'no rule hides anything of "{problem.relation}"'
        if problem.matters_unmasked or not why:
            raise _problem_refusal(problem)
        trace.append(
            TraceStep(
                "understood",
                "pass",
                f"{problem.message}: waived, since {why}",
                object=problem.object,
            )
        )
    if facts.kind is StatementKind.UNKNOWN and not waives:
        raise _not_understood()


def _not_understood() -> Refused:
    text = "this kind of statement is not understood"
    return Refused(text, "statement", reason=Reason("statement_unknown"))


def _problem_refusal(problem: Problem) -> Refused:
    by = {"unknown_relation": "table", "unknown_column": "column"}.get(problem.code, "statement")
    return Refused(
        problem.message,
        by,
        object=problem.object,
        position=problem.position,
        step="understood",
        next_step="Rewrite the statement, or ask a database administrator to run it.",
        reason=Reason(problem.code, {"object": problem.object, "detail": problem.message}),
    )


def _denied(
    facts: StatementFacts, refused: Refused, trace: list[TraceStep], rules: list[AppliedRule]
) -> Decision:
    if refused.rule is not None:
        rules = [*rules, refused.rule]
    trace.append(
        TraceStep(refused.step, "deny", refused.message, rule=refused.rule, object=refused.object)
    )
    message = f"{refused.message}. {refused.next_step}" if refused.next_step else refused.message
    return Decision(
        Verdict.DENIED,
        facts,
        MaskPlan(None, redact_errors=True),
        tuple(dict.fromkeys(rules)),
        tuple(trace),
        message=message,
        denied_by=refused.by,
        object=refused.object,
        position=refused.position + facts.start if refused.position >= 0 else -1,
        next_step=refused.next_step,
        reason=refused.reason,
    )


def _unrun(
    text: str, message: str, by: str, step: str, reason: Reason, position: int = -1
) -> Decision:
    facts = StatementFacts(
        text=text,
        start=0,
        end=len(text),
        kind=StatementKind.UNKNOWN,
        effects=frozenset[Effect](),
        digest="",
    )
    refused = Refused(message, by, position=position, step=step, reason=reason)
    return _denied(facts, refused, [], [])


def syntax_refusal(error: StatementSyntaxError, text: str, policy: SessionPolicy) -> Decision:
    """Return the decision on a text that cannot be parsed; nothing of it runs."""
    _ = policy
    reason = Reason("syntax", {"detail": error.message})
    return _unrun(text, error.message, "syntax", "parsed", reason, error.position)


def stale_refusal(reason: str, text: str, policy: SessionPolicy) -> Decision:
    """Return the decision where no current catalog is at hand: refuse, and say why."""
    message = (
        f'the schema of connection "{policy.connection_name}" is not known well enough to judge '
        f"statements: {reason}. Try again in a moment, or ask an administrator to look at the "
        "connection's schema crawl"
    )
    arguments = {"connection": policy.connection_name, "detail": reason}
    return _unrun(text, message, "statement", "catalog", Reason("schema_not_known", arguments))
