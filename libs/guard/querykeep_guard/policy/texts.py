"""The words of a refusal: what happened, to which object, by which rule, and what to do next.

The same text stands on the wire, in the editor and in the audit log. It never holds a value.
"""

from __future__ import annotations

from querykeep_guard.contracts.policy import AccessRule, MaskingRule, StatementRule
from querykeep_guard.sql.facts import ColumnRole, ColumnUse

_CLAUSES: dict[ColumnRole, str] = {
    ColumnRole.PROJECTED: "the select list",
    ColumnRole.PREDICATE: "WHERE",
    ColumnRole.JOIN: "a join condition",
    ColumnRole.ORDER: "ORDER BY",
    ColumnRole.GROUP: "GROUP BY",
    ColumnRole.DISTINCT: "DISTINCT",
    ColumnRole.AGGREGATE: "an aggregate",
    ColumnRole.WINDOW: "a window",
    ColumnRole.SET_OPERATION: "a set operation that removes duplicates",
    ColumnRole.FUNCTION: "an expression",
    ColumnRole.LIMIT: "LIMIT",
    ColumnRole.WRITTEN: "a write",
    ColumnRole.WRITTEN_FROM: "a write that copies it",
    ColumnRole.JUDGED: "a write that a constraint or trigger on it judges",
}


def quoted_rule(rule: MaskingRule | AccessRule | StatementRule) -> str:
    """Return ``masking rule "PII e-mail" (M-17)``."""
    match rule:
        case MaskingRule():
            word = "masking rule"
        case AccessRule():
            word = "access rule"
        case StatementRule():
            word = "statement rule"
    code = f" ({rule.code})" if rule.code else ""
    return f'{word} "{rule.name}"{code}'


def rule_link(base_url: str, rule: MaskingRule | AccessRule | StatementRule) -> str:
    """Return where a person reads about a rule and whom to ask; empty without a web address."""
    return f"{base_url.rstrip('/')}/r/{rule.code or rule.id}" if base_url else ""


def next_step(base_url: str, rule: MaskingRule | AccessRule | StatementRule) -> str:
    """Return what to do about a refusal by a rule."""
    link = rule_link(base_url, rule)
    return f"See the rule and whom to ask: {link}" if link else "Ask a policy administrator."


def clause_of(use: ColumnUse) -> str:
    """Return where a column stands, in words."""
    return use.clause or _CLAUSES[use.role]


def column_use_refused(use: ColumnUse, rule: MaskingRule) -> str:
    """Return why a masked column may not stand where it stands."""
    clause = clause_of(use)
    inside = f' (inside view "{use.via}")' if use.via else ""
    return f'column "{use.column}" may not be used in {clause}{inside}: {quoted_rule(rule)}'


def column_refused(column: object, rule: AccessRule) -> str:
    """Return why a column may not be touched at all."""
    return f'column "{column}" is refused: {quoted_rule(rule)}'


def table_refused(table: object, rule: AccessRule) -> str:
    """Return why a table or view may not be touched at all."""
    return f'table "{table}" is refused: {quoted_rule(rule)}'
