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

import trio

from querykeep_engines.kit.engine import Engine
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

_ShapeKey = tuple[str, str, str, SessionContext]


class Decider:
    """One per process; its answers are shared through policy handles and shapes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """``now`` gives UTC."""
        self._now = now
        self._shapes: OrderedDict[_ShapeKey, StatementFacts] = OrderedDict()
        self._slow: OrderedDict[str, None] = OrderedDict()
        self._limiter = trio.CapacityLimiter(_WORKER_THREADS)

    def cached(
        self,
        engine: Engine,
        text: str,
        context: SessionContext,
        handle: PolicyHandle,
        catalog: Catalog,
    ) -> tuple[Decision, ...] | None:
        """Return remembered decisions on this text, or on one of its shape, or None."""
        if len(text) > CACHED_TEXT_BYTES:
            return None
        known = self._remembered(handle, (text, context, catalog.fingerprint))
        if known is not None or not handle.shares_by_shape:
            return known
        shape = engine.analyzer().shape(text, context)
        if shape is None:
            return None
        known = self._remembered(handle, (_SHAPE, shape, context, catalog.fingerprint))
        if known is None:
            return None
        start, end = _span(text)
        facts = dataclasses.replace(known[0].facts, text=text[start:end], start=start, end=end)
        return (dataclasses.replace(known[0], facts=facts),)

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
            key: tuple[object, ...] = (text, context, catalog.fingerprint)
            if shared and decisions[0].may_run and handle.shares_by_shape:
                shape = engine.analyzer().shape(text, context)
                if shape is not None:
                    key = (_SHAPE, shape, context, catalog.fingerprint)
            handle.remember(key, next_change(policy, now), decisions)
        return decisions

    def _is_shared(self, facts: tuple[StatementFacts, ...], text: str) -> bool:
        return len(facts) == 1 and _can_share(facts[0], text)

    async def _facts(
        self, engine: Engine, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        shape = engine.analyzer().shape(text, context) if len(text) <= CACHED_TEXT_BYTES else None
        if shape is None:
            return await self._analyzed(engine, text, context, catalog)
        key = (engine.spec.name, shape, catalog.fingerprint, context)
        known = self._shapes.get(key)
        if known is not None:
            self._shapes.move_to_end(key)
            start, end = _span(text)
            return (dataclasses.replace(known, text=text[start:end], start=start, end=end),)
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
