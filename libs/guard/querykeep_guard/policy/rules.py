"""Steps 3 and 5: access rules and statement rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from querykeep_guard.contracts.audit import AppliedRule, Verdict
from querykeep_guard.contracts.policy import (
    AccessRule,
    RuleEffect,
    StatementCheck,
    StatementRule,
)
from querykeep_guard.policy.decision import TraceStep
from querykeep_guard.policy.grants import required_kinds
from querykeep_guard.policy.index import PolicyIndex, applied
from querykeep_guard.policy.reasons import Reason, rule_arguments
from querykeep_guard.policy.refusal import Refused
from querykeep_guard.policy.texts import column_refused, next_step, quoted_rule, table_refused
from querykeep_guard.sql.facts import ColumnName, ColumnRole, StatementFacts


@dataclass(frozen=True, slots=True)
class Pending:
    """A statement that may run only after something else happened."""

    verdict: Verdict
    message: str
    next_step: str
    reason: Reason


def check_access(
    facts: StatementFacts, index: PolicyIndex, trace: list[TraceStep], rules: list[AppliedRule]
) -> None:
    """Raise Refused when a refused table or column is touched in any way."""
    base_url = index.policy.base_url
    # Tables whose rows a foreign key or trigger asks stand only in the uses of their columns.
    judged = (use.column.relation for use in facts.columns if use.role is ColumnRole.JUDGED)
    for name in dict.fromkeys((*facts.reads, *facts.writes, *judged)):
        for rule in index.refused_by(name):
            if rule.exempt:
                _exempt(rule, str(name), trace, rules)
                continue
            raise Refused(
                table_refused(name, rule),
                "table",
                object=str(name),
                rule=applied(rule, "deny"),
                step="access",
                next_step=next_step(base_url, rule),
                reason=Reason("table_refused", {"object": str(name), **rule_arguments(rule)}),
            )
    positions = {use.column: use.position for use in reversed(facts.columns)}
    touched: dict[ColumnName, None] = dict.fromkeys(use.column for use in facts.columns)
    for output in facts.outputs or ():
        touched.update(dict.fromkeys(sorted(output.sources)))
    for column in touched:
        found = index.column_rules(column)
        for rule in found.refusing:
            raise Refused(
                column_refused(column, rule),
                "column",
                object=str(column),
                position=positions.get(column, -1),
                rule=applied(rule, "deny"),
                step="access",
                next_step=next_step(base_url, rule),
                reason=Reason("column_refused", {"object": str(column), **rule_arguments(rule)}),
            )
        for exempt in found.exempt:
            if isinstance(exempt, AccessRule):
                _exempt(exempt, str(column), trace, rules)


def _exempt(rule: AccessRule, name: str, trace: list[TraceStep], rules: list[AppliedRule]) -> None:
    entry = applied(rule, "exempt")
    if entry not in rules:
        rules.append(entry)
        trace.append(
            TraceStep("access", "exempt", f"exempt from {quoted_rule(rule)}", entry, object=name)
        )


def check_statement_rules(
    facts: StatementFacts, index: PolicyIndex, trace: list[TraceStep], rules: list[AppliedRule]
) -> Pending | None:
    """Raise Refused, or return what must happen first, or None when the statement may run.

    A deny wins over every allow. An allow is the answer to what rules behind it would ask for.
    """
    pending: Pending | None = None
    is_allowed = False
    names = facts.writes or facts.reads
    for matcher, rule in index.statement_rules():
        if names and not any(matcher.matches_relation(name) for name in names):
            continue
        why = _matches(rule, facts)
        if why is None:
            continue
        if rule.exempt:
            entry = applied(rule, "exempt")
            rules.append(entry)
            text = f"exempt from {quoted_rule(rule)}"
            trace.append(TraceStep("statement", "exempt", text, entry))
            continue
        match rule.effect:
            case RuleEffect.ALLOW:
                entry = applied(rule, "allow")
                rules.append(entry)
                trace.append(TraceStep("statement", "allow", quoted_rule(rule), entry))
                is_allowed = True
            case RuleEffect.DENY:
                raise Refused(
                    f"{why}: {quoted_rule(rule)}",
                    "table" if names else "statement",
                    object=str(names[0]) if names else "",
                    rule=applied(rule, "deny"),
                    step="statement",
                    next_step=next_step(index.policy.base_url, rule),
                    reason=Reason(
                        "statement_refused",
                        {
                            "detail": why,
                            "object": str(names[0]) if names else "",
                            **rule_arguments(rule),
                        },
                    ),
                )
            case RuleEffect.NEED_APPROVAL | RuleEffect.NEED_REASON:
                if pending is None and not is_allowed:
                    pending = _pending(rule, why, index, trace, rules)
    if pending is None:
        trace.append(TraceStep("statement", "pass", "no statement rule stands against it"))
    return pending


def _pending(
    rule: StatementRule,
    why: str,
    index: PolicyIndex,
    trace: list[TraceStep],
    rules: list[AppliedRule],
) -> Pending:
    entry = applied(rule, rule.effect.value)
    rules.append(entry)
    trace.append(TraceStep("statement", rule.effect.value, quoted_rule(rule), entry))
    step = next_step(index.policy.base_url, rule)
    arguments = {"detail": why, **rule_arguments(rule)}
    if rule.effect is RuleEffect.NEED_APPROVAL:
        text = f"{why}, which needs an approval: {quoted_rule(rule)}. {step}"
        return Pending(Verdict.NEEDS_APPROVAL, text, step, Reason("approval_needed", arguments))
    text = f"{why}, which needs a reason: {quoted_rule(rule)}. {step}"
    return Pending(Verdict.NEEDS_REASON, text, step, Reason("reason_needed", arguments))


def _matches(rule: StatementRule, facts: StatementFacts) -> str | None:
    """Return what the rule saw, in words, or None."""
    match rule.check:
        case StatementCheck.WRITE_WITHOUT_WHERE:
            if facts.has_where is False:
                target = f' on "{facts.writes[0]}"' if facts.writes else ""
                return f"UPDATE or DELETE{target} without WHERE is refused"
        case StatementCheck.KIND:
            # Every kind counts, so that a data-modifying CTE or an EXECUTE does not pass.
            for kind in sorted(kind.value for kind in required_kinds(facts)):
                if kind in rule.values:
                    return f"{kind.replace('_', ' ').upper()} is refused"
        case StatementCheck.PATTERN:
            if any(_pattern(value).search(facts.text) for value in rule.values):
                return "the statement's text matches a refused pattern"
        case StatementCheck.DIGEST:
            if facts.digest in rule.values:
                return "this very statement is refused"
    return None


@lru_cache(maxsize=1024)
def _pattern(value: str) -> re.Pattern[str]:
    """Compile an administrator's pattern; the API has checked it when the rule was saved."""
    return re.compile(value, re.IGNORECASE | re.DOTALL)
