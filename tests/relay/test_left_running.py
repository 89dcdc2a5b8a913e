"""What a killed process left running: the file that says where, and its stop by the next one."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import trio
from tests.polling import until
from tests.relay.fix_relay import open_relay

from querykeep_guard.contracts.session import EndReason
from querykeep_relay.left_running import (
    LeftRunning,
    NativeBook,
    read_native_book,
    stop_left_running,
)

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def session(number: int) -> LeftRunning:
    return LeftRunning(f"s{number}", "c1", bytes([number % 256]) * 12, SINCE)


def test_a_book_tells_what_is_open_however_often_it_changed(tmp_path):
    book = NativeBook(tmp_path / "natives")
    for number in range(5000):
        book.opened(session(number))
        if number % 100:
            book.closed(f"s{number}")
    assert (tmp_path / "natives").stat().st_size < 1024 * 1024
    assert stat.S_IMODE((tmp_path / "natives").stat().st_mode) == 0o600
    assert set(read_native_book(tmp_path / "natives").values()) == {
        session(number) for number in range(0, 5000, 100)
    }
    book.close()


def test_a_line_cut_by_a_kill_is_passed_over(tmp_path):
    book = NativeBook(tmp_path / "natives")
    book.opened(session(1))
    book.opened(session(2))
    book.close()
    os.truncate(tmp_path / "natives", (tmp_path / "natives").stat().st_size - 5)
    assert read_native_book(tmp_path / "natives") == {"s1": session(1)}
    assert read_native_book(tmp_path / "nothing") == {}


def test_a_book_that_cannot_be_written_stops_no_session(tmp_path, caplog):
    book = NativeBook(tmp_path / "no-such-folder" / "natives")
    book.opened(session(1))
    book.closed("s1")
    assert caplog.text.count("may outlive a kill") == 1


async def test_a_driver_that_fails_in_an_unforeseen_way_stops_no_other(
    internal_api, tmp_path, monkeypatch
):
    async with open_relay(internal_api, tmp_path) as relay:
        await relay.open()
        driver = relay.engine.fake_driver
        tried: list[bytes] = []

        def stop(_target, native_id, _age_s):
            tried.append(native_id)
            raise RuntimeError("a secret")

        monkeypatch.setattr(driver, "stop_left_running", stop)
        left = (session(1), replace(session(2), since=SINCE.replace(tzinfo=None)), session(3))
        await stop_left_running(left, relay.services.api, lambda _name: relay.engine)
    assert sorted(tried) == [session(1).native_id, session(3).native_id]


async def test_only_what_ran_is_stopped_and_before_its_end_is_handed_in(internal_api, tmp_path):
    async with open_relay(internal_api, tmp_path) as relay:
        idle, busy = await relay.open(), await relay.open()
        await idle.ask("select 1")
        await relay.target.wait_seen()
        await busy.send("wait")
        await relay.target.wait_seen()
        # What a kill leaves: the files as they are now, without a lock.
        spool = relay.services.spool.folder.path
        left = tmp_path / "left" / spool.name
        left.mkdir(parents=True)
        for path in spool.iterdir():
            (left / path.name).write_bytes(path.read_bytes())
        busy_id = relay.sessions[1].grant.session_id
    closed_by_then: list[int] = []
    internal_api.before = lambda path: (
        closed_by_then.append(len(internal_api.events())) if path.endswith("/target") else None
    )
    with internal_api.lock:
        internal_api.records.clear()
    async with open_relay(internal_api, tmp_path, spool_dir=tmp_path / "left") as relay:
        stopped = relay.engine.fake_driver.stopped
        await until(lambda: bool(stopped))
        await trio.to_thread.run_sync(
            internal_api.wait_for, lambda: len(internal_api.events("SessionClosed")) == 2
        )
    ((target, native_id, age_s),) = stopped
    assert (target, native_id) == (internal_api.target, b"native")
    assert 0 <= age_s < timedelta(hours=1).total_seconds()
    assert closed_by_then == [0]
    (ended,) = (e for e in internal_api.events("StatementCompleted") if e["session_id"] == busy_id)
    assert ended["outcome"] == "unknown"
    assert {e["reason"] for e in internal_api.events("SessionClosed")} == {
        EndReason.INTERNAL_ERROR.value
    }
