"""The audit spool: nothing lost by a kill, bounded, recovered, handed in at least once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import trio
from tests.relay.fix_relay import open_relay

from querykeep_guard.audit.chain import encode_frame, make_record, scan_frames, verify_records
from querykeep_guard.contracts.audit import (
    AppliedRule,
    Outcome,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.session import ClientInfo, EndReason, Route
from querykeep_relay import frames
from querykeep_relay.frames import make_frame
from querykeep_relay.recovery import adopt_spools
from querykeep_relay.segments import SpoolFolder, SpoolLockedError
from querykeep_relay.spool import Spool, SpoolFullError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def in_thread(call, *args):
    return await trio.to_thread.run_sync(call, *args)


def started(statement: str = "select 1", statement_id: str = "s1") -> StatementStarted:
    return StatementStarted(
        statement_id, "session-1", NOW, "u1", "ann", Route.AGENTLESS, ClientInfo("10.0.0.1"),
        "c1", "shop", "db", statement, "select", (), Verdict.ALLOWED, (), "d", 1, "f",
    )  # fmt: skip


def make_spool(path: Path, limit_bytes: int = 1 << 30, segment_bytes: int = 1 << 20) -> Spool:
    return Spool(
        SpoolFolder(path / "sp1"),
        "sp1",
        now=lambda: NOW,
        new_id=lambda: uuid.uuid4().hex,
        limit_bytes=limit_bytes,
        segment_bytes=segment_bytes,
    )


def adopt(path: Path) -> list[Spool]:
    return adopt_spools(
        path, now=lambda: NOW, new_id=lambda: uuid.uuid4().hex, segment_bytes=1 << 20
    )


def records(folder: Path) -> list:
    return [
        record
        for path in sorted(folder.glob("*.seg"))
        for _, record in scan_frames(path.read_bytes())
    ]


def test_an_appended_event_is_in_the_file_at_once(tmp_path):
    spool = make_spool(tmp_path)
    spool.append(started("select 'now'"))
    assert b"select 'now'" in (tmp_path / "sp1" / "00000001.seg").read_bytes()
    spool.close()


@pytest.mark.parametrize(
    "event",
    [
        started("select '한글', \"q\", \\ \u2028 \x00 \U0001f600"),
        replace(
            started("update t set a = 1"),
            client=ClientInfo("::1", 'psql "한"', "15", "host"),
            objects=("public.t", 'public."한글"'),
            rules=(
                AppliedRule("g1", "읽기", "grant", "grant"),
                AppliedRule("m", "n", "k", "e", "M-1"),
            ),
            verdict=Verdict.DENIED,
            error="no \\ \n",
            error_code="42501",
            protocol="extended",
            parameters=3,
            started_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=9))),
        ),
        StatementCompleted("s1", "session-1", NOW, Outcome.OK, 0, 0, 0.0),
        StatementCompleted("s1", "session-1", NOW, Outcome.ERROR, 1, 2, 1.5, "err", "42601"),
        SessionOpened("s", NOW, "u", "ann", Route.AGENT, ClientInfo("::1", "psql"), "c", "n", True),
        SessionClosed("s", NOW, EndReason.IDLE, 1, 2, 3, "why"),
        SignInRefused(NOW, "c1", "ann", Route.EDITOR, ClientInfo("10.0.0.1"), "locked", ""),
    ],
)
def test_the_fast_frame_is_the_guards_own_byte_for_byte(event):
    for prev in (bytes(32), bytes(range(32))):
        record = make_record("sp-1", 7, "e-1", NOW, event, prev)
        assert make_frame("sp-1", 7, "e-1", NOW, event, prev) == (
            record.hash,
            encode_frame(record),
        )


def test_frames_remember_no_long_values():
    names = tuple(f"public.{'t' * 60}{number}" for number in range(1000))
    for number in range(20):
        event = replace(started("select 1"), objects=(*names, str(number)))
        make_frame("sp-1", 7, "e-1", NOW, event, bytes(32))
    held = sum(len(text) for _, text in frames._known.values())
    assert held < len(frames._known) * 4096


def test_the_chain_goes_through_segments(tmp_path):
    spool = make_spool(tmp_path, segment_bytes=2000)
    for number in range(20):
        spool.append(started(f"select {number}"))
    spool.close()
    found = records(tmp_path / "sp1")
    assert len(list((tmp_path / "sp1").glob("*.seg"))) > 3
    assert [r.sequence for r in found] == list(range(1, 21))
    assert list(verify_records(found)) == []


def test_a_full_spool_refuses_statements_but_takes_their_ends(tmp_path):
    spool = make_spool(tmp_path, limit_bytes=3000)
    for number in range(3):
        spool.append(started(f"select {number}", f"s{number}"))
    with pytest.raises(SpoolFullError, match="QUERYKEEP_SPOOL_LIMIT_BYTES"):
        spool.append(started("select 4" + " " * 1000, "s4"))
    assert spool.is_full
    size = spool.size_bytes
    spool.append(StatementCompleted("s1", "session-1", NOW, Outcome.OK, 1, 1, 1.0))
    assert spool.size_bytes > size
    spool.close()
    assert list(verify_records(records(tmp_path / "sp1"))) == []


def test_two_processes_never_write_one_spool(tmp_path):
    spool = make_spool(tmp_path)
    with pytest.raises(SpoolLockedError):
        SpoolFolder(tmp_path / "sp1")
    assert adopt(tmp_path) == []
    spool.close()


CHILD = """
import os, signal, sys, uuid
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.relay.test_spool import make_spool, started
spool = make_spool(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    spool.append(started("select %d" % number, "s%d" % number))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_loses_nothing_and_open_statements_become_unknown(tmp_path):
    root = str(Path(__file__).parents[2])
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(root=root), str(tmp_path), "50"], check=False
    )
    assert child.returncode == -9
    (spool,) = adopt(tmp_path)
    spool.close()
    found = records(tmp_path / "sp1")
    assert list(verify_records(found)) == []
    kinds = [r.type for r in found]
    assert kinds.count("StatementStarted") == 50
    completed = [r.payload for r in found if r.type == "StatementCompleted"]
    assert {c["statement_id"] for c in completed} == {f"s{n}" for n in range(50)}
    assert {c["outcome"] for c in completed} == {"unknown"}


@pytest.mark.parametrize("cut", [1, 5, 12, 200])
def test_a_torn_tail_is_cut_and_kept_beside(tmp_path, cut):
    spool = make_spool(tmp_path)
    for number in range(3):
        spool.append(started(f"select {number}", f"s{number}"))
    spool.close()
    path = tmp_path / "sp1" / "00000001.seg"
    os.truncate(path, path.stat().st_size - cut)
    (again,) = adopt(tmp_path)
    again.close()
    found = records(tmp_path / "sp1")
    assert list(verify_records(found)) == []
    assert [r.payload["statement"] for r in found if r.type == "StatementStarted"] == [
        "select 0",
        "select 1",
    ]
    assert path.with_suffix(".torn").stat().st_size > 0


def test_damage_in_the_middle_is_evidence_and_shows_as_a_gap(tmp_path):
    spool = make_spool(tmp_path)
    for number in range(5):
        spool.append(started(f"select {number}", f"s{number}"))
    spool.close()
    path = tmp_path / "sp1" / "00000001.seg"
    data = bytearray(path.read_bytes())
    data[data.index(b"select 2") + 7] ^= 1
    path.write_bytes(data)
    (again,) = adopt(tmp_path)
    again.close()
    kept = path.with_suffix(".torn").read_bytes()
    assert b"select 4" in kept


async def test_machine_durability_waits_for_the_disk(tmp_path):
    spool = make_spool(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run_sync)
        sequence = spool.append(started())
        with trio.fail_after(60):
            await spool.synced(sequence)
        assert spool._synced_sequence == sequence
        nursery.cancel_scope.cancel()
    spool.close()


async def test_a_full_spool_ends_the_session_and_runs_nothing(internal_api, tmp_path):
    internal_api.accept_records = False
    async with open_relay(internal_api, tmp_path, spool_limit_bytes=4000) as relay:
        client = await relay.open()
        answers = []
        for number in range(20):
            answers = await client.ask(f"select {number} " + "x" * 200)
            if answers[0].startswith("bye"):
                break
        assert answers == ["bye spool_full"]
        await relay.wait_ended()
        recorded = {
            r.payload["statement"]
            for r in records(relay.services.spool.folder.path)
            if r.type == "StatementStarted"
        }
        assert set(relay.target.received) == recorded


async def test_records_wait_for_the_api_and_are_trimmed_after(internal_api, tmp_path):
    async with open_relay(internal_api, tmp_path, segment_bytes=4000) as relay:
        internal_api.accept_records = False
        client = await relay.open()
        for number in range(30):
            await client.ask(f"select {number}")
        folder = relay.services.spool.folder
        assert len(folder.segments()) > 5
        internal_api.accept_records = True
        with trio.fail_after(60):
            await relay.services.shipper.flushed()
        assert len(folder.segments()) == 1
        assert len(internal_api.events("StatementStarted")) == 30
        assert list(verify_records(internal_api.records)) == []


async def test_what_the_api_never_got_is_handed_in_by_the_next_process(internal_api, tmp_path):
    internal_api.accept_records = False
    async with open_relay(internal_api, tmp_path, flush_s=0.2) as relay:
        client = await relay.open()
        await client.ask("select 1")
    internal_api.accept_records = True
    async with open_relay(internal_api, tmp_path) as relay:
        await in_thread(
            internal_api.wait_for, lambda: len(internal_api.events("SessionClosed")) == 1
        )
    assert [r.type for r in internal_api.records if r.type.startswith("Statement")] == [
        "StatementStarted",
        "StatementCompleted",
    ]
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_large_record_goes_alone_and_whole(relay):
    client = await relay.open()
    text = "select " + "x" * 3_000_000
    await client.ask(text)
    await in_thread(relay.api.wait_for, lambda: bool(relay.api.events("StatementCompleted")))
    assert relay.api.events("StatementStarted")[0]["statement"] == text
    assert 1 in relay.api.batches
