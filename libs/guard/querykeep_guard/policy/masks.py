"""Step 4: where a masked column may stand, and the MaskPlan of the result.

Strict by default: a masked column may stand only in the select list, as itself or renamed, or
inside total functions (then the result is hidden whole). Everywhere else something observable would
depend on what the mask hides. A rule's relaxations open a clause knowingly; trace and audit say so.
"""

from __future__ import annotations

from querykeep_guard.contracts.audit import AppliedRule
from querykeep_guard.contracts.policy import MaskerSpec, MaskingRule, StatementKind
from querykeep_guard.masking import MASKERS, MaskerError, resolve_params
from querykeep_guard.policy.decision import ColumnMask, MaskPlan, TraceStep
from querykeep_guard.policy.index import PolicyIndex, applied
from querykeep_guard.policy.reasons import Reason, rule_arguments
from querykeep_guard.policy.refusal import Refused
from querykeep_guard.policy.texts import clause_of, column_use_refused, next_step, quoted_rule
from querykeep_guard.sql.facts import (
    ColumnName,
    ColumnRole,
    ColumnUse,
    Effect,
    ExpressionClass,
    OutputColumn,
    RelationName,
    StatementFacts,
)

_RELAXED_BY: dict[ColumnRole, str] = {
    ColumnRole.PREDICATE: "where",
    ColumnRole.LIMIT: "where",
    ColumnRole.JOIN: "join",
    ColumnRole.ORDER: "order",
    ColumnRole.WINDOW: "order",
    ColumnRole.GROUP: "group",
    ColumnRole.DISTINCT: "distinct",
    ColumnRole.SET_OPERATION: "distinct",
    ColumnRole.AGGREGATE: "aggregate",
    ColumnRole.FUNCTION: "function",
    ColumnRole.WRITTEN: "write",
    ColumnRole.WRITTEN_FROM: "write",
    ColumnRole.JUDGED: "write",
}
RELAXATIONS = frozenset(_RELAXED_BY.values())
"""Every clause that a masking rule can open."""

_FULL = MaskerSpec("full")

_ROW_KINDS_NEEDING_SHAPE = frozenset(
    {
        StatementKind.SELECT,
        StatementKind.FETCH,
        StatementKind.EXECUTE,
        StatementKind.COPY_OUT,
        StatementKind.INSERT,
        StatementKind.UPDATE,
        StatementKind.DELETE,
        StatementKind.MERGE,
    }
)


def check_masks(
    facts: StatementFacts, index: PolicyIndex, trace: list[TraceStep], rules: list[AppliedRule]
) -> MaskPlan:
    """Raise Refused where a masked column may not stand; else return the plan of the result."""
    seen: set[str] = set()
    for use in facts.columns:
        _note_exemptions(use.column, index, seen, trace, rules)
        for rule in index.column_rules(use.column).masking:
            _check_use(use, rule, facts, index, trace, rules)
    masked_relations = _masked_relations(facts, index)
    _check_kind(facts, masked_relations, index)
    _check_placeholders(facts, index)
    masks: list[ColumnMask] = []
    for ordinal, output in enumerate(facts.outputs or ()):
        for column in sorted(output.sources):
            _note_exemptions(column, index, seen, trace, rules)
        mask = _mask_output(ordinal, output, index, trace, rules)
        if mask is not None:
            masks.append(mask)
    if masks and facts.kind is StatementKind.COPY_OUT:
        _refuse_kind(facts, masked_relations, index, "COPY of a masked column is refused")
    outputs = facts.outputs
    if not masks:
        trace.append(TraceStep("mask", "pass", "no masked column reaches the result"))
    return MaskPlan(
        width=None if outputs is None else len(outputs),
        masks=tuple(masks),
        names=() if outputs is None else tuple(output.name for output in outputs),
        origins=() if outputs is None else tuple(output.origin for output in outputs),
        redact_errors=_tells_values(facts, index),
        redact_places=bool(masked_relations),
    )


def _check_use(
    use: ColumnUse,
    rule: MaskingRule,
    facts: StatementFacts,
    index: PolicyIndex,
    trace: list[TraceStep],
    rules: list[AppliedRule],
) -> None:
    if use.role is ColumnRole.PROJECTED:
        return
    if use.role is ColumnRole.WRITTEN and _is_plain_insert(use, facts):
        return
    if _RELAXED_BY[use.role] in rule.relaxations:
        entry = applied(rule, "relax")
        if entry not in rules:
            rules.append(entry)
            trace.append(
                TraceStep(
                    "mask",
                    "relax",
                    f"{quoted_rule(rule)} knowingly allows {_RELAXED_BY[use.role]}",
                    entry,
                    object=str(use.column),
                )
            )
        return
    raise Refused(
        column_use_refused(use, rule),
        "column",
        object=str(use.column),
        position=use.position,
        rule=applied(rule, "deny"),
        step="mask",
        next_step=next_step(index.policy.base_url, rule),
        reason=Reason(
            "column_use_refused",
            {
                "object": str(use.column),
                "clause": clause_of(use),
                "view": str(use.via or ""),
                **rule_arguments(rule),
            },
        ),
    )


def _is_plain_insert(use: ColumnUse, facts: StatementFacts) -> bool:
    """What a person inserts himself is not hidden from him; an upsert's SET clause is no insert."""
    return facts.kind in (StatementKind.INSERT, StatementKind.COPY_IN) and (
        use.clause.upper().startswith(("INSERT", "REPLACE", "COPY", "VALUES"))
    )


def _note_exemptions(
    column: ColumnName,
    index: PolicyIndex,
    seen: set[str],
    trace: list[TraceStep],
    rules: list[AppliedRule],
) -> None:
    for rule in index.column_rules(column).exempt:
        if isinstance(rule, MaskingRule) and rule.id not in seen:
            seen.add(rule.id)
            entry = applied(rule, "exempt")
            rules.append(entry)
            trace.append(
                TraceStep("mask", "exempt", f"exempt from {quoted_rule(rule)}", entry, str(column))
            )


def _masked_relations(
    facts: StatementFacts, index: PolicyIndex
) -> dict[RelationName, tuple[MaskingRule, ...]]:
    found: dict[RelationName, tuple[MaskingRule, ...]] = {}
    for name in (*facts.reads, *facts.writes, *(use.column.relation for use in facts.columns)):
        if name not in found and (masking := index.masking_of(name)):
            found[name] = masking
    return found


def _tells_values(facts: StatementFacts, index: PolicyIndex) -> bool:
    """Return whether an error text could quote a value that a mask hides.

    A foreign key that leads to a table with masked columns looks up rows there by columns that
    nothing hides, and quotes but the value that was to be found.
    """
    named = {*facts.reads, *facts.writes, *facts.touches}
    named.update(
        use.column.relation
        for use in facts.columns
        if use.role is not ColumnRole.JUDGED or index.column_rules(use.column).masking
    )
    return any(index.masking_of(name) for name in named)


def _check_kind(
    facts: StatementFacts,
    masked: dict[RelationName, tuple[MaskingRule, ...]],
    index: PolicyIndex,
) -> None:
    """Refuse whole kinds of statement where a masked column is in reach and no mask can help."""
    if not masked:
        return
    if facts.kind is StatementKind.EXPLAIN:
        _refuse_kind(facts, masked, index, "a plan shows sizes and stored values of masked columns")
    if facts.kind in (StatementKind.CALL, StatementKind.MAINTENANCE):
        _refuse_kind(facts, masked, index, "its messages may show stored values of masked columns")
    if facts.kind is StatementKind.CREATE and Effect.COPIES_DATA not in facts.effects:
        return
    copied = [
        use
        for use in facts.columns
        if use.role is not ColumnRole.WRITTEN and index.column_rules(use.column).masking
    ]
    if Effect.COPIES_DATA in facts.effects and copied:
        closed = [
            (use, rule)
            for use in copied
            for rule in index.column_rules(use.column).masking
            if "write" not in rule.relaxations
        ]
        if closed:
            use, rule = closed[0]
            raise Refused(
                f'column "{use.column}" may not be copied: {quoted_rule(rule)}',
                "column",
                object=str(use.column),
                position=use.position,
                rule=applied(rule, "deny"),
                step="mask",
                next_step=next_step(index.policy.base_url, rule),
                reason=Reason(
                    "column_copy_refused", {"object": str(use.column), **rule_arguments(rule)}
                ),
            )
    if facts.outputs is None and facts.kind in _ROW_KINDS_NEEDING_SHAPE:
        projected = [use for use in facts.columns if use.role is ColumnRole.PROJECTED]
        if any(index.column_rules(use.column).masking for use in projected):
            _refuse_kind(facts, masked, index, "the shape of its result is not known")


def _refuse_kind(
    facts: StatementFacts,
    masked: dict[RelationName, tuple[MaskingRule, ...]],
    index: PolicyIndex,
    why: str,
) -> None:
    name, masking = next(iter(masked.items()))
    rule = masking[0]
    word = facts.kind.value.replace("_", " ").upper()
    raise Refused(
        f'{word} on "{name}" is refused: {why}: {quoted_rule(rule)}',
        "table",
        object=str(name),
        rule=applied(rule, "deny"),
        step="mask",
        next_step=next_step(index.policy.base_url, rule),
        reason=Reason(
            "kind_refused_on_masked",
            {
                "kind": facts.kind.value,
                "object": str(name),
                "detail": why,
                **rule_arguments(rule),
            },
        ),
    )


def _check_placeholders(facts: StatementFacts, index: PolicyIndex) -> None:
    """Refuse to write a masked value back over the real one."""
    for column, value in facts.written_literals:
        for rule in index.column_rules(column).masking:
            if _looks_masked(value, rule.masker):
                raise Refused(
                    f'the value for column "{column}" looks like the mask itself, not like data: '
                    f"{quoted_rule(rule)}",
                    "column",
                    object=str(column),
                    rule=applied(rule, "deny"),
                    step="mask",
                    next_step=next_step(index.policy.base_url, rule),
                    reason=Reason(
                        "placeholder_written", {"object": str(column), **rule_arguments(rule)}
                    ),
                )


def _looks_masked(value: str, spec: MaskerSpec) -> bool:
    if "***" in value:
        return True
    try:
        params = resolve_params(spec)
    except MaskerError:
        return False
    return value != "" and value == params.get("text")


def _mask_output(
    ordinal: int,
    output: OutputColumn,
    index: PolicyIndex,
    trace: list[TraceStep],
    rules: list[AppliedRule],
) -> ColumnMask | None:
    masking: dict[str, MaskingRule] = {}
    sources: list[ColumnName] = []
    for column in sorted(output.sources):
        found = index.column_rules(column).masking
        if found:
            sources.append(column)
        masking.update((rule.id, rule) for rule in found)
    if not masking:
        return None
    first = next(iter(masking.values()))
    if output.expression is ExpressionClass.OTHER and not all(
        "function" in rule.relaxations for rule in masking.values()
    ):
        raise Refused(
            f'column "{sources[0]}" may only be shown as it is, not inside an expression that can '
            f"fail or change with it: {quoted_rule(first)}",
            "column",
            object=str(sources[0]),
            rule=applied(first, "deny"),
            step="mask",
            next_step=next_step(index.policy.base_url, first),
            reason=Reason(
                "column_expression_refused", {"object": str(sources[0]), **rule_arguments(first)}
            ),
        )
    spec = _effective_masker(output, list(masking.values()))
    try:
        resolve_params(spec)
    except MaskerError as error:
        raise Refused(
            f'column "{sources[0]}" cannot be masked: {quoted_rule(first)}: {error}',
            "column",
            object=str(sources[0]),
            rule=applied(first, "deny"),
            step="mask",
            next_step=next_step(index.policy.base_url, first),
            reason=Reason(
                "column_not_maskable",
                {"object": str(sources[0]), "detail": str(error), **rule_arguments(first)},
            ),
        ) from error
    for rule in masking.values():
        entry = applied(rule, "mask")
        if entry not in rules:
            rules.append(entry)
            trace.append(
                TraceStep("mask", "mask", quoted_rule(rule), entry, object=str(sources[0]))
            )
    return ColumnMask(
        ordinal=ordinal,
        masker=spec,
        rule_ids=tuple(masking),
        rule_names=tuple(rule.name for rule in masking.values()),
        sources=tuple(sources),
        key=index.policy.masking_key if MASKERS[spec.kind].secret_key else b"",
    )


def _effective_masker(output: OutputColumn, masking: list[MaskingRule]) -> MaskerSpec:
    """One rule over the column itself keeps its masker; anything mixed is hidden whole."""
    specs = {rule.masker for rule in masking}
    if output.expression is ExpressionClass.IDENTITY and len(specs) == 1:
        return next(iter(specs))
    return _FULL
