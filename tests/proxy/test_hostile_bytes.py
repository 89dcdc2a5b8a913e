"""Raw bytes against the proxy's ports: each is answered or closed; the next client is served."""

from __future__ import annotations

import json
import random
import socket
import ssl
import struct
from contextlib import closing
from typing import Any

import psycopg
import pymysql
import pytest
import trio
from tests.proxy.fix_shop_proxy import only_value, open_shop_proxy
from tests.proxy.test_real_servers import connect_mariadb, in_thread, pg_conninfo

DEADLINE_S = 60
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


def startup(minor: int = 0, **parameters: str) -> bytes:
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!iHH", len(body) + 8, 3, minor) + body


class Raw:
    """A socket to one of the proxy's ports."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.socket.settimeout(DEADLINE_S)

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def until_closed(self) -> bytes:
        """Return all that comes until the proxy closes; a hanging one fails by its timeout."""
        data = b""
        try:
            while part := self.socket.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        return data

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "closed early"
            data += part
        return data

    def close(self) -> None:
        self.socket.close()


def conversation(port: int, *parts: bytes) -> bytes:
    """Send and return all that comes until the proxy closes."""
    with closing(Raw(port)) as raw:
        for part in parts:
            raw.send(part)
        return raw.until_closed()


def pg_code(answer: bytes) -> str:
    """Return the SQLSTATE of the first error in an answer, or nothing."""
    at = answer.find(b"\0C")
    return answer[at + 2 : at + 7].decode() if at >= 0 else ""


def still_serves_pg(proxy) -> None:
    with psycopg.connect(pg_conninfo(proxy)) as connection:
        assert only_value(connection.execute("select 1")) == 1


# --- PostgreSQL -----------------------------------------------------------------------------------

PG_OPENINGS = {
    "garbage": (b"\xff" * 64, "08P01"),
    "http": (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
    "a length of nothing": (struct.pack("!i", 0), "08P01"),
    "a negative length": (struct.pack("!i", -5) + b"x" * 20, "08P01"),
    "an oversized length": (struct.pack("!i", 0x7FFFFFFF), "08P01"),
    "protocol 2": (struct.pack("!iHH", 8, 2, 0), "08P01"),
    "no user": (startup(database="shop"), "08P01"),
    "replication": (startup(user="ann", database="shop", replication="database"), "08P01"),
    "a role in the options": (
        startup(user="ann", database="shop", options="-c role=postgres"),
        "08P01",
    ),
    "an unknown setting": (startup(user="ann", database="shop", allow_in_place="on"), "08P01"),
    "another encoding": (startup(user="ann", client_encoding="SJIS"), "08P01"),
    "text that is not UTF-8": (
        struct.pack("!iHH", 18, 3, 0) + b"user\0\xff\xfe\xfd\0\0",
        "08P01",
    ),
    "a query before sign-in": (
        startup(user="ann", database="shop") + b"Q" + struct.pack("!i", 13) + b"select 1\0",
        "08P01",
    ),
    "a cancel key of no length": (struct.pack("!iii", 12, 80877102, 1), "08P01"),
    "two requests for GSSAPI": (GSS_REQUEST * 2, "08P01"),
}


@pytest.mark.parametrize("name", PG_OPENINGS)
async def test_postgresql_openings_get_an_error_and_the_end(pg_proxy, name):
    data, code = PG_OPENINGS[name]
    assert pg_code(await in_thread(conversation, pg_proxy.port, data)) == code
    await in_thread(still_serves_pg, pg_proxy)


async def test_plaintext_behind_a_request_for_tls_is_never_read(pg_proxy):
    """CVE-2021-23222: what a man in the middle puts there must not be taken for the client's."""

    def work() -> None:
        injected = startup(user="mallory", database="shop")
        answer = conversation(pg_proxy.port, SSL_REQUEST + injected)
        assert pg_code(answer) == "08P01"
        assert b"SCRAM" not in answer
        # GSSAPI is declined in one byte, and what follows is the client's in the clear.
        with closing(Raw(pg_proxy.port)) as raw:
            raw.send(GSS_REQUEST + SSL_REQUEST)
            assert raw.exactly(1) == b"N"
            assert raw.exactly(1) == b"S"

    await in_thread(work)
    assert "signin/challenge" not in pg_proxy.api.calls


async def test_an_unknown_protocol_option_and_minor_version_are_negotiated(pg_proxy):
    def work() -> bytes:
        with closing(Raw(pg_proxy.port)) as raw:
            raw.send(startup(9999, user="ann", database="shop", **{"_pq_.greasy": "1"}))
            kind, length = struct.unpack("!ci", raw.exactly(5))
            assert kind == b"v"
            return raw.exactly(length - 4)

    body = await in_thread(work)
    minor, count = struct.unpack("!ii", body[:8])
    assert (minor & 0xFFFF, count, body[8:]) == (2, 1, b"_pq_.greasy\0")


async def test_slow_and_silent_openings_end_by_themselves(
    shop_postgresql, internal_api, tmp_path, tls_certificate
):
    """A byte now and then holds a place no longer than silence does."""

    def work(port: int) -> None:
        for opening in (b"", SSL_REQUEST, startup(user="ann", database="shop")):
            with closing(Raw(port)) as raw:
                raw.send(opening)
                raw.until_closed()
        with closing(Raw(port)) as raw:
            raw.socket.settimeout(0.05)
            for byte in startup(user="ann", database="shop" * 500):
                try:
                    raw.socket.sendall(bytes([byte]))
                    if raw.socket.recv(1000) == b"":
                        return
                except TimeoutError:
                    continue
                except OSError:
                    return
            raise AssertionError("a slow client was waited for to the end")

    async with open_shop_proxy(
        shop_postgresql, internal_api, tmp_path, tls_certificate, sign_in_timeout_s=0.5
    ) as opened:
        await in_thread(work, opened.port)
        assert len(opened.services.live) == 0


def pg_session(proxy) -> psycopg.Connection:
    return psycopg.connect(pg_conninfo(proxy, sslmode="disable"), autocommit=True)


PG_FRAMES = {
    "an unknown message": b"\x01" + struct.pack("!i", 4),
    "a length below its own": b"Q" + struct.pack("!i", 3),
    "a query of 2 GB": b"Q" + struct.pack("!i", 0x7FFFFFFF) + b"select",
    "a sync with a body": b"S" + struct.pack("!i", 5) + b"x",
    "a password after sign-in": b"p" + struct.pack("!i", 6) + b"x\0",
    "a query without its end": b"Q" + struct.pack("!i", 12) + b"select 1",
    "two texts in a query": b"Q" + struct.pack("!i", 17) + b"select\0\0 1\0xy",
    "a parse that ends early": b"P" + struct.pack("!i", 6) + b"\0s",
    "parameters that are not there": b"P" + struct.pack("!i", 9) + b"\0s\0\x7f\xff",
    "a bind that ends early": b"B" + struct.pack("!i", 8) + b"\0\0\xff\xff",
    "a describe of nothing": b"D" + struct.pack("!i", 6) + b"X\0",
}


@pytest.mark.parametrize("name", PG_FRAMES)
async def test_broken_messages_of_a_live_session_end_it_with_an_error(pg_proxy, name):
    def work() -> bytes:
        connection = pg_session(pg_proxy)
        with closing(connection), socket.socket(fileno=connection.pgconn.socket) as raw:
            raw.settimeout(DEADLINE_S)
            raw.sendall(PG_FRAMES[name])
            data = b""
            try:
                while part := raw.recv(65536):
                    data += part
            finally:
                raw.detach()
            return data

    assert pg_code(await in_thread(work)) == "08P01"
    await in_thread(still_serves_pg, pg_proxy)


async def test_a_guessed_cancel_key_cancels_nothing(pg_proxy):
    def work() -> None:
        with pg_session(pg_proxy) as connection:
            pid = connection.pgconn.backend_pid
            for guess in range(50):
                key = random.Random(guess).randbytes(4)
                packet = struct.pack("!iii", 16, 80877102, pid) + key
                assert conversation(pg_proxy.port, packet) == b""
            assert only_value(connection.execute("select 'untouched'")) == "untouched"

    await in_thread(work)
    assert all(e["outcome"] == "ok" for e in pg_proxy.api.events("StatementCompleted"))


async def test_names_that_a_client_gives_itself_cannot_write_lines_of_a_log(pg_proxy):
    name = "psql\n2026-01-01 admin allowed \u202egnihton" + "x" * 5000

    def work() -> None:
        with psycopg.connect(pg_conninfo(pg_proxy, application_name=name)) as connection:
            connection.execute("select 1")

    await in_thread(work)
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("SessionClosed")))
    program = pg_proxy.api.events("StatementStarted")[0]["client"]["program"]
    assert program.startswith("psql\\u000a2026-01-01 admin allowed \\u202egnihton")
    assert program.endswith("…")
    assert len(program) < 300


async def test_a_long_text_stands_whole_in_the_audit(pg_proxy):
    text = "select '" + "한" * 700_000 + '\\n\' as "끝"'

    def work() -> None:
        with pg_session(pg_proxy) as connection:
            assert len(only_value(connection.execute(text))) == 700_002

    await in_thread(work)
    await in_thread(pg_proxy.api.wait_for, lambda: bool(pg_proxy.api.events("StatementCompleted")))
    assert pg_proxy.api.events("StatementStarted")[0]["statement"] == text


# --- MySQL and MariaDB ----------------------------------------------------------------------------


def packet(payload: bytes, sequence: int = 1) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def my_codes(answer: bytes) -> list[int]:
    """Return the numbers of all error packets of an answer."""
    codes, at = [], 0
    while at + 5 <= len(answer):
        length = int.from_bytes(answer[at : at + 3], "little")
        if answer[at + 4] == 0xFF:
            codes.append(int.from_bytes(answer[at + 5 : at + 7], "little"))
        at += 4 + length
    return codes


def response(flags: int, rest: bytes, charset: int = 45) -> bytes:
    return struct.pack("<IIB23x", flags, 1 << 24, charset) + rest


PROTOCOL_41, SECURE, PLUGIN, ATTRS, SSL = 0x200, 0x8000, 0x80000, 0x100000, 0x800
MY_OPENINGS = {
    "garbage": b"\xff" * 200,
    "an oversized packet": b"\xff\xff\xff\x01" + b"x" * 300_000,
    "another sequence number": packet(response(PROTOCOL_41 | SECURE, b"ann\0\0"), 7),
    "a protocol before 4.1": packet(response(SECURE, b"ann\0\0")),
    "a response that ends early": packet(response(PROTOCOL_41 | SECURE, b"ann")),
    "a proof longer than the packet": packet(response(PROTOCOL_41 | SECURE, b"ann\0\xffx")),
    "attributes longer than the packet": packet(
        response(PROTOCOL_41 | SECURE | ATTRS, b"ann\0\0" + b"\xfe" + b"\xff" * 8)
    ),
    "a name that is not UTF-8": packet(response(PROTOCOL_41 | SECURE, b"\xff\xfe\0\0")),
    "a charset in which a byte swallows the next": packet(
        response(PROTOCOL_41 | SECURE, b"ann\0\0", charset=28)
    ),
    "an empty packet": packet(b""),
    "plaintext behind the request for TLS": packet(response(PROTOCOL_41 | SECURE | SSL, b""))
    + packet(response(PROTOCOL_41 | SECURE, b"mallory\0\0"), 2),
}


@pytest.mark.parametrize("name", MY_OPENINGS)
async def test_mysql_openings_get_an_error_and_the_end(mariadb_proxy, name):
    answer = await in_thread(conversation, mariadb_proxy.port, MY_OPENINGS[name])
    greeting = int.from_bytes(answer[:3], "little") + 4
    assert len(my_codes(answer[greeting:])) == 1, answer[greeting:]
    assert "signin/prove" not in mariadb_proxy.api.calls
    await in_thread(still_serves_mariadb, mariadb_proxy)


def still_serves_mariadb(proxy) -> None:
    with closing(connect_mariadb(proxy)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def command(proxy, *packets: bytes) -> list[int]:
    """Send packets in a live session; return the error numbers that come back up to its end."""
    connection = connect_mariadb(proxy, ssl_disabled=True)
    raw = connection._sock
    try:
        raw.settimeout(DEADLINE_S)
        raw.sendall(b"".join(packets) + packet(b"\x01", 0))
        data = b""
        while part := raw.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    finally:
        raw.close()
        connection._force_close()
    return my_codes(data)


MY_COMMANDS = {
    "change to another account": (packet(b"\x11root\0\0mysql\0\x21\0", 0), [1045]),
    "a binary log": (packet(b"\x12" + bytes(11), 0), [1047]),
    "a dump of a table": (packet(b"\x13shop\0customers", 0), [1047]),
    "shut down": (packet(b"\x08\0", 0), [1047]),
    "process list": (packet(b"\x0a", 0), [1047]),
    "kill": (packet(b"\x0c\x01\0\0\0", 0), [1047]),
    "a command that does not exist": (packet(b"\xee", 0), [1047]),
    "an empty command": (packet(b"", 0), [1047]),
    "a wrong sequence number": (packet(b"\x0e", 5), [1156]),
    "a file of the client": (
        packet(b"\x03LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE products", 0),
        [1142],
    ),
    "execute what was never prepared": (packet(b"\x17\x09\0\0\0\0\x01\0\0\0", 0), [1243]),
    "fetch what was never prepared": (packet(b"\x1c\x09\0\0\0\x01\0\0\0", 0), [1243]),
    "an execute that ends early": (packet(b"\x17\x09", 0), [1156]),
    "a database by another name": (packet(b"\x02mysql", 0), None),
    "a kill of a number without end": (packet(b"\x03KILL " + b"9" * 6000, 0), None),
    "a text that is not UTF-8": (packet(b"\x03SET @a = '\xff\xfe'", 0), [1300]),
    "a NUL in a text": (packet(b"\x03SELECT 'a\0b'", 0), []),
}


@pytest.mark.parametrize("name", MY_COMMANDS)
async def test_commands_that_are_not_let_through_are_refused_by_name(mariadb_proxy, name):
    data, codes = MY_COMMANDS[name]
    found = await in_thread(command, mariadb_proxy, data)
    assert found == codes if codes is not None else len(found) == 1, found
    await in_thread(
        mariadb_proxy.api.wait_for, lambda: bool(mariadb_proxy.api.events("SessionClosed"))
    )
    (closed,) = mariadb_proxy.api.events("SessionClosed")
    assert closed["reason"] in ("client_closed", "protocol_error")


async def test_a_text_split_over_packets_is_judged_whole(mariadb_proxy):
    """16 MiB - 1 in the first packet: what stands behind it is part of the same statement."""
    head = b"\x03SELECT 1 /*"
    first = head + b" " * (0xFFFFFF - len(head))
    rest = b"*/ + (SELECT COUNT(*) FROM payroll)"
    codes = await in_thread(command, mariadb_proxy, packet(first, 0), packet(rest, 1))
    assert codes == [1142]


async def test_several_statements_are_refused_where_the_client_did_not_offer_them(mariadb_proxy):
    def work() -> int:
        with (
            closing(connect_mariadb(mariadb_proxy, client_flag=0)) as connection,
            connection.cursor() as cursor,
        ):
            with pytest.raises(pymysql.MySQLError) as refused:
                cursor.execute("SELECT 1; SELECT 2")
            return refused.value.args[0]

    assert await in_thread(work) == 1064


async def test_attributes_of_a_mysql_client_are_cut_and_escaped(mariadb_proxy):
    def work() -> None:
        with closing(
            connect_mariadb(mariadb_proxy, program_name="a\nb" + "x" * 9000)
        ) as connection:
            connection.query("SELECT 1")

    await in_thread(work)
    await in_thread(
        mariadb_proxy.api.wait_for, lambda: bool(mariadb_proxy.api.events("SessionClosed"))
    )
    program = mariadb_proxy.api.events("StatementStarted")[0]["client"]["program"]
    assert program.startswith("a\\u000abxxx")
    assert len(program) < 300


# --- 8000 and 9000 --------------------------------------------------------------------------------


async def establish(proxy, certificate, body: bytes, headers: str = "") -> tuple[int, bytes]:
    def work() -> tuple[int, bytes]:
        plain = socket.create_connection(("127.0.0.1", proxy.ports["establish"]), DEADLINE_S)
        context = certificate.client_context()
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            stream.sendall(
                b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer access\r\n"
                + headers.encode("latin-1")
                + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
                + body
            )
            data = b""
            try:
                while part := stream.recv(65536):
                    data += part
            except (ssl.SSLError, ConnectionResetError):
                pass
        head, _, content = data.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), content

    return await trio.to_thread.run_sync(work)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"connection": ' + b"9" * 6000 + b"}",
        b'{"connection": "\\ud800", "client": {}, "verifiers": {}, "proof": {}}',
        b'{"connection": "shop", "client": {"program": "\\ud800"}, "verifiers": {}, "proof": {}}',
        b"\xff\xfe",
        b"null",
    ],
)
async def test_bodies_that_are_no_text_are_answered(proxy, tls_certificate, body):
    status, content = await establish(proxy, tls_certificate, body)
    assert (status, json.loads(content)["code"]) == (400, "malformed")
    assert "tickets" not in proxy.api.calls


async def test_a_forwarded_address_is_not_believed(proxy, tls_certificate):
    seen: list[object] = []
    answer = proxy.api.answer

    def look(method: str, path: str, body: Any) -> tuple[int, object]:
        if path == "tickets":
            seen.append(body["client"]["address"])
        return answer(method, path, body)

    proxy.api.answer = look
    from tests.proxy.test_proxy import establish_body

    spoofed = "X-Forwarded-For: 10.9.9.9\r\nForwarded: for=10.9.9.9\r\nX-Real-IP: 10.9.9.9\r\n"
    body = json.dumps(establish_body()).encode()
    status, _ = await establish(proxy, tls_certificate, body, spoofed)
    assert (status, seen) == (201, ["127.0.0.1"])


async def test_a_proxy_header_is_garbage_and_not_an_address(pg_proxy):
    for header in (
        b"PROXY TCP4 10.9.9.9 10.0.0.1 5555 5432\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x09\x09\x09\x0a\0\0\x01\x15\xb3\x15\x38",
    ):
        data = header + startup(user="ann", database="shop")
        answer = await in_thread(conversation, pg_proxy.port, data)
        assert pg_code(answer) == "08P01"
    assert "signin/challenge" not in pg_proxy.api.calls


async def test_a_first_frame_of_nested_lists_is_refused(proxy, tls_certificate):
    from tests.proxy.test_proxy import open_data, read_frame

    for body in (b"[" * 8000, b'{"ticket": "\\ud800", "signature": ""}'):
        client = await open_data(proxy, tls_certificate)
        await client.stream.send_all(struct.pack(">I", len(body)) + body)
        assert (await read_frame(client))["error"]["code"] == "malformed"
    assert "tickets/redeem" not in proxy.api.calls
