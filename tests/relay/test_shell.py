"""What a session may rely on: order, isolation, backpressure, prompt ends, cancel routing."""

from __future__ import annotations

import logging
import socket

import trio
from tests.polling import until
from tests.relay.fix_internal_api import make_policy
from tests.relay.fix_relay import open_relay

from querykeep_guard.contracts.policy import Limits
from querykeep_guard.contracts.session import EndReason


async def in_thread(call, *args):
    return await trio.to_thread.run_sync(call, *args)


async def test_a_statement_runs_and_is_audited_whole(relay):
    client = await relay.open()
    assert await client.ask("select 1") == ["row 1", "done"]
    await client.stream.aclose()
    await relay.wait_ended()
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.events("SessionClosed")))
    types = [r.type for r in relay.api.records]
    assert types == ["SessionOpened", "StatementStarted", "StatementCompleted", "SessionClosed"]
    assert relay.api.events("StatementStarted")[0]["verdict"] == "allowed"
    assert relay.api.events("SessionClosed")[0]["reason"] == "client_closed"
    assert relay.ended == [EndReason.CLIENT_CLOSED]


async def test_nothing_reaches_the_target_before_it_is_in_the_spool(relay):
    on_disk: list[bool] = []

    def look(text: str) -> None:
        data = b"".join(p.read_bytes() for p in relay.services.spool.folder.segments())
        on_disk.append(text.encode() in data)

    relay.target.on_statement = look
    client = await relay.open()
    for number in range(20):
        await client.ask(f"select {number}")
    assert on_disk == [True] * 20


async def test_a_refused_statement_never_reaches_the_target(relay):
    client = await relay.open()
    answer = await client.ask("drop everything")
    assert answer[0].startswith("refused DROP is not allowed")
    assert relay.target.received == []
    assert await client.ask("select 1") == ["row 1", "done"]
    await in_thread(relay.api.wait_for, lambda: len(relay.api.events("StatementStarted")) == 2)
    assert relay.api.events("StatementStarted")[0]["verdict"] == "denied"


async def test_a_text_that_cannot_be_parsed_is_refused(relay):
    client = await relay.open()
    assert (await client.ask("syntax error"))[0].startswith("refused syntax error")
    assert relay.target.received == []


async def test_wrong_password_is_refused_and_recorded(relay):
    client = await relay.connect()
    assert await client.login("ann", "nope") == "refused bad_credentials"
    assert await client.line() == "(end)"
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.events("SignInRefused")))
    refused = relay.api.events("SignInRefused")[0]
    assert (refused["username"], refused["client"]["address"]) == ("ann", "10.0.0.1")


async def test_sign_in_is_refused_while_the_api_is_away(relay):
    relay.api.down = True
    client = await relay.connect()
    assert await client.login() == "refused policy_unreachable"


async def test_an_unreachable_target_is_told(relay):
    from dataclasses import replace

    relay.api.target = replace(relay.api.target, port=1)
    client = await relay.connect()
    assert await client.login() == "unreachable tcp"
    await relay.wait_ended()
    assert relay.ended == [EndReason.TARGET_UNREACHABLE]


async def test_a_fault_ends_one_session_only_and_leaks_no_text(relay, caplog):
    bad, good = await relay.open(), await relay.open()
    with caplog.at_level(logging.ERROR):
        await bad.send("boom secret-in-the-text")
        assert await bad.line() == "(end)"
    await relay.wait_ended()
    assert relay.ended == [EndReason.INTERNAL_ERROR]
    assert "RuntimeError" in caplog.text
    assert "secret-in-the-text" not in caplog.text
    assert await good.ask("select 1") == ["row 1", "done"]


async def test_a_slow_reader_stops_the_target_not_the_memory(relay):
    client = await relay.open(small=True)
    await client.send("rows 200 1000000")
    await relay.target.wait_seen()
    session = relay.sessions[0]
    highest, before = 0, -1
    while relay.target.sent_bytes != before:
        before = relay.target.sent_bytes
        for _ in range(50):
            await trio.sleep(0.002)
            highest = max(highest, session._client_out.waiting_bytes)
    assert highest < 2 * 1024 * 1024
    assert relay.target.sent_bytes < 40_000_000
    received = 0
    while data := await client.stream.receive_some(1 << 20):
        received += len(data)
        if data.endswith(b"done\n"):
            break
    assert received == 200 * (5 + 1_000_000) + 5


async def test_a_kill_reaches_a_session_whose_client_does_not_read(relay):
    client = await relay.open(small=True)
    await client.send("rows 200 1000000")
    await relay.target.wait_seen()
    with trio.fail_after(60):
        relay.sessions[0].end(EndReason.KILLED, "an administrator ended it")
        await relay.wait_ended()
    assert relay.ended == [EndReason.KILLED]
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.events("SessionClosed")))
    assert relay.api.events("StatementCompleted")[0]["outcome"] == "killed"
    assert client is not None


async def test_results_flow_while_the_target_takes_no_input(relay):
    """A pipeline that fills both directions must not stand still."""
    client = await relay.open()
    count = 3000

    async def send() -> None:
        for number in range(count):
            await client.send(f"rows 1 {1000 + number % 7} " + "y" * 500)

    done = 0
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while done < count:
                if await client.line() == "done":
                    done += 1
    assert len(relay.target.received) == count


async def test_client_gone_mid_result_cancels_at_the_target(relay):
    client = await relay.open()
    await client.send("wait")
    await relay.target.wait_seen()
    await client.stream.aclose()
    await relay.wait_ended()
    assert await in_thread(relay.engine.fake_driver.cancel_seen.wait, 60)
    assert set(relay.engine.fake_driver.cancelled) == {b"native"}
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.events("StatementCompleted")))
    assert relay.api.events("StatementCompleted")[0]["outcome"] == "cancelled"


async def test_a_cancel_key_reaches_its_own_session_only(relay):
    first, second = await relay.connect(), await relay.open()
    key = (await first.login()).split(" ")[1]
    await first.send("wait")
    await relay.target.wait_seen()
    stranger = await relay.connect()
    await stranger.send("cancel unknown-key")
    assert await stranger.line() == "(end)"
    assert relay.engine.fake_driver.cancelled == []
    canceller = await relay.connect()
    await canceller.send(f"cancel {key}")
    assert await canceller.line() == "(end)"
    assert await in_thread(relay.engine.fake_driver.cancel_seen.wait, 60)
    relay.target.released.set()
    assert await first.line() == "cancelled"
    assert await second.ask("select 1") == ["row 1", "done"]


async def test_statement_timeout_cancels_and_idle_timeout_ignores_what_runs(relay):
    relay.api.policy = make_policy(limits=Limits(statement_timeout_s=0.3, idle_timeout_s=0.15))
    client = await relay.open()
    await client.send("wait")
    assert await in_thread(relay.engine.fake_driver.cancel_seen.wait, 60)
    assert relay.ended == []
    relay.target.released.set()
    assert await client.line() == "cancelled"
    assert await client.line() == "bye idle"


async def test_session_timeout(relay):
    relay.api.policy = make_policy(limits=Limits(session_timeout_s=0.2))
    client = await relay.open()
    assert await client.line() == "bye session_limit"


async def test_sign_in_that_never_comes_ends(internal_api, tmp_path):
    async with open_relay(internal_api, tmp_path, sign_in_timeout_s=0.2) as relay:
        client = await relay.connect()
        with trio.fail_after(60):
            assert await client.line() == "bye idle"


async def test_garbage_is_answered_and_closed(relay):
    client = await relay.connect()
    await client.stream.send_all(b"\x00\xff\xfe garbage \x00\n")
    assert await client.line() == "garbage"
    assert await client.line() == "(end)"


async def test_drain_ends_idle_sessions_and_lets_busy_ones_finish(relay):
    idle, busy = await relay.open(), await relay.open()
    await busy.send("wait")
    await relay.target.wait_seen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: relay.services.drain(limit_s=10, message="restart"))
        assert await idle.line() == "bye drained"
        relay.target.released.set()
        assert await busy.line() == "cancelled"
        assert await busy.line() == "bye drained"


async def test_a_cancel_that_found_nothing_is_sent_again_while_the_statement_runs(relay):
    client = await relay.connect()
    key = (await client.login()).split(" ")[1]
    await client.send("wait")
    await relay.target.wait_seen()
    canceller = await relay.connect()
    await canceller.send(f"cancel {key}")
    await until(lambda: len(relay.engine.fake_driver.cancelled) >= 3)
    relay.target.released.set()
    assert await client.line() == "cancelled"
    await client.send("select 1")
    assert await client.line() == "row 1"


async def test_a_target_that_takes_nothing_more_is_heard_out(internal_api, tmp_path):
    """What it said last explains why: a failed send must not throw away what was not yet read."""
    async with open_relay(internal_api, tmp_path, close_grace_s=30.0) as relay:
        client = await relay.open()
        await client.send("wait")
        await relay.target.wait_seen()
        side = relay.sessions[0]._target
        assert side.transport is not None
        side.transport.socket.shutdown(socket.SHUT_WR)
        await client.send("select 1")
        await until(lambda: side._out is not None and side._out.broken)
        relay.target.released.set()
        assert await client.line() == "cancelled"
        assert await client.line() == "(end)"
        await client.stream.aclose()
        await relay.wait_ended()
        assert relay.ended == [EndReason.TARGET_CLOSED]
