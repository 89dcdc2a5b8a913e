"""A session's audit: everything that it records, in order, before it happens.

Follows what is open, so that a session that ends leaves no statement without a completion, and
counts what the end of the session reports. Observers hear of an event once it is in the spool.
"""

from __future__ import annotations

from collections import deque

from querykeep_guard.contracts.audit import (
    AuditEvent,
    Outcome,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.session import ClientInfo, EndReason, SessionGrant
from querykeep_guard.policy.decision import Decision
from querykeep_relay.observer import NullObserver, Observer
from querykeep_relay.services import RelayServices

_RECENT_DECISIONS = 64
_RECENT_CHARS = 256 * 1024
_OUTCOMES = {
    EndReason.CLIENT_CLOSED: Outcome.CANCELLED,
    EndReason.TARGET_CLOSED: Outcome.UNKNOWN,
    EndReason.INTERNAL_ERROR: Outcome.UNKNOWN,
}


class Recorder:
    """Writes one session's events to the spool."""

    def __init__(self, services: RelayServices, observer: Observer) -> None:
        self._services = services
        self._observer = observer
        self._is_watched = not isinstance(observer, NullObserver)
        self._recent: deque[Decision] = deque()
        self._recent_chars = 0
        self._open: dict[str, StatementStarted] = {}
        self._opened = False
        self._closed = False
        self._refused = False
        self.statements = 0
        self.rows = 0

    @property
    def open_statements(self) -> tuple[StatementStarted, ...]:
        """Statements that were recorded to run and have not ended."""
        return tuple(self._open.values())

    def decided(self, decisions: tuple[Decision, ...]) -> None:
        """Keep decisions for the observer until their statements are recorded: many small ones or
        a huge one."""
        if not self._is_watched:
            return
        recent = self._recent
        recent.extend(decisions)
        self._recent_chars += sum(len(decision.facts.text) for decision in decisions)
        while len(recent) > len(decisions) and (
            len(recent) > _RECENT_DECISIONS or self._recent_chars > _RECENT_CHARS
        ):
            self._recent_chars -= len(recent.popleft().facts.text)

    def record(self, event: AuditEvent) -> int:
        """Write an event; return its sequence in the spool.

        Raises:
            SpoolFullError, OSError: It was not recorded: what it announces must not happen.
        """
        if (isinstance(event, SessionOpened) and self._opened) or (
            isinstance(event, SessionClosed) and self._closed
        ):
            return self._services.spool.sequence
        if isinstance(event, StatementCompleted) and event.statement_id not in self._open:
            # Its begin could not be recorded, so it was never sent on: it has no end either.
            return self._services.spool.sequence
        sequence = self._services.spool.append(event)
        match event:
            case StatementStarted():
                self.statements += 1
                if may_run(event):
                    self._open[event.statement_id] = event
                if self._is_watched:
                    self._observer.statement_started(event, self._decision_of(event))
            case StatementCompleted():
                self._open.pop(event.statement_id, None)
                self.rows += event.rows
                self._observer.statement_completed(event)
            case SessionOpened():
                self._opened = True
            case SessionClosed():
                self._closed = True
            case SignInRefused():
                self._refused = True
        return sequence

    def refuse_sign_in(self, event: SignInRefused) -> None:
        """Record that the client was turned away, unless its engine did."""
        if not self._refused:
            self.record(event)

    def open_session(self, grant: SessionGrant, client: ClientInfo, *, tls: bool) -> None:
        """Record that the session opened, unless its engine did."""
        if self._opened:
            return
        policy = grant.policy
        self.record(
            SessionOpened(
                grant.session_id,
                self._services.now(),
                policy.subject.user_id,
                policy.subject.username,
                grant.route,
                client,
                policy.connection_id,
                policy.connection_name,
                tls,
            )
        )

    def close_session(
        self, grant: SessionGrant, reason: EndReason, detail: str, bytes_to_client: int
    ) -> None:
        """Record the end of what is still open, then of the session, unless its engine did."""
        now = self._services.now()
        for started in self.open_statements:
            duration_ms = (now - started.started_at).total_seconds() * 1000
            self.record(
                StatementCompleted(
                    started.statement_id,
                    grant.session_id,
                    now,
                    _OUTCOMES.get(reason, Outcome.KILLED),
                    0,
                    0,
                    max(0.0, duration_ms),
                    error=detail,
                )
            )
        if self._opened and not self._closed:
            self.record(
                SessionClosed(
                    grant.session_id,
                    now,
                    reason,
                    self.statements,
                    self.rows,
                    bytes_to_client,
                    detail,
                )
            )

    def _decision_of(self, event: StatementStarted) -> Decision | None:
        """Find the decision behind a statement: the latest on the same text, else on its digest."""
        for decision in reversed(self._recent):
            if event.statement in (decision.facts.text, decision.facts.redacted_text):
                return decision
        for decision in reversed(self._recent):
            if event.digest and decision.facts.digest == event.digest:
                return decision
        return None


def may_run(event: StatementStarted) -> bool:
    """True when the recorded statement will be sent on."""
    return event.verdict in (Verdict.ALLOWED, Verdict.MASKED)
