"""How changes reach live sessions: policy, ends, cancels, leases; Redis as a source of hints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import trio
from tests.polling import until
from tests.relay.fix_internal_api import make_policy
from tests.relay.fix_relay import open_relay

from querykeep_guard.contracts.policy import GrantScope, StatementKind
from querykeep_relay.hints import CHANNEL


async def in_thread(call, *args):
    return await trio.to_thread.run_sync(call, *args)


async def test_a_changed_policy_binds_the_next_statement(relay):
    client = await relay.open()
    assert await client.ask("select 1") == ["row 1", "done"]
    grant = GrantScope("g2", "nothing much", frozenset({StatementKind.SHOW}))
    relay.api.change_policy(make_policy(grants=(grant,)))
    await until(lambda: relay.sessions[0].policy.version == 2)
    assert (await client.ask("select 1"))[0].startswith("refused SELECT is not allowed")
    await in_thread(relay.api.wait_for, lambda: any(b["since"] == 2 for b in relay.api.beats))


async def test_a_revoked_session_ends_and_is_told_why(relay):
    client = await relay.open()
    session_id = relay.sessions[0].grant.session_id
    relay.api.ended_policies[session_id] = {"reason": "revoked", "message": "the grant was deleted"}
    relay.api.change_policy()
    with trio.fail_after(60):
        assert await client.line() == "bye revoked"
    await relay.wait_ended()
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.ended))
    assert relay.api.ended == [
        {"id": session_id, "reason": "revoked", "detail": "the grant was deleted"}
    ]


async def test_an_administrator_ends_and_cancels(relay):
    client, other = await relay.open(), await relay.open()
    await other.send("wait")
    await relay.target.wait_seen()
    first, second = (session.grant.session_id for session in relay.sessions)
    with relay.api.lock:
        relay.api.ends = [{"session_id": first, "reason": "killed", "message": "enough"}]
        relay.api.cancels = [second]
    with trio.fail_after(60):
        assert await client.line() == "bye killed"
    assert await in_thread(relay.engine.fake_driver.cancel_seen.wait, 60)


async def test_live_sessions_are_reported(relay):
    client = await relay.open()
    await client.send("wait for it")
    await relay.target.wait_seen()

    def is_running() -> bool:
        return any(
            report["state"] == "running" and report["statement"] == "wait for it"
            for beat in relay.api.beats
            for report in beat["sessions"]
        )

    await in_thread(relay.api.wait_for, is_running)


async def test_without_the_api_a_session_lives_for_its_lease_only(relay):
    relay.api.policy = make_policy(lease_s=4.0)
    client = await relay.open()
    relay.api.down = True
    started = trio.current_time()
    assert await client.ask("select 1") == ["row 1", "done"]
    with trio.fail_after(60):
        assert await client.line() == "bye lease_over"
    assert trio.current_time() - started > 0.9


async def test_an_api_that_comes_back_renews_the_lease(relay):
    relay.api.policy = make_policy(lease_s=4.0)
    client = await relay.open()
    for _ in range(2):
        relay.api.down = True
        await trio.sleep(2.2)
        beats = len(relay.api.beats)
        relay.api.down = False
        await in_thread(relay.api.wait_for, lambda seen=beats: len(relay.api.beats) > seen)
    assert await client.ask("select 1") == ["row 1", "done"]


async def test_policies_that_cannot_be_had_confirm_nothing(relay):
    client = await relay.open()

    def fail(path: str) -> None:
        if path == "policies":
            raise ConnectionError

    relay.api.before = fail
    relay.api.change_policy(make_policy(lease_s=1.0))
    confirmed = relay.sessions[0].confirmed_at
    await trio.sleep(0.8)
    assert relay.sessions[0].confirmed_at - confirmed < 0.6
    assert relay.services.feed.version == 1
    relay.api.before = lambda path: None
    await until(lambda: relay.services.feed.version == 2)
    assert await client.ask("select 1") == ["row 1", "done"]


async def test_a_session_opened_with_an_old_policy_is_renewed(relay):
    relay.api.change_policy()
    await until(lambda: relay.services.feed.version == 2)
    relay.api.policy = make_policy(version=1)

    def newer(path: str) -> None:
        if path == "policies":
            relay.api.policy = make_policy(version=2, base_url="new")

    relay.api.before = newer
    await relay.open()
    await until(lambda: relay.sessions[0].policy.base_url == "new")


async def test_an_expired_grant_ends_an_idle_session(relay):
    grant = replace(make_policy().grants[0], valid_until=datetime.now(UTC) + timedelta(seconds=3))
    relay.api.policy = make_policy(grants=(grant,))
    client = await relay.open()
    assert await client.ask("select 1") == ["row 1", "done"]
    with trio.fail_after(60):
        assert await client.line() == "bye expired"


@pytest.mark.parametrize("unix", [False, True])
async def test_a_redis_hint_wakes_the_feed(internal_api, tmp_path, redis_server, unix):
    url = redis_server.unix_url if unix and hasattr(redis_server, "unix_url") else redis_server.url
    async with open_relay(internal_api, tmp_path, heartbeat_s=30.0, redis_url=url) as relay:
        hints = relay.services.hints
        assert hints is not None
        await until(lambda: hints.connected)
        client = await relay.open()
        session_id = relay.sessions[0].grant.session_id
        with relay.api.lock:
            relay.api.ends = [{"session_id": session_id, "reason": "killed", "message": "m"}]
        connection = redis.Redis.from_url(redis_server.url)
        await in_thread(connection.publish, CHANNEL, '{"version": 2, "kind": "user", "id": "u1"}')
        connection.close()
        with trio.fail_after(60):
            assert await client.line() == "bye killed"


async def test_without_redis_the_heartbeat_goes_on(internal_api, tmp_path):
    async with open_relay(internal_api, tmp_path, redis_url="redis://127.0.0.1:1/0") as relay:
        client = await relay.open()
        relay.api.ended_policies[relay.sessions[0].grant.session_id] = {
            "reason": "revoked",
            "message": "m",
        }
        relay.api.change_policy()
        with trio.fail_after(60):
            assert await client.line() == "bye revoked"
