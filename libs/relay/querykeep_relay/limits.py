"""Limits of one session in time: sign-in, statement, idleness, age, and the dates of its grants.

Few timers that look when they fire and set themselves anew: a deadline per statement would fill the
heap with those that are long over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import trio

from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import EndReason
from querykeep_relay.policy_handle import ended_by_time, next_change
from querykeep_relay.services import RelayServices
from querykeep_relay.timers import Timer

_DATES_CHECK_S = 60.0
_BUSY_RECHECK_S = 1.0
_EXPIRED = {
    EndReason.EXPIRED: "your access to this connection has expired; ask its owner for a new grant",
    EndReason.OUTSIDE_HOURS: "your access to this connection does not hold at this hour",
}


class Limited(Protocol):
    """The session that limits act on."""

    @property
    def policy(self) -> SessionPolicy:
        """The policy in force."""
        ...

    @property
    def has_running(self) -> bool:
        """True while a statement runs."""
        ...

    def end(self, reason: EndReason, message: str) -> None:
        """End the session."""
        ...

    def time_out_statement(self) -> None:
        """Cancel the running statement for its time."""
        ...


class SessionLimits:
    """Timers of one session; ``close`` makes them void."""

    def __init__(self, services: RelayServices, session: Limited) -> None:
        self._services = services
        self._session = session
        self._timers: dict[str, Timer] = {}
        self._opened_at = 0.0
        self._active_at = trio.current_time()
        self._statement_at = 0.0
        self._after("sign_in", services.settings.sign_in_timeout_s, self._sign_in_over)

    def ready(self) -> None:
        """Sign-in is complete: the limits of the policy begin."""
        self._drop("sign_in")
        self._opened_at = self._active_at = trio.current_time()
        self.policy_changed()

    def policy_changed(self) -> None:
        """Look at every limit as the policy in force has it."""
        if not self._opened_at:
            return
        for check in (self._check_age, self._check_idle, self._check_dates, self._check_statement):
            check()

    def active(self) -> None:
        """The client sent something, or a statement ended."""
        self._active_at = trio.current_time()

    def statement_started(self) -> None:
        """A statement begins to run."""
        self._statement_at = self._active_at = trio.current_time()
        if "statement" not in self._timers:
            self._check_statement()

    def close(self) -> None:
        """Forget all deadlines."""
        for name in tuple(self._timers):
            self._drop(name)

    def _sign_in_over(self) -> None:
        seconds = self._services.settings.sign_in_timeout_s
        self._session.end(EndReason.IDLE, f"sign-in was not completed within {seconds:.0f} s")

    def _check_statement(self) -> None:
        limit = self._session.policy.limits.statement_timeout_s
        if limit is None or not self._session.has_running:
            self._drop("statement")
            return
        left = self._statement_at + limit - trio.current_time()
        if left <= 0:
            self._drop("statement")
            self._session.time_out_statement()
        else:
            self._after("statement", left, self._check_statement)

    def _check_idle(self) -> None:
        limit = self._session.policy.limits.idle_timeout_s
        if limit is None:
            self._drop("idle")
            return
        if self._session.has_running:
            self._active_at = trio.current_time()
        left = self._active_at + limit - trio.current_time()
        if left <= 0:
            self._session.end(EndReason.IDLE, f"the session was idle for {limit:.0f} s")
        else:
            self._after("idle", left, self._check_idle)

    def _check_age(self) -> None:
        limit = self._session.policy.limits.session_timeout_s
        if limit is None:
            self._drop("age")
            return
        left = self._opened_at + limit - trio.current_time()
        if left <= 0:
            self._session.end(
                EndReason.SESSION_LIMIT, f"the session has lasted {limit:.0f} s, which is its limit"
            )
        else:
            self._after("age", left, self._check_age)

    def _check_dates(self) -> None:
        """A running statement may end first: ``decide`` lets no other one begin."""
        now = self._services.now()
        reason = ended_by_time(self._session.policy, now)
        if reason is None:
            wait = next_change(self._session.policy, now) - now
            if wait < timedelta(days=3650):
                delay = min(wait.total_seconds() + 0.01, _DATES_CHECK_S)
                self._after("dates", delay, self._check_dates)
            else:
                self._drop("dates")
        elif self._session.has_running:
            self._after("dates", _BUSY_RECHECK_S, self._check_dates)
        else:
            self._session.end(reason, _EXPIRED[reason])

    def _after(self, name: str, delay_s: float, action: Callable[[], None]) -> None:
        self._drop(name)
        self._timers[name] = self._services.timers.after(delay_s, action)

    def _drop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
