"""The compressed protocol's frames: cut anywhere, bounded, damaged."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.wire.compression import Compression


def frame(body: bytes, plain: int, sequence: int = 0) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence]) + plain.to_bytes(3, "little") + body


@given(
    st.lists(st.binary(max_size=300) | st.integers(0, 5000).map(lambda n: b"r" * n), max_size=8),
    st.integers(1, 50),
)
def test_what_one_side_packs_the_other_unpacks_in_any_cut(parts, cut) -> None:
    sender, receiver = Compression(1 << 20), Compression(1 << 20)
    stream = b"".join(sender.pack(part) for part in parts)
    cuts = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    assert b"".join(map(receiver.unpack, cuts)) == b"".join(parts)


def test_short_data_goes_as_it_is_and_long_data_shrinks() -> None:
    assert Compression(1 << 20).pack(b"x" * 49) == frame(b"x" * 49, 0)
    packed = Compression(1 << 20).pack(b"x" * 100_000)
    assert len(packed) < 1000
    assert int.from_bytes(packed[4:7], "little") == 100_000


def test_more_than_a_frame_holds_is_cut_into_frames() -> None:
    big = bytes(0xFFFFFF + 5)
    packed = Compression(1 << 26).pack(big)
    assert Compression(1 << 26).unpack(packed) == big


def test_answers_are_numbered_after_the_frame_that_asked() -> None:
    one = Compression(1 << 20)
    assert one.unpack(frame(b"\x01\x00\x00\x00\x0e", 0, sequence=7)) == b"\x01\x00\x00\x00\x0e"
    assert one.pack(b"a")[3] == 8
    assert one.pack(b"b")[3] == 9


@pytest.mark.parametrize(
    "data",
    [
        frame(b"no zlib at all", 100),
        frame(zlib.compress(b"x" * 1000), 999),
        frame(zlib.compress(b"x" * 1000), 1001),
        frame(zlib.compress(b"x" * 1000)[:-9], 1000),
        frame(zlib.compress(bytes(5000)), 5000) * 3,
    ],
)
def test_damaged_lying_or_unfolding_frames_end_the_session(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Compression(10_000).unpack(data)
