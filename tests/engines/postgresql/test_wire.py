"""The wire: every message round trips, one byte at a time equals all at once, lengths are bounded
before anything is held, and any bytes parse or raise RemoteProtocolError."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_engines.kit.session import RemoteProtocolError, WireLimits
from querykeep_engines.postgresql.wire import backend, encode, frontend, startup
from querykeep_engines.postgresql.wire.codes import Auth, Backend, Frontend
from querykeep_engines.postgresql.wire.decode import BackendDecoder, Frame, FrontendDecoder, Run
from querykeep_engines.postgresql.wire.states import TABLE, Phase

FRONTEND = {
    encode.query("select 1"): frontend.Query("select 1"),
    encode.parse("s", "select $1", (23, 0)): frontend.Parse("s", "select $1", (23, 0)),
    encode.bind("p", "s", (b"x", None), (1,), (0, 1)): frontend.Bind(
        "p", "s", (1,), (b"x", None), (0, 1)
    ),
    encode.describe("S", "s"): frontend.Describe("S", "s"),
    encode.close("P", "p"): frontend.Close("P", "p"),
    encode.execute("p", 7): frontend.Execute("p", 7),
    encode.SYNC: frontend.Sync(),
    encode.FLUSH: frontend.Flush(),
    encode.TERMINATE: frontend.Terminate(),
    encode.copy_data(b"\0x"): frontend.CopyData(b"\0x"),
    encode.COPY_DONE: frontend.CopyDone(),
    encode.copy_fail("no"): frontend.CopyFail("no"),
    encode.frame(Frontend.FUNCTION_CALL, b"\0\0\0\7"): frontend.FunctionCall(7),
    encode.password(b"pw\0"): frontend.PasswordMessage(b"pw\0"),
}
COLUMN = backend.Field("이름", 4_000_000_000, 3, 25, -1, 24, 1)
BACKEND = {
    encode.authentication(Auth.MD5, b"salt"): backend.Authentication(5, b"salt"),
    encode.backend_key_data(-2, b"k" * 32): backend.BackendKeyData(-2, b"k" * 32),
    encode.negotiate_protocol_version(2, ("_pq_.a",)): backend.NegotiateProtocolVersion(
        2, ("_pq_.a",)
    ),
    encode.parameter_status("a", "b"): backend.ParameterStatus("a", "b"),
    encode.ready_for_query("T"): backend.ReadyForQuery("T"),
    encode.row_description((COLUMN,)): backend.RowDescription((COLUMN,)),
    encode.parameter_description((1, 2)): backend.ParameterDescription((1, 2)),
    encode.data_row((b"x", None)): backend.DataRow((b"x", None)),
    encode.command_complete("SELECT 1"): backend.CommandComplete("SELECT 1"),
    encode.error_response((("C", "42501"), ("M", "no"))): backend.ErrorResponse(
        (("C", "42501"), ("M", "no"))
    ),
    encode.notice_response((("M", "hi"),)): backend.NoticeResponse((("M", "hi"),)),
    encode.notification(1, "c", "p"): backend.NotificationResponse(1, "c", "p"),
    encode.copy_response(Backend.COPY_IN_RESPONSE, (0, 1)): backend.CopyResponse(
        Backend.COPY_IN_RESPONSE, 0, (0, 1)
    ),
    encode.PARSE_COMPLETE: backend.Plain(Backend.PARSE_COMPLETE),
    encode.NO_DATA: backend.Plain(Backend.NO_DATA),
}


def frontend_frames(parts: Iterable[bytes], limits: WireLimits | None = None) -> list[Frame]:
    decoder = FrontendDecoder(limits or WireLimits())
    found: list[Frame] = []
    for part in parts:
        decoder.feed(part)
        found.extend(decoder.frames())
    assert decoder.buffered == 0
    return found


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_frontend_messages_round_trip_in_any_pieces(size: int) -> None:
    data = b"".join(FRONTEND)
    frames = frontend_frames(pieces(data, size))
    assert [frontend.read_frontend(f.kind, f.payload) for f in frames] == list(FRONTEND.values())
    assert b"".join(frame.raw for frame in frames) == data


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_backend_messages_round_trip_in_any_pieces(size: int) -> None:
    data = b"".join(BACKEND)
    decoder = BackendDecoder(WireLimits())
    found = []
    for part in pieces(data, size):
        decoder.feed(part)
        for item in decoder.items():
            payload = item.payload if isinstance(item, Frame) else item.data[5:]
            found.append(backend.read_backend(item.kind, payload))
    assert found == list(BACKEND.values())


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=30),
    st.integers(1, 60),
    st.booleans(),
)
def test_rows_come_as_runs_with_every_byte_and_the_right_count(
    values: list[bytes], size: int, partial: bool
) -> None:
    data = b"".join(encode.data_row((value,)) for value in values)
    decoder = BackendDecoder(WireLimits())
    decoder.pass_partial = lambda: partial
    seen, count = b"", 0
    for part in pieces(data, size):
        decoder.feed(part)
        for item in decoder.items():
            assert isinstance(item, Run)
            seen += item.data
            count += item.count
        if partial:
            assert decoder.buffered < 5
    assert seen == data
    assert count == len(values)
    assert not decoder.inside_message


def test_huge_row_is_never_held_when_parts_may_pass() -> None:
    decoder = BackendDecoder(WireLimits())
    decoder.pass_partial = lambda: True
    decoder.feed(struct.pack("!ci", b"D", 900_000_000))
    for _ in range(10):
        decoder.feed(b"x" * 100_000)
        assert sum(len(item.data) for item in decoder.items() if isinstance(item, Run)) > 0
        assert decoder.buffered == 0


@pytest.mark.parametrize(
    "head",
    [
        b"Q" + struct.pack("!i", 3),
        b"Q" + struct.pack("!i", -1),
        b"Q" + struct.pack("!i", 2_000_000_000),
        b"S" + struct.pack("!i", 5),
        b"p" + struct.pack("!i", 70_000),
        b"\0" + struct.pack("!i", 8),
        b"z",
    ],
)
def test_bad_frontend_lengths_are_refused_from_the_head_alone(head: bytes) -> None:
    decoder = FrontendDecoder(WireLimits())
    decoder.feed(head)
    with pytest.raises(RemoteProtocolError):
        list(decoder.frames())


def test_fifty_megabyte_statement_passes() -> None:
    text = "select '" + "x" * (50 * 1024 * 1024) + "'"
    frames = frontend_frames(pieces(encode.query(text), 1 << 20))
    assert frontend.read_query(frames[0].payload).text == text


@pytest.mark.parametrize(
    "payload",
    [
        struct.pack("!i", 7),
        struct.pack("!i", 10_001),
        struct.pack("!i", -4),
    ],
)
def test_bad_startup_lengths_are_refused(payload: bytes) -> None:
    decoder = FrontendDecoder(WireLimits())
    decoder.feed(payload)
    with pytest.raises(RemoteProtocolError):
        decoder.next_startup()


@pytest.mark.parametrize(
    "payload",
    [
        struct.pack("!HH", 2, 0) + b"\0",
        struct.pack("!HH", 3, 0) + b"user\0a",
        struct.pack("!HH", 3, 0) + b"user\0a\0",
        struct.pack("!HH", 3, 0) + b"user\0a\0\0x",
        struct.pack("!HH", 3, 0) + b"user\0a\0user\0b\0\0",
        struct.pack("!ii", 80877102, 1) + b"abc",
        struct.pack("!i", 80877103) + b"x",
    ],
)
def test_bad_startup_packets_are_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        startup.read_startup(payload)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_client_bytes_parse_or_raise(data: bytes, size: int) -> None:
    decoder = FrontendDecoder(WireLimits())
    try:
        for part in pieces(data, size):
            decoder.feed(part)
            for frame in decoder.frames():
                frontend.read_frontend(frame.kind, frame.payload)
    except RemoteProtocolError:
        return


@given(st.sampled_from(list(Frontend)), st.binary(max_size=120))
def test_any_client_payload_parses_or_raises(kind: Frontend, payload: bytes) -> None:
    for read in (
        lambda: frontend.read_frontend(kind, payload),
        lambda: frontend.read_bind_head(payload),
        lambda: frontend.read_sasl_initial(payload),
        lambda: startup.read_startup(payload),
    ):
        try:
            read()
        except RemoteProtocolError:
            continue


@given(st.sampled_from(list(Backend)), st.binary(max_size=120))
def test_any_server_payload_parses_or_raises(kind: Backend, payload: bytes) -> None:
    try:
        message = backend.read_backend(kind, payload)
        if isinstance(message, backend.Authentication):
            assert message.mechanisms is not None
    except RemoteProtocolError:
        return


@given(st.binary(max_size=300), st.integers(1, 40), st.booleans())
def test_any_server_bytes_parse_or_raise(data: bytes, size: int, partial: bool) -> None:
    decoder = BackendDecoder(WireLimits())
    decoder.pass_partial = lambda: partial
    try:
        for part in pieces(data, size):
            decoder.feed(part)
            for item in decoder.items():
                if isinstance(item, Frame):
                    backend.read_backend(item.kind, item.payload)
    except RemoteProtocolError:
        return


def test_state_table_speaks_of_every_message_once_signed_in() -> None:
    for kind in Frontend:
        if kind is not Frontend.PASSWORD:
            assert (Phase.READY, kind) in TABLE
            assert (Phase.SKIPPING, kind) in TABLE
        else:
            assert (Phase.READY, kind) not in TABLE


def test_secrets_do_not_show() -> None:
    shown = repr(frontend.PasswordMessage(b"geheim")) + repr(backend.BackendKeyData(1, b"geheim"))
    assert "geheim" not in shown + repr(startup.CancelRequest(1, b"geheim"))
