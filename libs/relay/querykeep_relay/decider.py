"""Judges texts: analyzer -> facts -> ``guard.policy.decide`` -> decisions, with caches around it.

The caches never decide: an entry is the answer that the same analyzer and the same ``decide`` gave
for an equal question (text, session context, catalog, policy), and holds until a grant begins or
ends. Analysis of long or known-slow texts runs in a worker thread, so that other sessions go on.
"""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter

import trio

from querykeep_engines.kit.engine import Engine
from querykeep_engines.kit.skeleton import Skeletons
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.policy.decide import decide, stale_refusal, syntax_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext, StatementFacts, StatementSyntaxError
from querykeep_relay.policy_handle import CACHED_TEXT_BYTES, PolicyHandle, next_change

_THREAD_TEXT_CHARS = 16 * 1024
_SLOW_S = 0.010
_CACHED_SHAPES = 1024
_ANALYSIS_TIMEOUT_S = 60.0
_WORKER_THREADS = 2
_SHAPE = "shape"
_BLANK = " \t\r\n;"

_LANES = 128
_COPY_FACTS = attrgetter(*[field.name for field in dataclasses.fields(StatementFacts)[3:]])

_ShapeKey = tuple[str, str, str, SessionContext]


class Lane:
    """What a session asks about again and again: one context, under one policy and catalog. Equal
    questions meet in the same lane, so that a key holds it in place of all three."""

    __slots__ = ("context", "skeletons")

    def __init__(self, context: SessionContext, skeletons: Skeletons) -> None:
        self.context = context
        self.skeletons = skeletons


class Decider:
    """One per process; its answers are shared through policy handles and shapes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """``now`` gives UTC."""
        self._now = now
        self._shapes: OrderedDict[_ShapeKey, StatementFacts] = OrderedDict()
        self._slow: OrderedDict[str, None] = OrderedDict()
        self._last_shape: tuple[object, str | None] = (None, None)
        self._limiter = trio.CapacityLimiter(_WORKER_THREADS)

    def lane(
        self, engine: Engine, context: SessionContext, handle: PolicyHandle, catalog: Catalog
    ) -> Lane:
        """Return what is remembered for this context, policy and catalog."""
        key = (context, catalog.fingerprint)
        found = handle.lanes.get(key)
        if isinstance(found, Lane):
            return found
        shape = engine.analyzer().shape
        lane = Lane(context, Skeletons(lambda text: shape(text, context)))
        handle.lanes[key] = lane
        while len(handle.lanes) > _LANES:
            handle.lanes.popitem(last=False)
        return lane

    def known(
        self, engine: Engine, text: str, lane: Lane, handle: PolicyHandle
    ) -> tuple[Decision, ...] | None:
        """Return remembered decisions on this text, or on one of its shape, or None."""
        if len(text) > CACHED_TEXT_BYTES:
            return None
        known = self._remembered(handle, (text, lane))
        if known is not None or not handle.shares_by_shape:
            return known
        key = lane.skeletons.key(text)
        if key is not None:
            known = self._remembered(handle, (key, lane))
        if known is None:
            shape = self._shape(engine, text, lane.context)
            if shape is None:
                return None
            known = self._remembered(handle, (_SHAPE, shape, lane))
            if known is None:
                return None
            if key is not None:
                handle.remember((key, lane), handle.cache[_SHAPE, shape, lane][0], known)
        return (with_text(known[0], text),)

    def cached(
        self,
        engine: Engine,
        text: str,
        context: SessionContext,
        handle: PolicyHandle,
        catalog: Catalog,
    ) -> tuple[Decision, ...] | None:
        """``known``, for a question that is asked once."""
        return self.known(engine, text, self.lane(engine, context, handle, catalog), handle)

    def _remembered(self, handle: PolicyHandle, key: object) -> tuple[Decision, ...] | None:
        entry = handle.cache.get(key)
        if entry is None:
            return None
        valid_until, decisions = entry
        if self._now() >= valid_until:
            del handle.cache[key]
            return None
        return decisions

    async def decide(
        self,
        engine: Engine,
        text: str,
        context: SessionContext,
        handle: PolicyHandle,
        catalog: Catalog,
    ) -> tuple[Decision, ...]:
        """Return one decision per statement of a text; a text that cannot be parsed gives one."""
        found = self.cached(engine, text, context, handle, catalog)
        if found is not None:
            return found
        policy, now = handle.policy, self._now()
        try:
            facts = await self._facts(engine, text, context, catalog)
        except StatementSyntaxError as error:
            return (syntax_refusal(error, text, policy),)
        except trio.TooSlowError:
            return (stale_refusal("the text takes too long to analyze", text, policy),)
        decisions = tuple(decide(one, policy, now, catalog) for one in facts)
        shared = self._is_shared(facts, text)
        if shared and not decisions[0].may_run:
            # Positions and literals in a refusal must be this text's own.
            facts = await self._analyzed(engine, text, context, catalog)
            decisions = tuple(decide(one, policy, now, catalog) for one in facts)
        if len(text) <= CACHED_TEXT_BYTES:
            lane = self.lane(engine, context, handle, catalog)
            key: tuple[object, ...] = (text, lane)
            if shared and decisions[0].may_run and handle.shares_by_shape:
                shape = self._shape(engine, text, context)
                if shape is not None:
                    key = (_SHAPE, shape, lane)
            handle.remember(key, next_change(policy, now), decisions)
        return decisions

    def _shape(self, engine: Engine, text: str, context: SessionContext) -> str | None:
        """Return a text's shape; a text that nothing is known of is asked for it three times."""
        asked = (engine.spec.name, text, context)
        if self._last_shape[0] != asked:
            self._last_shape = (asked, engine.analyzer().shape(text, context))
        return self._last_shape[1]

    def _is_shared(self, facts: tuple[StatementFacts, ...], text: str) -> bool:
        return len(facts) == 1 and _can_share(facts[0], text)

    async def _facts(
        self, engine: Engine, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        shape = self._shape(engine, text, context) if len(text) <= CACHED_TEXT_BYTES else None
        if shape is None:
            return await self._analyzed(engine, text, context, catalog)
        key = (engine.spec.name, shape, catalog.fingerprint, context)
        known = self._shapes.get(key)
        if known is not None:
            self._shapes.move_to_end(key)
            return (_with_text(known, text),)
        facts = await self._analyzed(engine, text, context, catalog)
        if self._is_shared(facts, text):
            self._shapes[key] = facts[0]
            while len(self._shapes) > _CACHED_SHAPES:
                self._shapes.popitem(last=False)
        return facts

    async def _analyzed(
        self, engine: Engine, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        analyzer = engine.analyzer()
        if len(text) <= _THREAD_TEXT_CHARS and text not in self._slow:
            started = time.perf_counter()
            facts = analyzer.analyze(text, context, catalog)
            if time.perf_counter() - started > _SLOW_S:
                self._slow[text] = None
                while len(self._slow) > _CACHED_SHAPES:
                    self._slow.popitem(last=False)
            return facts
        with trio.fail_after(_ANALYSIS_TIMEOUT_S):
            return await trio.to_thread.run_sync(
                analyzer.analyze,
                text,
                context,
                catalog,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )


def with_text(decision: Decision, text: str) -> Decision:
    """Return the decision as it is for another text of the same shape."""
    return Decision(
        decision.verdict,
        _with_text(decision.facts, text),
        decision.plan,
        decision.rules,
        decision.trace,
        decision.message,
        decision.denied_by,
        decision.object,
        decision.position,
        decision.next_step,
    )


def _with_text(facts: StatementFacts, text: str) -> StatementFacts:
    start, end = _span(text)
    copied = _COPY_FACTS(facts)
    return StatementFacts(text[start:end], start, end, *copied)


def _span(text: str) -> tuple[int, int]:
    """Where the one statement of a text stands, without the blanks and semicolons around it."""
    start = len(text) - len(text.lstrip(_BLANK))
    return start, max(start, len(text.rstrip(_BLANK)))


def _can_share(facts: StatementFacts, text: str) -> bool:
    """True when other literals in the same shape give the same facts but for the text itself."""
    return (
        not facts.literals_matter
        and facts.redacted_text is None
        and not facts.written_literals
        and not facts.problems
        and (facts.start, facts.end) == _span(text)
        and facts.text == text[facts.start : facts.end]
    )
