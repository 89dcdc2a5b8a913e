"""Whether a stored result may still be read: as long as the session that read it could go on, and
its statement would be decided today as it was decided then.

A result outlives its session, so the session's own end cannot guard it. At each change of policy
the API is asked for the policies of the sessions behind stored results (ended ones too: it answers
for person, web session and connection); the facts of each statement are then decided anew.
What would be refused, or masked in another way, is removed. Dates and hours are looked at on every
read. With the API away, results can be read for the lease of their policy and no longer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import trio

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.policy.decide import decide
from querykeep_guard.policy.decision import Decision
from querykeep_middleware.results.store import ResultGoneError, ResultStore, StoredResult
from querykeep_relay.api_client import (
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)
from querykeep_relay.services import RelayServices

_LOG = logging.getLogger(__name__)
_POLICIES_AT_ONCE = 200
_RETRY_S = 1.0
_PAUSE_S = 0.05
_API_ERRORS = (ApiUnavailableError, ApiProblemError, ApiRefusedError)
_GONE = "this result was removed, because what you may read has changed: run the statement again"


class NotReadableError(Exception):
    """A result cannot be read at this moment; ``retry``: it may be again later."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry


@dataclass(slots=True)
class _Source:
    """A session whose results are stored, with its policy as last confirmed."""

    policy: SessionPolicy
    version: int
    confirmed_at: float
    results: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a result was read under."""

    session_id: str
    statement_id: str
    decision: Decision
    catalog: Catalog


class ResultRights:
    """One per runner; ``watch`` is its task."""

    def __init__(self, services: RelayServices, store: ResultStore) -> None:
        self._services = services
        self._store = store
        self._sources: dict[str, _Source] = {}
        self._bound: dict[str, _Bound] = {}

    def bind(
        self,
        result: StoredResult,
        session_id: str,
        statement_id: str,
        policy: SessionPolicy,
        decision: Decision,
        catalog: Catalog,
    ) -> None:
        """Note under what a result is read; without it nobody reads it."""
        source = self._sources.get(session_id)
        if source is None:
            source = _Source(policy, policy.version, trio.current_time())
            self._sources[session_id] = source
        source.results.add(result.result_id)
        self._bound[result.result_id] = _Bound(session_id, statement_id, decision, catalog)

    def check(self, result: StoredResult) -> SessionPolicy:
        """Return the policy under which a result may be read now.

        Raises:
            ResultGoneError: It may not any more, and is removed.
            NotReadableError: Not at this moment (hours, dates, or the API is away for too long).
        """
        bound = self._bound.get(result.result_id)
        source = self._sources.get(bound.session_id) if bound is not None else None
        if bound is None or source is None:
            raise ResultGoneError(_GONE)
        feed = self._services.feed
        now = trio.current_time()
        if feed.reachable and source.version >= feed.version:
            source.confirmed_at = now
        if now - source.confirmed_at > source.policy.lease_s:
            raise NotReadableError(
                "your rights cannot be confirmed: Querykeep's API does not answer", retry=True
            )
        if _depends_on_time(source.policy) and not self._holds(bound, source.policy):
            raise NotReadableError(
                f"your access to {source.policy.connection_name} does not hold at this time",
                retry=False,
            )
        return source.policy

    def may_export(self, result: StoredResult) -> bool:
        """Return whether a result that ``check`` let pass may be taken away now: grants with the
        function export, and they alone, must cover its statement."""
        bound = self._bound.get(result.result_id)
        source = self._sources.get(bound.session_id) if bound is not None else None
        if bound is None or source is None:
            return False
        policy = source.policy
        exporting = tuple(grant for grant in policy.grants if "export" in grant.functions)
        return self._holds(bound, replace(policy, grants=exporting))

    def origin(self, result: StoredResult) -> tuple[str, str]:
        """Return (session id, statement id) of a result that ``check`` let pass."""
        bound = self._bound[result.result_id]
        return bound.session_id, bound.statement_id

    async def watch(self) -> None:
        """Judge every stored result anew whenever the policy version moves."""
        feed = self._services.feed
        while True:
            version = feed.version
            behind = [key for key, source in self._sources.items() if source.version < version]
            if not behind:
                await feed.wait_changed()
            elif await self._renew(behind, version):
                await trio.sleep(_PAUSE_S)
            else:
                await trio.sleep(_RETRY_S)

    async def _renew(self, session_ids: list[str], version: int) -> bool:
        for start in range(0, len(session_ids), _POLICIES_AT_ONCE):
            part = session_ids[start : start + _POLICIES_AT_ONCE]
            try:
                answer = await self._services.api.policies(part)
            except _API_ERRORS as error:
                _LOG.warning("the rights of stored results cannot be renewed: %s", error)
                return False
            for session_id in part:
                policy = answer.policies.get(session_id)
                if policy is None:
                    await self._remove_all(session_id)
                else:
                    await self._judge(session_id, policy, version)
        return True

    async def _judge(self, session_id: str, policy: SessionPolicy, version: int) -> None:
        source = self._sources.get(session_id)
        if source is None:
            return
        source.policy, source.version = policy, max(version, policy.version)
        source.confirmed_at = trio.current_time()
        for result_id in list(source.results):
            bound = self._bound.get(result_id)
            if bound is not None and not self._holds(bound, policy):
                await self._remove(result_id)

    def _holds(self, bound: _Bound, policy: SessionPolicy) -> bool:
        again = decide(bound.decision.facts, policy, self._services.now(), bound.catalog)
        return again.may_run and again.plan.masks == bound.decision.plan.masks

    async def _remove_all(self, session_id: str) -> None:
        source = self._sources.pop(session_id, None)
        for result_id in source.results if source is not None else ():
            await self._remove(result_id)

    async def _remove(self, result_id: str) -> None:
        self.forget(result_id)
        await trio.to_thread.run_sync(self._store.remove, result_id)

    def forget(self, result_id: str) -> None:
        """A result was removed."""
        bound = self._bound.pop(result_id, None)
        source = self._sources.get(bound.session_id) if bound is not None else None
        if bound is not None and source is not None:
            source.results.discard(result_id)
            if not source.results:
                del self._sources[bound.session_id]


def _depends_on_time(policy: SessionPolicy) -> bool:
    return any(
        grant.valid_from is not None or grant.valid_until is not None or grant.hours is not None
        for grant in policy.grants
    )
