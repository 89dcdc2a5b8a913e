"""What drivers and pools use beside plain queries: change of user, compression, MariaDB's own
extensions, binary values inside a text."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import mysql.connector
import pymysql
import pytest
from tests.engines.mysql.harness import MysqlGoverned, governed_by
from tests.engines.mysql.test_session import connect, direct, mask_by_text, target
from tests.engines.postgresql.harness import PASSWORD, allow, session_policy

from querykeep_demo.shop import Shop
from querykeep_engines.mysql.wire.flags import Capability, MariadbCapability
from querykeep_engines.mysql.wire.handshake import (
    HandshakeResponse,
    decode_greeting,
    encode_response,
)
from querykeep_engines.mysql.wire.messages import ErrorPacket, decode_column, decode_error, is_eof
from querykeep_engines.mysql.wire.packets import Packet, PacketReader, encode_packet
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import Limits
from querykeep_guard.contracts.session import EndReason, Target
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import SessionContext

__all__ = ["target"]


@pytest.fixture
def governed(target: Target) -> Iterator[MysqlGoverned]:
    with governed_by(target, mask_by_text, client_auth=True) as server:
        yield server


class RawClient:
    """Speaks packets; what it uses of MariaDB's own capabilities is told at the start."""

    def __init__(self, port: int, mariadb: MariadbCapability) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.reader = PacketReader(1 << 24, "server")
        self.greeting = decode_greeting(self.next())
        flags = (
            Capability.PROTOCOL_41
            | Capability.SECURE_CONNECTION
            | Capability.PLUGIN_AUTH
            | Capability.CONNECT_WITH_DB
            | Capability.PLUGIN_AUTH_LENENC
        )
        response = HandshakeResponse(
            flags, 45, "analyst", b"", "shop", "mysql_native_password", mariadb=mariadb
        )
        self.send(encode_response(response, 1 << 24), 1)
        assert self.next()[:1] == b"\x00"

    def packet(self) -> Packet:
        while (packet := self.reader.next()) is None:
            data = self.socket.recv(65536)
            assert data, "the session ended"
            self.reader.feed(data)
        return packet

    def next(self) -> bytes:
        return self.packet().payload

    def send(self, payload: bytes, sequence: int = 0) -> None:
        self.socket.sendall(encode_packet(payload, sequence))

    def ask(self, payload: bytes) -> bytes:
        self.send(payload)
        return self.next()


@pytest.fixture
def raw(target: Target) -> Iterator[RawClient]:
    """A client that has signed in and uses all that MariaDB's clients are offered."""
    with governed_by(target, mask_by_text) as server:
        wanted = MariadbCapability.EXTENDED_METADATA | MariadbCapability.BULK_OPERATIONS
        server.server_version = "10.11.19-MariaDB"
        client = RawClient(server.port, wanted)
        with client.socket:
            yield client


def one_value(connection: Any, text: str) -> Any:
    with closing(connection.cursor()) as cursor:
        cursor.execute(text)
        ((value,),) = cursor.fetchall()
        return value


@pytest.mark.parametrize("options", [{}, {"compress": True}])
def test_a_connector_resets_changes_user_and_compresses(governed, options) -> None:
    connection = mysql.connector.connect(
        host="127.0.0.1",
        port=governed.port,
        user="analyst",
        password=PASSWORD,
        database="shop",
        ssl_disabled=True,
        use_pure=True,
        collation="utf8mb4_general_ci",
        **options,
    )
    with closing(connection):
        assert one_value(connection, "SELECT REPEAT('ab', 200000)") == "ab" * 200_000
        cursor = connection.cursor()
        cursor.execute("CREATE TEMPORARY TABLE mine (id INT)")
        cursor.execute("SET @kept = 1")
        if options:  # the connector itself refuses the change of user then
            connection.cmd_reset_connection()
        else:
            connection.cmd_change_user("analyst", PASSWORD, "shop")
        assert one_value(connection, "SELECT @kept") is None
        assert one_value(connection, "SELECT DATABASE()") == "shop"
        with pytest.raises(mysql.connector.errors.ProgrammingError, match="mine"):
            one_value(connection, "SELECT COUNT(*) FROM mine")


@pytest.mark.parametrize(("user", "password"), [("analyst", "wrong"), ("somebody", PASSWORD)])
def test_a_change_to_another_user_or_password_is_refused(governed, user, password) -> None:
    connection = mysql.connector.connect(
        host="127.0.0.1",
        port=governed.port,
        user="analyst",
        password=PASSWORD,
        ssl_disabled=True,
        use_pure=True,
        collation="utf8mb4_general_ci",
    )
    with closing(connection):
        with pytest.raises(mysql.connector.errors.ProgrammingError) as refused:
            connection.cmd_change_user(user, password, "shop")
        assert refused.value.errno == 1045


def test_binary_values_inside_a_text_pass(target: Target) -> None:
    def whole(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text),)

    every = bytes(range(256))
    with (
        governed_by(target, whole) as governed,
        closing(connect(governed)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TEMPORARY TABLE kept (v VARBINARY(300))")
        raw_literal = every.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        for literal in (raw_literal, b"\xe3", b"\\\xff", b"\xf0\x9f"):
            text = b"INSERT INTO kept VALUES (_binary'" + literal + b"')"
            connection._execute_command(3, text)  # type: ignore[attr-defined]
            assert connection._read_ok_packet().affected_rows == 1  # type: ignore[attr-defined]
        cursor.execute("SELECT v FROM kept")
        assert [row[0] for row in cursor.fetchall()] == [every, b"\xe3", b"\xff", b"\xf0\x9f"]
    recorded = [event.statement for event in governed.started() if "INSERT" in event.statement]
    assert recorded[1:] == [
        "INSERT INTO kept VALUES (_binary'\\xe3')",
        "INSERT INTO kept VALUES (_binary'\\\\xff')",
        "INSERT INTO kept VALUES (_binary'\\xf0\\x9f')",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"SET @text = 'SELECT \xff'",
        b"PREPARE p FROM 'SELECT \xff'",
        b"CREATE TABLE nothing (a INT) COMMENT '\xff'",
        "PREPARE p FROM 'SELECT 1 -- 😀".encode() + b"\xff'",  # as many characters as bytes
    ],
)
def test_bytes_that_are_no_text_stand_in_values_only(governed, text) -> None:
    with closing(connect(governed)) as connection:
        connection._execute_command(3, text)  # type: ignore[attr-defined]
        with pytest.raises(pymysql.err.Error) as refused:
            connection._read_ok_packet()  # type: ignore[attr-defined]
        assert refused.value.args[0] == 1300


def test_extended_metadata_tells_json_apart(raw: RawClient) -> None:
    assert raw.greeting.mariadb & MariadbCapability.EXTENDED_METADATA
    assert raw.ask(b"\x03SELECT JSON_OBJECT('a', 1) AS j") == b"\x01"
    definition = raw.next()
    assert b"json" in definition
    assert decode_column(definition, extended=True).name == "j"


def test_the_statement_prepared_last_needs_no_id(raw: RawClient) -> None:
    raw.send(b"\x16SELECT 7")
    raw.send(b"\x17" + b"\xff" * 4 + b"\x00\x01\x00\x00\x00")
    assert raw.next()[:1] == b"\x00"  # prepared
    raw.next(), raw.next()
    assert raw.next() == b"\x01"
    raw.next(), raw.next()
    assert raw.next() == b"\x00\x00" + (7).to_bytes(4, "little")


def test_without_a_statement_the_last_one_is_unknown(raw: RawClient) -> None:
    answer = raw.ask(b"\x17" + b"\xff" * 4 + b"\x00\x01\x00\x00\x00")
    assert decode_error(answer).code == 1243


def test_bulk_execute_inserts_all_rows(raw: RawClient) -> None:
    assert raw.ask(b"\x03CREATE TEMPORARY TABLE bulk (n INT, t VARCHAR(9))")[:1] == b"\x00"
    prepared = raw.ask(b"\x16INSERT INTO bulk VALUES (?, ?)")
    assert prepared[:1] == b"\x00"
    raw.next(), raw.next(), raw.next()
    rows = b"".join(b"\x00" + n.to_bytes(4, "little") + b"\x00\x01x" for n in range(20))
    types = b"\x03\x00\xfd\x00"
    answer = raw.ask(b"\xfa" + prepared[1:5] + b"\x80\x00" + types + rows)
    assert answer[:2] == b"\x00\x14"
    assert raw.ask(b"\x03SELECT COUNT(*), SUM(n) FROM bulk") == b"\x02"
    raw.next(), raw.next(), raw.next()
    assert raw.next() == b"\x0220\x03190"


def kill_what_sleeps(shop: Shop) -> None:
    while True:
        found = direct(
            shop,
            "SELECT id FROM information_schema.processlist"
            " WHERE state = 'User sleep' AND info LIKE '%long enough%'",
        )
        for (number,) in found:
            direct(shop, f"KILL {number}")
        if found:
            return


def test_a_target_that_closes_between_rows_is_told_where_its_next_packet_would_be(
    raw: RawClient, shop_mariadb: Shop
) -> None:
    """MariaDB says nothing when an operator ends its thread."""
    raw.send(b"\x03SELECT REPEAT('long enough to be sent', 10000) UNION ALL SELECT SLEEP(600)")
    last = [raw.packet() for _ in range(4)][-1]  # head, column, its end, the first row
    assert len(last.payload) > 200_000
    kill_what_sleeps(shop_mariadb)
    packet = raw.packet()
    assert decode_error(packet.payload).code == 1158
    assert packet.sequence == last.sequence + 1


def test_the_row_limit_holds_for_all_the_rows_of_a_cursor(target: Target) -> None:
    policy = session_policy(limits=Limits(max_rows=10))
    with governed_by(target, policy=policy) as governed:
        raw = RawClient(governed.port, MariadbCapability(0))
        prepared = raw.ask(b"\x16SELECT id FROM orders LIMIT 12")
        statement = prepared[1:5]
        raw.next(), raw.next()
        assert raw.ask(b"\x17" + statement + b"\x01\x01\x00\x00\x00") == b"\x01"
        raw.next(), raw.next()
        fetch = b"\x1c" + statement + (6).to_bytes(4, "little")
        packets = [raw.ask(fetch)] + [raw.next() for _ in range(6)]
        assert is_eof(packets[-1])
        packets = [raw.ask(fetch)] + [raw.next() for _ in range(4)]
        assert decode_error(packets[-1]).code == 1104
        assert decode_error(raw.ask(fetch)).code == 1421
        assert raw.ask(b"\x0e")[:1] == b"\x00"
        raw.socket.close()
    (ended,) = governed.completed()
    assert (ended.rows, ended.outcome) == (10, Outcome.CANCELLED)


class Intruder:
    """A road to the target on which a test speaks in the target's place."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        session, _ = self._listener.accept()
        server = socket.create_connection((self._target.host, self._target.port))
        self._ends = [session, server]
        for pair in ((session, server), (server, session)):
            threading.Thread(target=self._pass, args=pair, daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def say_and_close(self, error: ErrorPacket, sequence: int) -> None:
        session, server = self._ends
        session.sendall(encode_packet(error.encode(), sequence))
        session.shutdown(socket.SHUT_RDWR)
        server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in (self._listener, *self._ends):
            each.close()


@pytest.fixture
def intruder(target: Target) -> Iterator[Intruder]:
    road = Intruder(target)
    with contextlib.closing(road):
        yield road


def redact_all(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    return (allow(text, MaskPlan(None, redact_errors=True)),)


@pytest.mark.parametrize("code", [1053, 1927, 4031])
def test_the_last_words_of_an_idle_target_answer_the_next_command(
    target: Target, intruder: Intruder, code: int
) -> None:
    with governed_by(replace(target, port=intruder.port), redact_all) as server:
        client = RawClient(server.port, MariadbCapability(0))
        with client.socket:
            intruder.say_and_close(ErrorPacket(code, "HY000", "the server has its reasons"), 0)
            server.wait_for(lambda: bool(server.closings()))
            with contextlib.suppress(OSError):  # it may be closed already: the answer is there
                client.send(b"\x03SELECT 1")
            packet = client.packet()
            assert decode_error(packet.payload).code == code
            assert decode_error(packet.payload).message == "the server has its reasons"
            assert packet.sequence == 1
    (closed,) = server.closings()
    assert closed.reason is EndReason.TARGET_CLOSED
    assert "the server has its reasons" in closed.detail


def test_the_last_words_in_the_middle_are_the_answer_and_nothing_follows(
    target: Target, intruder: Intruder
) -> None:
    with governed_by(replace(target, port=intruder.port), redact_all) as server:
        client = RawClient(server.port, MariadbCapability(0))
        with client.socket:
            client.send(b"\x03SELECT SLEEP(600)")
            server.wait_for(lambda: bool(server.started()))
            intruder.say_and_close(ErrorPacket(1053, "08S01", "Server shutdown in progress"), 1)
            told = decode_error(client.next())
            assert (told.code, told.message) == (1053, "Server shutdown in progress")
            assert client.socket.recv(1) == b""
    (ended,) = server.completed()
    assert (ended.outcome, ended.error_code) == (Outcome.ERROR, "1053")
    assert "Server shutdown" in server.closings()[0].detail


def test_an_unknown_goodbye_of_an_idle_target_keeps_its_text(
    target: Target, intruder: Intruder
) -> None:
    with governed_by(replace(target, port=intruder.port), redact_all) as server:
        client = RawClient(server.port, MariadbCapability(0))
        with client.socket:
            text = "Aborted connection 7 to db: 'shop' user: 'stored_account'"
            intruder.say_and_close(ErrorPacket(1152, "08S01", text), 0)
            told = decode_error(client.next())
    assert told.code == 1158
    assert "1152" in told.message
    assert "stored_account" not in told.message
