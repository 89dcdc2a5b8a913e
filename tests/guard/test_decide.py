"""The verdicts of ``decide`` over hand-made facts: each rule of DESIGN §4 as a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querykeep_guard.contracts.audit import Verdict
from querykeep_guard.contracts.catalog import Catalog, Column, Relation
from querykeep_guard.contracts.policy import (
    AccessRule,
    AllowedHours,
    GrantScope,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    RuleEffect,
    SessionPolicy,
    StatementCheck,
    StatementKind,
    StatementRule,
    Subject,
)
from querykeep_guard.policy.decide import decide, stale_refusal, syntax_refusal
from querykeep_guard.sql.facts import (
    STORED_SIZE,
    ColumnName,
    ColumnRole,
    ColumnUse,
    Effect,
    ExpressionClass,
    OutputColumn,
    Problem,
    RelationName,
    StatementFacts,
    StatementSyntaxError,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # Tuesday noon in Seoul
CUSTOMERS = RelationName("public", "customers")
EMPLOYEES = RelationName("public", "employees")
PAYROLL = RelationName("public", "payroll")
EMAIL = ColumnName("public", "customers", "email")
NAME = ColumnName("public", "customers", "name")
SALARY = ColumnName("public", "employees", "salary")

READ_ONLY = frozenset({StatementKind.SELECT, StatementKind.EXPLAIN, StatementKind.SHOW})
READ_WRITE = READ_ONLY | {StatementKind.INSERT, StatementKind.UPDATE, StatementKind.DELETE}
OWNER = frozenset(StatementKind) - {StatementKind.UNKNOWN}


def relation(name: RelationName, *columns: str, kind: str = "table") -> Relation:
    return Relation(
        name.schema,
        name.name,
        kind,
        tuple(Column(c, "text", i) for i, c in enumerate(columns, 1)),
    )


CATALOG = Catalog(
    "postgresql",
    "postgresql",
    "15.0",
    "shop",
    "f1",
    NOW,
    (
        relation(CUSTOMERS, "id", "name", "email"),
        relation(EMPLOYEES, "id", "name", "salary"),
        relation(PAYROLL, "employee_id", "amount"),
        relation(RelationName("pg_catalog", "pg_class"), "oid", "relname", kind="system_view"),
    ),
)
EMAIL_RULE = MaskingRule(
    "r1",
    "PII e-mail",
    (ObjectPattern("*", "customers", "email"),),
    MaskerSpec("email"),
    code="M-17",
)
SALARY_RULE = AccessRule(
    "r2", "Salaries", (ObjectPattern("*", "employees", "salary"),), columns_only=True, code="A-1"
)
PAYROLL_RULE = AccessRule(
    "r3", "Payroll", (ObjectPattern("*", "payroll"),), columns_only=False, code="A-2"
)
WHERE_RULE = StatementRule("r4", "No blind writes", StatementCheck.WRITE_WITHOUT_WHERE, code="S-1")


def policy(*grants: GrantScope, **changes: object) -> SessionPolicy:
    made = SessionPolicy(
        version=1,
        subject=Subject("u1", "analyst", "Analyst"),
        connection_id="c1",
        connection_name="shop-postgresql",
        engine="postgresql",
        database="shop",
        grants=grants or (GrantScope("g1", "read-only", READ_ONLY),),
        access_rules=(SALARY_RULE, PAYROLL_RULE),
        masking_rules=(EMAIL_RULE,),
        statement_rules=(WHERE_RULE,),
        base_url="http://127.0.0.1:8888",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def facts(kind: StatementKind = StatementKind.SELECT, **changes: object) -> StatementFacts:
    made = StatementFacts("text", 0, 4, kind, frozenset({Effect.READ}), "d1")
    return replace(made, **changes)  # type: ignore[arg-type]


def shown(
    column: ColumnName, expression: ExpressionClass = ExpressionClass.IDENTITY
) -> StatementFacts:
    return facts(
        reads=(column.relation,),
        columns=(ColumnUse(column, ColumnRole.PROJECTED),),
        outputs=(OutputColumn(column.column, frozenset({column}), expression),),
    )


def test_a_masked_column_is_masked_by_its_rule() -> None:
    decision = decide(shown(EMAIL), policy(), NOW, CATALOG)
    assert decision.verdict is Verdict.MASKED
    assert decision.plan.width == 1
    assert decision.plan.masks[0].masker == MaskerSpec("email")
    assert decision.plan.masks[0].rule_names == ("PII e-mail",)
    assert decision.plan.redact_errors


def test_a_total_function_hides_the_whole_value() -> None:
    decision = decide(shown(EMAIL, ExpressionClass.TOTAL), policy(), NOW, CATALOG)
    assert decision.plan.masks[0].masker == MaskerSpec("full")


def test_any_other_expression_is_refused() -> None:
    decision = decide(shown(EMAIL, ExpressionClass.OTHER), policy(), NOW, CATALOG)
    assert decision.verdict is Verdict.DENIED
    assert decision.denied_by == "column"
    assert "M-17" in decision.message


def test_two_different_masks_in_one_column_hide_it_whole() -> None:
    name_rule = MaskingRule(
        "r9", "Names", (ObjectPattern("*", "customers", "name"),), MaskerSpec("name")
    )
    both = facts(
        reads=(CUSTOMERS,),
        outputs=(OutputColumn("x", frozenset({EMAIL, NAME}), ExpressionClass.IDENTITY),),
    )
    decision = decide(both, policy(masking_rules=(EMAIL_RULE, name_rule)), NOW, CATALOG)
    assert decision.plan.masks[0].masker == MaskerSpec("full")
    assert len(decision.plan.masks[0].rule_ids) == 2


@pytest.mark.parametrize("role", [role for role in ColumnRole if role is not ColumnRole.PROJECTED])
def test_a_masked_column_elsewhere_is_refused_and_named(role: ColumnRole) -> None:
    used = facts(reads=(CUSTOMERS,), columns=(ColumnUse(EMAIL, role, position=7),), outputs=())
    decision = decide(used, policy(), NOW, CATALOG)
    assert decision.verdict is Verdict.DENIED
    assert 'column "public.customers.email"' in decision.message
    assert 'masking rule "PII e-mail" (M-17)' in decision.message
    assert decision.position == 7


def test_a_relaxation_opens_its_clause_and_no_other() -> None:
    relaxed = policy(masking_rules=(replace(EMAIL_RULE, relaxations=frozenset({"where"})),))
    where = facts(reads=(CUSTOMERS,), columns=(ColumnUse(EMAIL, ColumnRole.PREDICATE),), outputs=())
    order = facts(reads=(CUSTOMERS,), columns=(ColumnUse(EMAIL, ColumnRole.ORDER),), outputs=())
    allowed = decide(where, relaxed, NOW, CATALOG)
    assert allowed.verdict is Verdict.ALLOWED
    assert any(rule.effect == "relax" for rule in allowed.rules)
    assert decide(order, relaxed, NOW, CATALOG).verdict is Verdict.DENIED


def test_an_exempt_person_sees_the_value_and_the_exemption_is_on_record() -> None:
    exempt = policy(
        access_rules=(), masking_rules=(replace(EMAIL_RULE, exempt=True),), statement_rules=()
    )
    decision = decide(shown(EMAIL), exempt, NOW, CATALOG)
    assert decision.verdict is Verdict.ALLOWED
    assert not decision.plan.masks
    assert [(rule.code, rule.effect) for rule in decision.rules if rule.kind == "masking_rule"] == [
        ("M-17", "exempt")
    ]


def test_refused_column_and_table_are_named() -> None:
    column = decide(shown(SALARY), policy(), NOW, CATALOG)
    assert (column.verdict, column.denied_by) == (Verdict.DENIED, "column")
    assert "public.employees.salary" in column.message
    assert "A-1" in column.message
    table = decide(facts(reads=(PAYROLL,), outputs=()), policy(), NOW, CATALOG)
    assert (table.verdict, table.denied_by) == (Verdict.DENIED, "table")
    assert "public.payroll" in table.message


def test_a_write_without_where_is_refused_whatever_the_grant() -> None:
    owner = GrantScope("g1", "owner", OWNER)
    blind = facts(
        StatementKind.DELETE,
        writes=(EMPLOYEES,),
        reads=(EMPLOYEES,),
        effects=frozenset({Effect.WRITE}),
        has_where=False,
    )
    decision = decide(blind, policy(owner), NOW, CATALOG)
    assert decision.verdict is Verdict.DENIED
    assert "S-1" in decision.message
    assert decide(replace(blind, has_where=True), policy(owner), NOW, CATALOG).may_run


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        (GrantScope("g", "ro", READ_ONLY), True),
        (GrantScope("g", "ro", frozenset({StatementKind.INSERT})), False),
        (GrantScope("g", "ro", READ_ONLY, objects=(ObjectPattern("public", "cust*"),)), True),
        (GrantScope("g", "ro", READ_ONLY, objects=(ObjectPattern("public", "orders"),)), False),
        (GrantScope("g", "ro", READ_ONLY, valid_until=NOW), False),
        (GrantScope("g", "ro", READ_ONLY, valid_until=NOW + timedelta(seconds=1)), True),
        (GrantScope("g", "ro", READ_ONLY, valid_from=NOW + timedelta(seconds=1)), False),
        (GrantScope("g", "ro", READ_ONLY, hours=AllowedHours((1,), 540, 1080, "Asia/Seoul")), True),
        (
            GrantScope("g", "ro", READ_ONLY, hours=AllowedHours((2,), 540, 1080, "Asia/Seoul")),
            False,
        ),
        (GrantScope("g", "ro", READ_ONLY, hours=AllowedHours((0,), 1320, 780, "Asia/Seoul")), True),
        (
            GrantScope("g", "ro", READ_ONLY, hours=AllowedHours((1,), 1320, 780, "Asia/Seoul")),
            False,
        ),
    ],
)
def test_a_grant_counts_by_kind_object_date_and_hour(grant: GrantScope, allowed: bool) -> None:
    decision = decide(shown(NAME), policy(grant), NOW, CATALOG)
    assert decision.may_run is allowed


def test_a_read_only_person_writes_nothing_by_any_kind() -> None:
    hidden_write = facts(StatementKind.SELECT, effects=frozenset({Effect.WRITE}), outputs=())
    assert not decide(hidden_write, policy(), NOW, CATALOG).may_run
    lock = facts(effects=frozenset({Effect.READ, Effect.LOCK}), reads=(EMPLOYEES,), outputs=())
    assert not decide(lock, policy(), NOW, CATALOG).may_run
    cte = facts(extra=(("kinds", "delete,select"),), writes=(EMPLOYEES,), outputs=())
    assert not decide(cte, policy(), NOW, CATALOG).may_run


@pytest.mark.parametrize("effect", [Effect.FILE, Effect.NETWORK, Effect.PROCEDURE])
def test_what_cannot_be_looked_into_needs_a_grant_over_everything(effect: Effect) -> None:
    unseen = facts(effects=frozenset({Effect.READ, effect}), outputs=())
    assert not decide(unseen, policy(GrantScope("g", "rw", READ_WRITE)), NOW, CATALOG).may_run
    assert decide(unseen, policy(GrantScope("g", "owner", OWNER)), NOW, CATALOG).may_run


def test_a_problem_refuses_and_only_the_unbound_owner_is_waived() -> None:
    unknown = Problem("unknown_function", 'function "f" is not known', matters_unmasked=False)
    called = facts(problems=(unknown,), outputs=())
    owner = GrantScope("g", "owner", OWNER)
    free = policy(owner, access_rules=(), masking_rules=())
    assert not decide(called, policy(), NOW, CATALOG).may_run
    assert not decide(called, policy(owner), NOW, CATALOG).may_run
    assert not decide(called, policy(access_rules=(), masking_rules=()), NOW, CATALOG).may_run
    assert decide(called, free, NOW, CATALOG).may_run
    strict = facts(problems=(replace(unknown, matters_unmasked=True),), outputs=())
    assert not decide(strict, free, NOW, CATALOG).may_run


def test_a_problem_about_one_table_is_waived_only_where_no_rule_hides_any_of_it() -> None:
    def about(name: RelationName, **changes: object) -> Verdict:
        problem = Problem("unsafe", "shows where rows are stored", "x", -1, False, name)
        found = facts(reads=(name,), problems=(problem,), outputs=())
        return decide(found, policy(**changes), NOW, CATALOG).verdict

    bound = {"masking_rules": (EMAIL_RULE,), "access_rules": (SALARY_RULE, PAYROLL_RULE)}
    for name in (CUSTOMERS, EMPLOYEES, PAYROLL, RelationName("public", "unheard_of")):
        assert about(name, **bound) is Verdict.DENIED
    assert about(PAYROLL, masking_rules=(EMAIL_RULE,), access_rules=()) is Verdict.ALLOWED
    heir = replace(relation(RelationName("public", "heir"), "id"), parents=(("public", "payroll"),))
    catalog = replace(CATALOG, relations=(*CATALOG.relations, heir))
    problem = Problem("unsafe", "shows where rows are stored", "x", -1, False, PAYROLL)
    found = facts(reads=(PAYROLL,), problems=(problem,), outputs=())
    bound_by_mask = policy(masking_rules=(EMAIL_RULE,), access_rules=())
    assert decide(found, bound_by_mask, NOW, catalog).verdict is Verdict.DENIED


def test_sizes_are_hidden_from_whom_a_rule_binds_and_decide_nothing() -> None:
    output = OutputColumn("pages", frozenset({STORED_SIZE}), ExpressionClass.TOTAL)
    found = facts(outputs=(output,))
    bound = policy(masking_rules=(EMAIL_RULE,))
    decision = decide(found, bound, NOW, CATALOG)
    assert [mask.ordinal for mask in decision.plan.masks] == [0]
    free = policy(masking_rules=(replace(EMAIL_RULE, exempt=True),), access_rules=())
    assert decide(found, free, NOW, CATALOG).plan.masks == ()
    asked = facts(columns=(ColumnUse(STORED_SIZE, ColumnRole.PREDICATE, "WHERE"),))
    assert decide(asked, bound, NOW, CATALOG).verdict is Verdict.DENIED
    assert decide(asked, free, NOW, CATALOG).verdict is Verdict.ALLOWED


def test_a_write_that_a_refused_table_judges_is_refused() -> None:
    owed = ColumnName("public", "payroll", "employee_id")
    use = ColumnUse(owed, ColumnRole.JUDGED, "foreign key")
    found = facts(StatementKind.DELETE, writes=(EMPLOYEES,), has_where=True, columns=(use,))
    writer = policy(GrantScope("g", "rw", READ_WRITE), access_rules=(PAYROLL_RULE,))
    decision = decide(found, writer, NOW, CATALOG)
    assert decision.verdict is Verdict.DENIED
    assert decision.object == "public.payroll"


def test_an_unknown_kind_is_never_allowed() -> None:
    owner = GrantScope("g", "owner", frozenset(StatementKind))
    free = policy(owner, access_rules=(), masking_rules=())
    assert not decide(facts(StatementKind.UNKNOWN), free, NOW, CATALOG).may_run


def test_copies_of_masked_values_are_refused() -> None:
    copy = facts(
        StatementKind.INSERT,
        effects=frozenset({Effect.WRITE, Effect.COPIES_DATA}),
        reads=(CUSTOMERS,),
        writes=(EMPLOYEES,),
        columns=(ColumnUse(EMAIL, ColumnRole.PROJECTED),),
    )
    read_write = policy(GrantScope("g", "rw", READ_WRITE))
    assert not decide(copy, read_write, NOW, CATALOG).may_run
    harmless = replace(copy, columns=(ColumnUse(NAME, ColumnRole.PROJECTED),))
    assert decide(harmless, read_write, NOW, CATALOG).may_run


def test_own_values_may_be_inserted_but_not_the_mask_itself_nor_an_update() -> None:
    read_write = policy(GrantScope("g", "rw", READ_WRITE))
    insert = facts(
        StatementKind.INSERT,
        effects=frozenset({Effect.WRITE}),
        writes=(CUSTOMERS,),
        columns=(ColumnUse(EMAIL, ColumnRole.WRITTEN, clause="INSERT"),),
        written_literals=((EMAIL, "new@example.com"),),
    )
    assert decide(insert, read_write, NOW, CATALOG).may_run
    masked = replace(insert, written_literals=((EMAIL, "k*****@example.com"),))
    assert not decide(masked, read_write, NOW, CATALOG).may_run
    upsert = replace(insert, columns=(ColumnUse(EMAIL, ColumnRole.WRITTEN, clause="ON CONFLICT"),))
    assert not decide(upsert, read_write, NOW, CATALOG).may_run
    update = replace(insert, kind=StatementKind.UPDATE, has_where=True)
    assert not decide(update, read_write, NOW, CATALOG).may_run


@pytest.mark.parametrize("kind", [StatementKind.EXPLAIN, StatementKind.COPY_OUT])
def test_plans_and_copies_of_masked_columns_are_refused(kind: StatementKind) -> None:
    grant = GrantScope("g", "ro", READ_ONLY | {StatementKind.COPY_OUT})
    statement = replace(shown(EMAIL), kind=kind)
    assert not decide(statement, policy(grant), NOW, CATALOG).may_run
    assert decide(
        replace(shown(NAME), kind=StatementKind.COPY_OUT), policy(grant), NOW, CATALOG
    ).may_run


@pytest.mark.parametrize("priority", [1, 100, 1000])
def test_a_deny_wins_over_an_allow_of_any_priority(priority: int) -> None:
    deny = StatementRule("a", "Deny", StatementCheck.KIND, RuleEffect.DENY, ("select",))
    allow = StatementRule(
        "b", "Allow", StatementCheck.KIND, RuleEffect.ALLOW, ("select",), priority=priority
    )
    decision = decide(shown(NAME), policy(statement_rules=(allow, deny)), NOW, CATALOG)
    assert not decision.may_run


def test_an_allow_answers_what_rules_behind_it_would_ask_for() -> None:
    ask = StatementRule("a", "Ask", StatementCheck.KIND, RuleEffect.NEED_REASON, ("select",))
    allow = StatementRule(
        "b", "Allow", StatementCheck.KIND, RuleEffect.ALLOW, ("select",), priority=1
    )
    first = policy(statement_rules=(allow, ask))
    assert decide(shown(NAME), first, NOW, CATALOG).may_run
    behind = policy(statement_rules=(replace(allow, priority=1000), ask))
    assert decide(shown(NAME), behind, NOW, CATALOG).verdict is Verdict.NEEDS_REASON


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        (RuleEffect.NEED_APPROVAL, Verdict.NEEDS_APPROVAL),
        (RuleEffect.NEED_REASON, Verdict.NEEDS_REASON),
    ],
)
def test_a_rule_can_ask_for_more_first(effect: RuleEffect, verdict: Verdict) -> None:
    rule = StatementRule("a", "Ask", StatementCheck.PATTERN, effect, ("te.t",))
    decision = decide(shown(NAME), policy(statement_rules=(rule,)), NOW, CATALOG)
    assert decision.verdict is verdict
    assert not decision.may_run


def test_system_relations_need_no_object_pattern() -> None:
    narrow = GrantScope("g", "ro", READ_ONLY, objects=(ObjectPattern("public", "orders"),))
    lookup = facts(reads=(RelationName("pg_catalog", "pg_class"),), outputs=())
    assert decide(lookup, policy(narrow), NOW, CATALOG).may_run


def test_what_cannot_be_parsed_or_is_stale_is_refused_with_words() -> None:
    syntax = syntax_refusal(
        StatementSyntaxError('syntax error at "FORM"', 9), "select * form", policy()
    )
    assert (syntax.verdict, syntax.denied_by, syntax.position) == (Verdict.DENIED, "syntax", 9)
    stale = stale_refusal("the last crawl failed", "select 1", policy())
    assert not stale.may_run
    assert "shop-postgresql" in stale.message


def test_every_decision_leaves_a_trace() -> None:
    decision = decide(shown(EMAIL), policy(), NOW, CATALOG)
    assert [step.step for step in decision.trace] == ["understood", "grant", "mask", "statement"]


def test_a_rule_on_a_kind_sees_every_kind_of_the_statement() -> None:
    rule = StatementRule("a", "No deletes", StatementCheck.KIND, RuleEffect.DENY, ("delete",))
    owner = policy(GrantScope("g", "owner", OWNER), statement_rules=(rule,), access_rules=())
    cte = facts(extra=(("kinds", "delete,select"),), writes=(EMPLOYEES,), outputs=())
    assert not decide(cte, owner, NOW, CATALOG).may_run
    assert decide(replace(cte, extra=()), owner, NOW, CATALOG).may_run


def test_a_position_counts_in_the_whole_text() -> None:
    use = ColumnUse(EMAIL, ColumnRole.PREDICATE, position=31)
    second = facts(start=10, end=50, reads=(CUSTOMERS,), columns=(use,), outputs=())
    assert decide(second, policy(), NOW, CATALOG).position == 41
    nowhere = replace(second, columns=(replace(use, position=-1),))
    assert decide(nowhere, policy(), NOW, CATALOG).position == -1
