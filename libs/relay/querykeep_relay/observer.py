"""What an embedding service may watch of a session. Callbacks run in the event loop and return at
once; an exception in one ends its session as an internal error."""

from __future__ import annotations

from typing import Protocol

from querykeep_guard.contracts.audit import StatementCompleted, StatementStarted
from querykeep_guard.contracts.session import EndReason, SessionGrant
from querykeep_guard.policy.decision import Decision


class Observer(Protocol):
    """Told of everything that the audit is told, in the same order, after it was recorded."""

    def session_ready(self, grant: SessionGrant) -> None:
        """Sign-in is complete at both ends."""
        ...

    def statement_started(self, event: StatementStarted, decision: Decision | None) -> None:
        """A statement was recorded, and will be sent on (``event.verdict`` allowed or masked) or
        was refused. ``decision`` has the MaskPlan, rules, message and position; None for
        a statement that the session refused by itself (protocol not allowed)."""
        ...

    def statement_completed(self, event: StatementCompleted) -> None:
        """A statement that ran has ended."""
        ...

    def session_ended(self, reason: EndReason, detail: str) -> None:
        """The session is over; ``detail`` is the text for a person. Called exactly once."""
        ...


class NullObserver:
    """Watches nothing."""

    def session_ready(self, grant: SessionGrant) -> None:
        """Do nothing."""

    def statement_started(self, event: StatementStarted, decision: Decision | None) -> None:
        """Do nothing."""

    def statement_completed(self, event: StatementCompleted) -> None:
        """Do nothing."""

    def session_ended(self, reason: EndReason, detail: str) -> None:
        """Do nothing."""
