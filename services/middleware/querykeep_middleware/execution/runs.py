"""A run as it stands: its statements, results and failures; makes snapshots and wire messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from querykeep_engines.kit.driver import ResultColumn, StatementFailed
from querykeep_guard.contracts.audit import AppliedRule, Outcome, Verdict
from querykeep_guard.contracts.audit import StatementStarted as Recorded
from querykeep_guard.policy.decision import ColumnMask, Decision
from querykeep_middleware.editor.shapes import (
    ColumnInfo,
    Failure,
    NoticeText,
    ResultSnapshot,
    RuleRef,
    RunScope,
    RunSnapshot,
    RunState,
    StatementSnapshot,
    StatementState,
)
from querykeep_middleware.results.store import StoredResult

_KEPT_OF_TAB = 20
_KEPT_OF_WINDOW = 500
# A browser that comes back is told every text again, and all windows share the runner's memory.
_KEPT_CHARACTERS = 100_000_000
_CANCELLED = (Outcome.CANCELLED, Outcome.KILLED)


@dataclass(slots=True)
class StatementModel:
    """One statement of a run."""

    recorded: Recorded
    decision: Decision | None
    ordinal: int
    start: int
    end: int
    state: StatementState = StatementState.RUNNING
    duration_ms: float | None = None
    tag: str = ""
    row_count: int | None = None
    failure: Failure | None = None
    outcome: Outcome | None = None
    results: list[tuple[StoredResult, tuple[ColumnInfo, ...]]] = field(default_factory=list)
    notices: list[NoticeText] = field(default_factory=list)

    @property
    def statement_id(self) -> str:
        """The id that the audit log knows it by."""
        return self.recorded.statement_id

    @property
    def rules(self) -> tuple[RuleRef, ...]:
        """What took part in its verdict."""
        return tuple(rule_ref(rule) for rule in self.recorded.rules)

    @property
    def masks(self) -> tuple[ColumnMask, ...]:
        """The masks of its result."""
        return self.decision.plan.masks if self.decision is not None else ()

    def fail(self, failed: StatementFailed, base: int) -> None:
        """It failed at the target, or was cancelled there."""
        was_cancelled = self.outcome in _CANCELLED
        self.state = StatementState.CANCELLED if was_cancelled else StatementState.FAILED
        # Who cancelled it himself need not read the error that this makes at the target.
        self.failure = None if self.outcome is Outcome.CANCELLED else failure_of(failed, base)

    def snapshot(self) -> StatementSnapshot:
        """Return it whole."""
        return StatementSnapshot(
            statement_id=self.statement_id,
            ordinal=self.ordinal,
            start=self.start,
            end=self.end,
            kind=self.recorded.kind,
            verdict=self.recorded.verdict,
            rules=self.rules,
            state=self.state,
            started_at=self.recorded.started_at,
            duration_ms=self.duration_ms,
            tag=self.tag,
            row_count=self.row_count,
            results=tuple(
                ResultSnapshot(
                    stored.result_id,
                    columns,
                    stored.rows,
                    stored.bytes,
                    stored.complete,
                    stored.expired,
                )
                for stored, columns in self.results
            ),
            notices=tuple(self.notices),
            failure=self.failure,
        )


@dataclass(slots=True)
class RunModel:
    """One run of a tab."""

    run_id: str
    tab_id: str
    scope: RunScope
    text: str
    offset: int
    stop_on_error: bool
    started_at: datetime
    started_monotonic: float
    state: RunState = RunState.RUNNING
    duration_ms: float | None = None
    failure: Failure | None = None
    statements: list[StatementModel] = field(default_factory=list)
    cancel_asked: bool = False

    @property
    def current(self) -> StatementModel | None:
        """The first statement that still runs."""
        for statement in self.statements:
            if statement.state is StatementState.RUNNING:
                return statement
        return None

    def outcome(self) -> RunState:
        """Return the state that follows from its statements."""
        states = {statement.state for statement in self.statements}
        for state, run_state in (
            (StatementState.CANCELLED, RunState.CANCELLED),
            (StatementState.FAILED, RunState.FAILED),
            (StatementState.REFUSED, RunState.REFUSED),
            (StatementState.UNKNOWN, RunState.UNKNOWN),
        ):
            if state in states:
                return run_state
        if self.failure is not None:
            return RunState.CANCELLED if self.cancel_asked else RunState.FAILED
        return RunState.DONE

    def snapshot(self) -> RunSnapshot:
        """Return it whole."""
        return RunSnapshot(
            run_id=self.run_id,
            tab_id=self.tab_id,
            scope=self.scope,
            text=self.text,
            offset=self.offset,
            state=self.state,
            started_at=self.started_at,
            duration_ms=self.duration_ms,
            statements=tuple(statement.snapshot() for statement in self.statements),
            failure=self.failure,
        )


def outlived(runs: Sequence[RunModel]) -> list[RunModel]:
    """Return which of a window's runs (oldest first) are kept no longer: beyond the last of their
    tab, and beyond what a window keeps in number and text. One that is running stays."""
    kept_of_tab: Counter[str] = Counter()
    kept = characters = 0
    found = []
    for run in reversed(runs):
        if run.state is not RunState.RUNNING and (
            kept_of_tab[run.tab_id] >= _KEPT_OF_TAB
            or kept >= _KEPT_OF_WINDOW
            or characters + len(run.text) > _KEPT_CHARACTERS
        ):
            found.append(run)
            continue
        kept_of_tab[run.tab_id] += 1
        kept += 1
        characters += len(run.text)
    return found


def rule_ref(rule: AppliedRule) -> RuleRef:
    """Return a rule as people see it."""
    url = f"/r/{rule.code}" if rule.code else ""
    return RuleRef(rule.id, rule.name, rule.kind.removesuffix("_rule"), rule.effect, rule.code, url)


def failure_of(failed: StatementFailed, base: int) -> Failure:
    """Return what a driver said, as a failure; the text it was given began at ``base``."""
    position = failed.position + base if failed.position >= 0 else -1
    return Failure(failed.code, failed.message, failed.detail, failed.hint, position=position)


def refusal_of(recorded: Recorded, decision: Decision | None, base: int) -> Failure:
    """Return a refused statement's failure: object, rule, next step, place in the run's text (the
    text that was decided began at ``base``)."""
    deciding = [
        rule for rule in recorded.rules if rule.effect in ("deny", "need_approval", "need_reason")
    ]
    refs = tuple(rule_ref(rule) for rule in deciding)
    return Failure(
        code=recorded.error_code,
        message=recorded.error or (decision.message if decision else "refused"),
        position=decision.position + base if decision and decision.position >= 0 else -1,
        verdict=recorded.verdict,
        object=decision.object if decision else "",
        rules=refs,
        next_step=decision.next_step if decision else "",
        next_url=refs[0].url if refs else "",
        reason=recorded.reason,
    )


def column_infos(
    columns: tuple[ResultColumn, ...], masks: tuple[ColumnMask, ...], rules: tuple[RuleRef, ...]
) -> tuple[ColumnInfo, ...]:
    """Return a result's columns with the masks that lie on them."""
    by_ordinal = {mask.ordinal: mask for mask in masks}
    by_id = {rule.id: rule for rule in rules}
    infos = []
    for ordinal, column in enumerate(columns):
        mask = by_ordinal.get(ordinal)
        if mask is None:
            infos.append(ColumnInfo(column.name, column.type_name, column.kind))
            continue
        named = zip(mask.rule_ids, mask.rule_names, strict=True)
        refs = tuple(
            by_id.get(rule_id, RuleRef(rule_id, name, "masking", "mask")) for rule_id, name in named
        )
        infos.append(
            ColumnInfo(
                column.name,
                column.type_name,
                column.kind,
                refs,
                mask.masker.kind,
                tuple(str(source) for source in mask.sources),
            )
        )
    return tuple(infos)


def may_run(verdict: Verdict) -> bool:
    """True when a statement of this verdict is sent on."""
    return verdict in (Verdict.ALLOWED, Verdict.MASKED)
