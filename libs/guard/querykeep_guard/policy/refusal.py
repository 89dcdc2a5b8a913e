"""How a step of ``decide`` says no."""

from __future__ import annotations

from querykeep_guard.contracts.audit import AppliedRule
from querykeep_guard.policy.reasons import Reason


class Refused(Exception):  # noqa: N818 - a verdict on its way up, not an error
    """Raised by a step, caught only by ``decide``.

    Args:
        message: What may not be done, to which object, by which rule. No value, no full stop.
        by: ``table``, ``column``, ``database``, ``statement``, ``limit``: how engines word it.
        object: The refused object as people write it.
        position: Character offset into the statement (as facts count), or -1.
        rule: The rule that refuses, for audit and links.
        step: The step's name in the trace.
        next_step: What to do about it, a whole sentence.
        reason: Code and arguments for who speaks another language; see ``reasons``.
    """

    def __init__(
        self,
        message: str,
        by: str,
        *,
        object: str = "",
        position: int = -1,
        rule: AppliedRule | None = None,
        step: str = "understood",
        next_step: str = "",
        reason: Reason | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.by = by
        self.object = object
        self.position = position
        self.rule = rule
        self.step = step
        self.next_step = next_step
        self.reason = reason or Reason("refused", {"detail": message})
