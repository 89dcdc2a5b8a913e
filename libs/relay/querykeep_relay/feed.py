"""Brings policy changes, ends and cancels to live sessions within a second.

A heartbeat every 500 ms (at once on a hint) asks what changed since the last version that was fully
applied. Only when the policies of every touched session are in force is that version *confirmed*,
at the time the question was sent; each session's lease counts from there on the monotonic clock. A
session whose lease is over ends. Nothing is concluded from an answer that did not come.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import trio

from querykeep_guard.contracts.codec import ContractError, to_json
from querykeep_guard.contracts.session import EndReason
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
    HeartbeatAnswer,
)
from querykeep_relay.live import LiveSession, LiveSessions, SessionReport

_LOG = logging.getLogger(__name__)
_CALL_TIMEOUT_S = 5.0
_FULL_REPORT_S = 10.0
_POLICIES_AT_ONCE = 200
_ENDED_KEPT = 100_000
_HINT_BURST_S = 0.01
_END_BURST_S = 0.2
_API_ERRORS = (ApiUnavailableError, ApiProblemError, ApiRefusedError, ContractError)
LEASE_MESSAGE = "the policy could not be confirmed for too long: the API is not reachable"


class PolicyFeed:
    """One per process; ``run`` is its task."""

    def __init__(
        self, api: ApiClient, live: LiveSessions, *, kind: str, address: str, heartbeat_s: float
    ) -> None:
        self._api = api
        self._live = live
        self._kind = kind
        self._address = address
        self._heartbeat_s = heartbeat_s
        self._since = 0
        self._wake = trio.Event()
        self._tell = trio.Event()
        self._ended: deque[dict[str, str]] = deque(maxlen=_ENDED_KEPT)
        self._reported: dict[str, SessionReport] = {}
        self._full_at = float("-inf")
        self._behind: set[str] = set()
        self._changed = trio.Event()
        self._beating = trio.Lock()
        self._is_over = False
        self.reachable = False

    @property
    def version(self) -> int:
        """The last policy version that is in force in every live session here."""
        return self._since

    def wake(self) -> None:
        """A hint came: ask at once."""
        self._wake.set()

    async def wait_changed(self) -> None:
        """Wait until the policy version moves (listeners re-read their connections then)."""
        await self._changed.wait()

    def opened(self, session: LiveSession) -> None:
        """Enter a session; one whose policy is older than what is in force here is renewed."""
        self._live.add(session)
        if session.policy.version < self._since:
            self._behind.add(session.grant.session_id)
            self.wake()

    def closed(self, session: LiveSession, reason: EndReason, detail: str) -> None:
        """Take a session out and tell the API why with a heartbeat soon."""
        self._live.remove(session)
        self._reported.pop(session.grant.session_id, None)
        self._behind.discard(session.grant.session_id)
        self.never_began(session.grant.session_id, reason, detail)

    def never_began(self, session_id: str, reason: EndReason, detail: str) -> None:
        """A session that the API opened is over; also for one whose client never came."""
        self._ended.append({"id": session_id, "reason": reason.value, "detail": detail})
        self._tell.set()

    async def run(self) -> None:
        """Beat until cancelled; whatever one beat meets, the next one follows."""
        while True:
            self._wake, self._tell = trio.Event(), trio.Event()
            try:
                await self.beat()
            except Exception:
                self.reachable = False
                _LOG.exception("a heartbeat failed")
            self._end_leases()
            with trio.move_on_after(self._heartbeat_s):
                await self._until_due()

    async def _until_due(self) -> None:
        """Return when something calls for a beat before its time."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_ends, nursery.cancel_scope)
            await self._wake.wait()
            # Hints come in bursts: one question answers them all.
            await trio.sleep(_HINT_BURST_S)
            nursery.cancel_scope.cancel()

    async def _until_ends(self, over: trio.CancelScope) -> None:
        """Sessions end in bursts too, and their ends are news only to people."""
        while True:
            await self._tell.wait()
            await trio.sleep(_END_BURST_S)
            self._tell = trio.Event()
            if self._ended:  # not yet told by a beat for another reason
                over.cancel()

    async def beat(self) -> None:
        """Ask once and apply the answer; nothing after ``finish``."""
        async with self._beating:
            if not self._is_over:
                await self._beat()

    async def finish(self) -> None:
        """Beat for the last time. No call may be on its way when the process's tasks are cancelled:
        the API would take it, and nobody its answer."""
        async with self._beating:
            self._is_over = True
            await self._beat()

    async def _beat(self) -> None:
        asked_at = trio.current_time()
        reports, full = self._due_reports(asked_at)
        ended = list(self._ended)
        try:
            with trio.fail_after(_CALL_TIMEOUT_S):
                answer = await self._api.heartbeat(self._body(reports, ended))
        except (*_API_ERRORS, trio.TooSlowError) as error:
            if self.reachable:
                _LOG.warning("the API does not answer heartbeats: %s", error or "too slow")
            self.reachable = False
            return
        if not self.reachable:
            _LOG.info("the API answers heartbeats")
        self.reachable = True
        for _ in ended:
            self._ended.popleft()
        self._reported.update((report.id, report) for report in reports)
        if full:
            self._full_at = asked_at
        await self._apply(answer, asked_at)

    async def _apply(self, answer: HeartbeatAnswer, asked_at: float) -> None:
        for end in answer.end:
            session = self._live.get(end.session_id)
            if session is not None:
                session.end(end.reason, end.message)
        for session_id in answer.cancel:
            session = self._live.get(session_id)
            if session is not None:
                session.cancel(by_admin=True)
        known_before = {session.grant.session_id for session in self._live}
        touched = {s.grant.session_id for s in self._live.touched_by(answer.changes)}
        touched |= self._behind & known_before
        if not await self._renew(sorted(touched)):
            return
        self._behind -= touched
        if answer.version != self._since:
            self._since = answer.version
            self._changed.set()
            self._changed = trio.Event()
        for session in self._live:
            if session.grant.session_id in known_before:
                session.confirm(asked_at)
            elif session.policy.version < self._since:
                # Opened while the answer was on its way, with a policy from before it.
                self._behind.add(session.grant.session_id)
                self.wake()

    async def _renew(self, session_ids: list[str]) -> bool:
        """Put fresh policies in force; False when not all could be had."""
        for start in range(0, len(session_ids), _POLICIES_AT_ONCE):
            part = session_ids[start : start + _POLICIES_AT_ONCE]
            try:
                with trio.fail_after(_CALL_TIMEOUT_S):
                    answer = await self._api.policies(part)
            except (*_API_ERRORS, trio.TooSlowError) as error:
                _LOG.warning("fresh policies cannot be had: %s", error or "too slow")
                return False
            for session_id in part:
                session = self._live.get(session_id)
                if session is None:
                    continue
                ended = answer.ended.get(session_id)
                policy = answer.policies.get(session_id)
                if ended is not None:
                    session.end(ended.reason, ended.message)
                elif policy is not None:
                    session.replace_policy(policy)
                else:
                    session.end(EndReason.REVOKED, "the session has no policy any more")
        return True

    def _end_leases(self) -> None:
        now = trio.current_time()
        for session in self._live:
            if now - session.confirmed_at > session.policy.lease_s:
                session.end(EndReason.LEASE_OVER, LEASE_MESSAGE)

    def _due_reports(self, now: float) -> tuple[list[SessionReport], bool]:
        """Idle sessions that said the same before need not say it twice a second."""
        full = now - self._full_at >= _FULL_REPORT_S
        reports = [session.report() for session in self._live]
        if full:
            return reports, True
        return [report for report in reports if self._reported.get(report.id) != report], False

    def _body(self, reports: list[SessionReport], ended: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "ep": self._api.ep,
            "kind": self._kind,
            "address": self._address,
            "since": self._since,
            "sessions": [to_json(report) for report in reports],
            "ended": ended,
        }
