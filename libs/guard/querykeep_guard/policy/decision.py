"""Verdicts. A default is never one: each is made by a named step that stands in the trace."""

from __future__ import annotations

from dataclasses import dataclass, field

from querykeep_guard.contracts.audit import AppliedRule, Verdict
from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.policy.reasons import Reason
from querykeep_guard.sql.facts import ColumnName, ColumnOrigin, StatementFacts


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """The mask of one output column, by ordinal (0-based). ``key`` is the installation's masking
    key where the masker needs one: ``build(mask.masker, key=mask.key)``."""

    ordinal: int
    masker: MaskerSpec
    rule_ids: tuple[str, ...]
    rule_names: tuple[str, ...]
    sources: tuple[ColumnName, ...]
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """How the rows of one result are to be masked. ``width`` is the number of result columns that
    the plan was made for; any other width ends the result. ``origins`` holds, per column, what the
    protocol must name as its origin, or None where it cannot tell. ``redact_errors``: a masked
    column is in reach, so error and notice texts are cut down to code and names.
    ``redact_places``: no value of a table with masked columns is in reach, but its rows are looked
    up by a key; texts may stay, but not what tells where a row of it stands."""

    width: int | None
    masks: tuple[ColumnMask, ...] = ()
    names: tuple[str, ...] = ()
    origins: tuple[ColumnOrigin | None, ...] = ()
    redact_errors: bool = False
    redact_places: bool = False


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a decision, for ``explain``. ``result``: allow, deny, mask, exempt, relax, pass,
    need_approval, need_reason."""

    step: str
    result: str
    text: str
    rule: AppliedRule | None = None
    object: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one statement.

    ``denied_by``: how an engine words it: ``table``, ``column``, ``database``, ``statement`` (no
    object), ``syntax``, ``limit``. ``object`` is the refused object for the text and error code.
    ``position`` is a character offset into the whole text that the statement is a part of, or -1.
    ``message`` is the whole text for the person, ``next_step`` what he can do, ``reason`` the same
    as a code with arguments (None where it may run).
    """

    verdict: Verdict
    facts: StatementFacts
    plan: MaskPlan
    rules: tuple[AppliedRule, ...]
    trace: tuple[TraceStep, ...]
    message: str = ""
    denied_by: str = ""
    object: str = ""
    position: int = -1
    next_step: str = ""
    reason: Reason | None = None

    @property
    def may_run(self) -> bool:
        """True when the statement may be sent on (masked or not)."""
        return self.verdict in (Verdict.ALLOWED, Verdict.MASKED)
