"""The hash chain finds the exact place of every change; frames survive a torn tail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_guard.audit.chain import (
    GENESIS_HASH,
    FrameError,
    encode_frame,
    event_of,
    make_record,
    scan_frames,
    verify_records,
)
from querykeep_guard.contracts.audit import SignInRefused, SpoolRecord
from querykeep_guard.contracts.session import ClientInfo, Route

AT = datetime(2026, 11, 24, tzinfo=UTC)


def chain(count: int) -> list[SpoolRecord]:
    records: list[SpoolRecord] = []
    prev = GENESIS_HASH
    for number in range(1, count + 1):
        event = SignInRefused(
            AT, "c1", f"user{number}", Route.AGENTLESS, ClientInfo("127.0.0.1"), "bad_credentials"
        )
        record = make_record("s1", number, f"e{number}", AT, event, prev)
        records.append(record)
        prev = record.hash
    return records


def places(records: list[SpoolRecord]) -> set[tuple[int, str]]:
    return {(finding.sequence, finding.kind) for finding in verify_records(records)}


def test_an_untouched_chain_has_no_finding() -> None:
    assert places(chain(5)) == set()
    assert event_of(chain(1)[0]).username == "user1"  # type: ignore[union-attr]


def test_a_changed_record_is_found_at_its_place() -> None:
    records = chain(5)
    records[2] = replace(records[2], payload={**records[2].payload, "username": "mallory"})
    assert places(records) == {(3, "changed")}


def test_a_removed_record_is_found_at_its_place() -> None:
    records = chain(5)
    del records[2]
    assert places(records) == {(3, "gap")}


def test_an_inserted_record_is_found_at_its_place() -> None:
    records = chain(5)
    forged = make_record("s1", 3, "x", AT, event_of(records[2]), records[1].hash)
    records.insert(3, forged)
    assert (3, "duplicate") in places(records)


def test_a_rewritten_record_with_a_fitting_hash_breaks_the_next_link() -> None:
    records = chain(5)
    event = SignInRefused(AT, "c1", "m", Route.AGENTLESS, ClientInfo("127.0.0.1"), "bad")
    records[2] = make_record("s1", 3, "e3", AT, event, records[1].hash)
    assert places(records) == {(4, "relinked")}


@given(cut=st.integers(min_value=1, max_value=200))
def test_a_torn_tail_is_cut_at_the_last_whole_frame(cut: int) -> None:
    first, second = (encode_frame(record) for record in chain(2))
    data = first + second[: min(cut, len(second) - 1)]
    scanned = scan_frames(data)
    assert next(scanned)[0] == len(first)
    with pytest.raises(FrameError) as caught:
        next(scanned)
    assert caught.value.offset == len(first)


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_any_flipped_bit_is_seen(place: int, bit: int) -> None:
    frame = bytearray(encode_frame(chain(1)[0]))
    frame[place % len(frame)] ^= 1 << bit
    with pytest.raises(FrameError):
        list(scan_frames(bytes(frame)))
