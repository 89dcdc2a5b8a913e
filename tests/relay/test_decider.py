"""Caches of decisions never change an answer; and catalogs that must be current."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import trio
from tests.polling import until
from tests.relay.fix_fake_engine import FakeEngine, make_catalog
from tests.relay.fix_internal_api import make_policy

from querykeep_guard.contracts.policy import (
    AllowedHours,
    GrantScope,
    StatementCheck,
    StatementKind,
    StatementRule,
)
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.sql.facts import SessionContext
from querykeep_relay.decider import Decider
from querykeep_relay.policy_handle import PolicyHandles, ended_by_time, next_change

CONTEXT = SessionContext("fake", "fake", "1", "db")
NOW = datetime(2026, 1, 5, 10, 0, 30, tzinfo=UTC)


async def test_equal_shapes_are_analyzed_once_and_carry_their_own_text():
    engine, decider = FakeEngine(), Decider(lambda: NOW)
    handle = PolicyHandles().of(make_policy())
    catalog = make_catalog("f1")
    for number in range(10):
        (decision,) = await decider.decide(engine, f"select {number}", CONTEXT, handle, catalog)
        assert decision.facts.text == f"select {number}"
    assert engine.fake_analyzer.calls == 1


async def test_a_new_catalog_or_context_is_a_new_question():
    engine, decider = FakeEngine(), Decider(lambda: NOW)
    handle = PolicyHandles().of(make_policy())
    await decider.decide(engine, "select 1", CONTEXT, handle, make_catalog("f1"))
    await decider.decide(engine, "select 1", CONTEXT, handle, make_catalog("f2"))
    await decider.decide(
        engine, "select 1", replace(CONTEXT, search_path=("x",)), handle, make_catalog("f1")
    )
    assert engine.fake_analyzer.calls == 3


async def test_a_remembered_decision_ends_with_its_grant():
    now = [NOW]
    engine, decider = FakeEngine(), Decider(lambda: now[0])
    grant = GrantScope(
        "g", "ro", frozenset({StatementKind.SELECT}), valid_until=NOW + timedelta(seconds=5)
    )
    handle = PolicyHandles().of(make_policy(grants=(grant,)))
    catalog = make_catalog("f1")
    (decision,) = await decider.decide(engine, "select 1", CONTEXT, handle, catalog)
    assert decision.may_run
    now[0] += timedelta(seconds=5)
    assert decider.cached(engine, "select 1", CONTEXT, handle, catalog) is None
    (decision,) = await decider.decide(engine, "select 1", CONTEXT, handle, catalog)
    assert not decision.may_run


async def test_a_rule_on_the_text_is_asked_for_each_text():
    engine, decider = FakeEngine(), Decider(lambda: NOW)
    rule = StatementRule("s1", "no seven", StatementCheck.PATTERN, values=("7",))
    handle = PolicyHandles().of(make_policy(statement_rules=(rule,)))
    catalog = make_catalog("f1")
    verdicts = [
        (await decider.decide(engine, f"select {number}", CONTEXT, handle, catalog))[0].may_run
        for number in (1, 7, 8, 7)
    ]
    assert verdicts == [True, False, True, False]


async def test_a_shared_decision_carries_its_own_text_and_ends_with_the_grant():
    now = [NOW]
    engine, decider = FakeEngine(), Decider(lambda: now[0])
    grant = GrantScope(
        "g", "ro", frozenset({StatementKind.SELECT}), valid_until=NOW + timedelta(seconds=5)
    )
    handle = PolicyHandles().of(make_policy(grants=(grant,)))
    catalog = make_catalog("f1")
    await decider.decide(engine, "select 1", CONTEXT, handle, catalog)
    (known,) = decider.cached(engine, "  select 22 ;", CONTEXT, handle, catalog) or (None,)
    assert known is None or known.facts.text == "select 22"
    shared = decider.cached(engine, "select 333", CONTEXT, handle, catalog)
    assert shared is not None
    (known,) = shared
    assert (known.facts.text, known.facts.start, known.facts.end) == ("select 333", 0, 10)
    now[0] += timedelta(seconds=5)
    assert decider.cached(engine, "select 4444", CONTEXT, handle, catalog) is None


async def test_two_persons_share_only_equal_policies():
    handles = PolicyHandles()
    first, again = handles.of(make_policy()), handles.of(make_policy())
    assert first is again
    assert handles.of(make_policy(version=2)) is not first


def test_hours_are_looked_at_each_minute_and_tell_why_a_session_ends():
    hours = AllowedHours((0, 1, 2, 3, 4), 9 * 60, 18 * 60, "Asia/Seoul")
    grant = GrantScope("g", "ro", frozenset({StatementKind.SELECT}), hours=hours)
    policy = make_policy(grants=(grant,))
    assert next_change(policy, NOW) == datetime(2026, 1, 5, 10, 1, tzinfo=UTC)
    assert ended_by_time(policy, datetime(2026, 1, 5, 8, 59, tzinfo=UTC)) is None
    assert ended_by_time(policy, datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) is EndReason.OUTSIDE_HOURS
    expired = make_policy(grants=(replace(grant, hours=None, valid_until=NOW),))
    assert ended_by_time(expired, NOW) is EndReason.EXPIRED
    assert ended_by_time(make_policy(grants=()), NOW) is EndReason.EXPIRED


async def test_a_cached_decision_takes_no_analysis():
    """The promise is 50 µs (make bench measures it); here only that nothing is analyzed."""
    engine, decider = FakeEngine(), Decider(lambda: NOW)
    handle = PolicyHandles().of(make_policy())
    catalog = make_catalog("f1")
    await decider.decide(engine, "select 1", CONTEXT, handle, catalog)
    for _ in range(200):
        assert decider.cached(engine, "select 1", CONTEXT, handle, catalog) is not None
    assert engine.fake_analyzer.calls == 1


async def test_long_texts_do_not_hold_the_loop(monkeypatch):
    engine, decider = FakeEngine(), Decider(lambda: NOW)
    handle = PolicyHandles().of(make_policy())
    inner = engine.fake_analyzer.analyze

    def slow(text, context, catalog):
        time.sleep(0.2)
        return inner(text, context, catalog)

    monkeypatch.setattr(engine.fake_analyzer, "analyze", slow)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.01)
            ticks += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await decider.decide(engine, "select " + "x" * 20_000, CONTEXT, handle, make_catalog("f1"))
        nursery.cancel_scope.cancel()
    assert ticks > 3


async def test_ddl_through_us_is_seen_by_the_next_decision(relay):
    client = await relay.open()
    await client.ask("select 1")
    crawls = relay.engine.fake_driver.crawls
    relay.engine.fake_driver.fingerprints.append("f2")
    await client.ask("ddl")
    await client.ask("select 2")
    assert relay.engine.fake_driver.crawls == crawls + 1
    assert relay.services.catalogs.current_nowait("c1").fingerprint == "f2"


async def test_ddl_elsewhere_is_noticed_while_sessions_live(relay):
    client = await relay.open()
    await client.ask("select 1")
    relay.engine.fake_driver.fingerprints.append("f2")

    def is_new() -> bool:
        catalog = relay.services.catalogs.current_nowait("c1")
        return catalog is not None and catalog.fingerprint == "f2"

    await until(is_new)
    assert relay.api.catalogs_put >= 1


async def test_a_schema_that_cannot_be_read_refuses_and_says_so(relay):
    relay.engine.fake_driver.unreachable = True
    client = await relay.open()
    (answer,) = await client.ask("select 1")
    assert answer.startswith('refused the schema of connection "shop" is not known')
    assert relay.target.received == []
    relay.engine.fake_driver.unreachable = False

    async def is_allowed() -> bool:
        return not (await client.ask("select 1"))[0].startswith("refused")

    await until(is_allowed)


async def test_a_stale_catalog_refuses(internal_api, tmp_path):
    from tests.relay.fix_relay import open_relay

    async with open_relay(internal_api, tmp_path, stale_after_s=0.5) as relay:
        client = await relay.open()
        assert await client.ask("select 1") == ["row 1", "done"]
        relay.engine.fake_driver.unreachable = True
        await trio.sleep(0.8)
        (answer,) = await client.ask("select 1")
        assert "connection refused" in answer
