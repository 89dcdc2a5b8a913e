"""PolicyIndex: one session's rules, arranged by the names of the catalog.

Matching globs against every column of every statement would cost more than the rest of a decision;
an index asks once per relation and keeps the answer. It belongs to one (policy, catalog) pair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate
from zoneinfo import ZoneInfo

from querykeep_guard.contracts.audit import AppliedRule
from querykeep_guard.contracts.catalog import Catalog, Relation
from querykeep_guard.contracts.policy import (
    AccessRule,
    GrantScope,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    RuleEffect,
    SessionPolicy,
    StatementKind,
    StatementRule,
)
from querykeep_guard.sql.facts import STORED_SIZE, ColumnName, RelationName


class _Glob:
    """A case-blind glob; the usual ``*`` costs nothing."""

    __slots__ = ("_any", "_regex")

    def __init__(self, pattern: str) -> None:
        self._any = pattern in ("", "*")
        self._regex = re.compile(translate(pattern.casefold()))

    def matches(self, name: str) -> bool:
        return self._any or self._regex.match(name.casefold()) is not None


class ObjectMatcher:
    """Tells whether a name is in any of a rule's object patterns."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: tuple[ObjectPattern, ...]) -> None:
        self._patterns = tuple((_Glob(p.schema), _Glob(p.table), _Glob(p.column)) for p in patterns)

    def matches_relation(self, name: RelationName) -> bool:
        """True when the table or view is named, whatever the column."""
        return any(s.matches(name.schema) and t.matches(name.name) for s, t, _ in self._patterns)

    def matches_column(self, name: ColumnName) -> bool:
        """True when the column is named."""
        return any(
            s.matches(name.schema) and t.matches(name.table) and c.matches(name.column)
            for s, t, c in self._patterns
        )


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """The rules that name one column, those that bind and those that the person is exempt from."""

    masking: tuple[MaskingRule, ...] = ()
    refusing: tuple[AccessRule, ...] = ()
    exempt: tuple[MaskingRule | AccessRule, ...] = ()


_NO_RULES = ColumnRules()
SIZES = MaskingRule("sizes", "Size of tables", (), MaskerSpec("full"))
"""Built in, for everyone whom a rule binds: how much is stored depends on what is hidden."""
_SIZE_RULES = ColumnRules(masking=(SIZES,))

_SEVERITY = {
    RuleEffect.DENY: 0,
    RuleEffect.NEED_APPROVAL: 1,
    RuleEffect.NEED_REASON: 2,
    RuleEffect.ALLOW: 3,
}


def is_grant_active(grant: GrantScope, now: datetime) -> bool:
    """True when a grant holds at ``now`` (UTC): inside its dates and its allowed hours."""
    if grant.valid_from is not None and now < grant.valid_from:
        return False
    if grant.valid_until is not None and now >= grant.valid_until:
        return False
    if grant.hours is None:
        return True
    local = now.astimezone(ZoneInfo(grant.hours.zone))
    minute = local.hour * 60 + local.minute
    start, end = grant.hours.start_minute, grant.hours.end_minute
    if start <= end:
        return start <= minute < end and local.weekday() in grant.hours.weekdays
    if minute >= start:
        return local.weekday() in grant.hours.weekdays
    return minute < end and (local.weekday() - 1) % 7 in grant.hours.weekdays


class PolicyIndex:
    """Answers, for one policy and one catalog, which rules name a relation or a column."""

    def __init__(self, policy: SessionPolicy, catalog: Catalog) -> None:
        self.policy = policy
        self.catalog = catalog
        self._relations = {(r.schema, r.name): r for r in catalog.relations}
        self._masking = [(ObjectMatcher(r.objects), r) for r in policy.masking_rules]
        self._access = [(ObjectMatcher(r.objects), r) for r in policy.access_rules]
        self._grants = [(ObjectMatcher(g.objects), g) for g in policy.grants]
        self._statement = [
            (ObjectMatcher(r.objects), r)
            for r in sorted(
                policy.statement_rules, key=lambda r: (r.priority, _SEVERITY[r.effect], r.id)
            )
        ]
        self._column_cache: dict[ColumnName, ColumnRules] = {}
        self._table_cache: dict[RelationName, tuple[AccessRule, ...]] = {}
        self._masked_relation_cache: dict[RelationName, tuple[MaskingRule, ...]] = {}
        self.is_restricted = not (
            all(rule.exempt for rule in policy.masking_rules)
            and all(rule.exempt for rule in policy.access_rules)
        )

    def relation(self, name: RelationName) -> Relation | None:
        """Return the catalog's relation, or None."""
        return self._relations.get((name.schema, name.name))

    def is_system(self, name: RelationName) -> bool:
        """True for the engine's own catalog relations, which no object pattern of a grant names."""
        relation = self.relation(name)
        return relation is not None and relation.kind.startswith("system")

    def column_rules(self, name: ColumnName) -> ColumnRules:
        """Return the masking and column-refusing rules that name a column."""
        if name == STORED_SIZE:
            return _SIZE_RULES if self.is_restricted else _NO_RULES
        cached = self._column_cache.get(name)
        if cached is not None:
            return cached
        masking = [rule for matcher, rule in self._masking if matcher.matches_column(name)]
        refusing = [
            rule
            for matcher, rule in self._access
            if rule.columns_only and matcher.matches_column(name)
        ]
        if not masking and not refusing:
            rules = _NO_RULES
        else:
            rules = ColumnRules(
                masking=tuple(rule for rule in masking if not rule.exempt),
                refusing=tuple(rule for rule in refusing if not rule.exempt),
                exempt=(
                    *(rule for rule in masking if rule.exempt),
                    *(rule for rule in refusing if rule.exempt),
                ),
            )
        self._column_cache[name] = rules
        return rules

    def refused_by(self, name: RelationName) -> tuple[AccessRule, ...]:
        """Return the rules (exempt ones too) that refuse a whole table or view."""
        cached = self._table_cache.get(name)
        if cached is None:
            cached = tuple(
                rule
                for matcher, rule in self._access
                if not rule.columns_only and matcher.matches_relation(name)
            )
            self._table_cache[name] = cached
        return cached

    def masking_of(self, name: RelationName) -> tuple[MaskingRule, ...]:
        """Return the binding rules that mask at least one column of a relation.

        A relation that the catalog lacks counts as masked by every rule that could name it.
        """
        if name == STORED_SIZE.relation:
            return ()
        cached = self._masked_relation_cache.get(name)
        if cached is not None:
            return cached
        relation = self.relation(name)
        if relation is None:
            found = tuple(
                rule
                for matcher, rule in self._masking
                if not rule.exempt and matcher.matches_relation(name)
            )
        else:
            names = [ColumnName(name.schema, name.name, c.name) for c in relation.columns]
            found = tuple(dict.fromkeys(r for n in names for r in self.column_rules(n).masking))
        self._masked_relation_cache[name] = found
        return found

    def hides_nothing_of(self, name: RelationName) -> bool:
        """True for a plain table of the catalog that no binding rule masks or refuses any part of,
        and that shares no rows with another by inheritance."""
        relation = self.relation(name)
        if relation is None or relation.kind != "table" or relation.parents:
            return False
        if any((name.schema, name.name) in other.parents for other in self.catalog.relations):
            return False
        if any(not rule.exempt for rule in self.refused_by(name)):
            return False
        columns = (ColumnName(name.schema, name.name, c.name) for c in relation.columns)
        return not any(r.masking or r.refusing for r in map(self.column_rules, columns))

    def active_grants(self, now: datetime) -> list[tuple[ObjectMatcher, GrantScope]]:
        """Return the grants that hold at ``now`` with their matchers."""
        return [(matcher, grant) for matcher, grant in self._grants if is_grant_active(grant, now)]

    def statement_rules(self) -> list[tuple[ObjectMatcher, StatementRule]]:
        """Return the statement rules by priority; at a tie, deny stands before the milder ones."""
        return self._statement


def applied(rule: MaskingRule | AccessRule | StatementRule, effect: str) -> AppliedRule:
    """Return how a rule stands in decisions and audit."""
    match rule:
        case MaskingRule():
            kind = "masking_rule"
        case AccessRule():
            kind = "access_rule"
        case StatementRule():
            kind = "statement_rule"
    return AppliedRule(rule.id, rule.name, kind, effect, rule.code)


def applied_grant(grant: GrantScope) -> AppliedRule:
    """Return how a grant stands in decisions and audit."""
    return AppliedRule(grant.id, grant.privilege, "grant", "grant")


def allows_anything(grant: GrantScope) -> bool:
    """True for a grant over every object that includes procedure calls: who holds it may run what
    cannot be looked into, unless a rule binds him."""
    everything = any(p.schema in ("", "*") and p.table in ("", "*") for p in grant.objects)
    return everything and StatementKind.CALL in grant.kinds
