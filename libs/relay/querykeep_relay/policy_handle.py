"""A session policy as one live object: shared by the sessions that hold an equal one, so that they
also share what was decided under it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from querykeep_guard.contracts.policy import SessionPolicy, StatementCheck
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.policy.decision import Decision
from querykeep_guard.policy.index import is_grant_active

CACHED_DECISIONS = 2048
CACHED_TEXT_BYTES = 4096
"""Longer texts are decided each time: they are rare, and would fill the cache with one load job."""

_FAR = timedelta(days=36500)


class PolicyHandle:
    """A policy with its decision cache; ``cache`` maps a key of the decider to (valid until,
    decisions), oldest first; ``lanes`` is the decider's own."""

    __slots__ = ("__weakref__", "cache", "lanes", "policy", "shares_by_shape")

    def __init__(self, policy: SessionPolicy) -> None:
        self.policy = policy
        # A rule that looks at the text may tell two texts of one shape apart.
        self.shares_by_shape = not any(
            rule.check in (StatementCheck.PATTERN, StatementCheck.DIGEST)
            for rule in policy.statement_rules
        )
        self.lanes: OrderedDict[object, object] = OrderedDict()
        self.cache: OrderedDict[object, tuple[datetime, tuple[Decision, ...]]] = OrderedDict()

    def remember(self, key: object, valid_until: datetime, decisions: tuple[Decision, ...]) -> None:
        """Keep decisions for as long as no grant starts or ends."""
        self.cache[key] = (valid_until, decisions)
        while len(self.cache) > CACHED_DECISIONS:
            self.cache.popitem(last=False)


class PolicyHandles:
    """Interns policies by equality."""

    def __init__(self) -> None:
        self._handles: WeakValueDictionary[SessionPolicy, PolicyHandle] = WeakValueDictionary()

    def of(self, policy: SessionPolicy) -> PolicyHandle:
        """Return the handle of an equal policy, or a new one."""
        handle = self._handles.get(policy)
        if handle is None:
            handle = PolicyHandle(policy)
            self._handles[policy] = handle
        return handle


def next_change(policy: SessionPolicy, now: datetime) -> datetime:
    """Return the next moment at which a grant may begin or cease to hold (far off: never).

    Hours change on whole minutes of any zone, so a grant with hours is looked at each minute.
    """
    moments = [now + _FAR]
    for grant in policy.grants:
        moments += [m for m in (grant.valid_from, grant.valid_until) if m is not None and m > now]
        if grant.hours is not None:
            moments.append(now.replace(second=0, microsecond=0) + timedelta(minutes=1))
    return min(moments)


def ended_by_time(policy: SessionPolicy, now: datetime) -> EndReason | None:
    """Return why time alone ends a session now: no grant holds any more. None: one does."""
    if any(is_grant_active(grant, now) for grant in policy.grants):
        return None
    in_dates = any(
        (grant.valid_from is None or now >= grant.valid_from)
        and (grant.valid_until is None or now < grant.valid_until)
        for grant in policy.grants
    )
    return EndReason.OUTSIDE_HOURS if in_dates else EndReason.EXPIRED
