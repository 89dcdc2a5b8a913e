"""Any bytes, in pieces of any size, leave a session whole and show nothing hidden."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.postgresql.lone_session import (
    RESULTS,
    completed,
    extended,
    live,
    make_session,
    plain,
    started,
)

from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.testing import FakeServer, Wired
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    DataRow,
)
from querykeep_engines.postgresql.wire.codes import Frontend

SCRIPT = (
    encode.query("select 1; select 2"),
    encode.query("secret"),
    extended("secret", "s", "p") + encode.SYNC,
    encode.query("refused"),
    encode.query("begin"),
    extended("refused") + extended("select 1") + encode.SYNC,
    encode.query("rollback"),
    encode.query("boom"),
    encode.query(""),
    encode.describe("S", "s") + encode.close("S", "s") + encode.SYNC,
    extended("select 1") + extended("boom") + extended("select 1") + encode.SYNC,
)


@pytest.mark.parametrize("piece", [1, 3, 50])
def test_nothing_depends_on_where_the_network_cuts(piece: int) -> None:
    whole, cut = live(), live(piece=piece)
    for data in SCRIPT:
        assert whole.send(data) == cut.send(data)
    assert whole.server.received == cut.server.received
    assert [(e.statement, e.verdict) for e in started(whole)] == [
        (e.statement, e.verdict) for e in started(cut)
    ]
    assert [(e.outcome, e.rows, e.bytes) for e in completed(whole)] == [
        (e.outcome, e.rows, e.bytes) for e in completed(cut)
    ]


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_any_client_bytes_leave_the_session_whole(parts: list[bytes], signed_in: bool) -> None:
    wired = live() if signed_in else Wired(make_session(), FakeServer(RESULTS), plain)
    for part in parts:
        for command in wired.session.handle(kit.ClientBytes(part)):
            assert isinstance(command, kit.Command)


FRAMES = st.builds(
    lambda kind, payload: encode.frame(kind, payload),
    st.sampled_from(list(Frontend)),
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"", b"select 1\0", b"secret\0", b"S\0", b"P\0", b"\0\0\0\0", b"\0secret\0\0\0"]
        ),
    ),
)


@settings(max_examples=300)
@given(st.lists(FRAMES, max_size=12), st.integers(1, 30))
def test_any_order_of_messages_never_shows_the_secret(frames: list[bytes], piece: int) -> None:
    wired = live(piece=piece)
    messages = wired.send(b"".join(frames) + encode.SYNC)
    for message in messages:
        if isinstance(message, DataRow):
            assert b"a@b" not in message.values


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(1, 30))
def test_any_server_bytes_leave_the_session_whole(data: bytes, piece: int) -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("secret") + extended("secret") + encode.SYNC)
    for start in range(0, len(data), piece):
        for command in wired.session.handle(kit.ServerBytes(data[start : start + piece])):
            if isinstance(command, kit.ToClient):
                assert b"a@b" not in command.data
