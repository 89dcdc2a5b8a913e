"""The PROXY protocol: believed from the balancers that were named, and from nobody else."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.proxy.fix_proxy import Certificate, RunningProxy, open_proxy
from tests.proxy.test_proxy import ask_ticket, hello, read_frame
from tests.relay.fix_relay import Client, Relay

from querykeep_proxy.proxy_header import (
    ProxyHeaderError,
    TrustedBalancers,
    parse_v1,
    parse_v2,
    read_proxy_header,
)
from querykeep_proxy.settings import trusted_balancers
from querykeep_relay.settings import SettingsError
from querykeep_relay.transport import Transport, TransportError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BALANCER, STRANGER = "127.0.0.3", "127.0.0.4"


def v2(source: str, *, command: int = 0x21, extensions: bytes = b"") -> bytes:
    """Return a header of version 2 as HAProxy and the cloud's balancers write it."""
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    packed = socket.inet_pton(kind, source)
    body = packed + bytes(len(packed)) + struct.pack(">HH", 40123, 5432) + extensions
    family = 0x21 if kind == socket.AF_INET6 else 0x11
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 40123 5432\r\n"
HEADERS = [
    (V1, "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", "203.0.113.7"),
    (b"PROXY UNKNOWN\r\n", BALANCER),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", BALANCER),
    (v2("203.0.113.7"), "203.0.113.7"),
    (v2("2001:db8::7", extensions=b"\x04\x00\x05abcde" * 60), "2001:db8::7"),
    (v2("203.0.113.7", command=0x20), BALANCER),  # the balancer's own probe
    (SIGNATURE + struct.pack(">BBH", 0x21, 0x00, 0), BALANCER),
]
BROKEN = [
    b"login ann pw and more of it\n",
    b"PROXY TCP4 203.0.113.7\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 70000 1\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 1\r\n",
    b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 " + b"1" * 120 + b"\r\n",
    v2("203.0.113.7", command=0x31),
    v2("203.0.113.7", command=0x22),
    SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 4) + b"\x01\x02\x03\x04",
    SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 0xFFFF),
]


@pytest.fixture
async def balanced(relay: Relay, tls_certificate: Certificate) -> AsyncIterator[RunningProxy]:
    """A proxy that believes ``BALANCER``."""
    trusted = trusted_balancers(f"{BALANCER}, 2001:db8:ffff::/48")
    async with open_proxy(relay, tls_certificate, balancers=trusted) as running:
        yield running


async def connect(proxy: RunningProxy, port: str, source: str) -> Client:
    stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[port], local_address=source)
    client = Client(stream)
    proxy.relay.clients.append(client)
    return client


def asked_by(proxy: RunningProxy) -> list[str]:
    """Return the address of each sign-in, as the API was told it; the list grows."""
    seen: list[str] = []
    answer = proxy.api.answer

    def look(method: str, path: str, body):
        if path in ("signin/prove", "tickets/redeem"):
            seen.append(body["client"]["address"])
        return answer(method, path, body)

    proxy.api.answer = look  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("byte_by_byte", [False, True])
async def test_a_balancer_says_who_its_client_is(balanced, byte_by_byte):
    seen = asked_by(balanced)
    for header, _ in HEADERS:
        client = await connect(balanced, "shop", BALANCER)
        data = header + b"login ann pw\n"
        for part in [data[i : i + 1] for i in range(len(data))] if byte_by_byte else [data]:
            await client.stream.send_all(part)
        assert (await client.line()).startswith("ready ")
        assert await client.ask("select 1") == ["row 1", "done"]
    assert seen == [address for _, address in HEADERS]


async def test_nobody_else_is_believed(balanced):
    seen = asked_by(balanced)
    for header in (V1, v2("203.0.113.7")):
        client = await connect(balanced, "shop", STRANGER)
        await client.stream.send_all(header + b"login ann pw\n")
        assert await client.line() == "garbage"
    assert seen == []
    honest = await connect(balanced, "shop", STRANGER)
    assert (await honest.login()).startswith("ready ")
    assert seen == [STRANGER]


async def test_a_balancer_that_sends_none_is_closed_and_runs_nothing(balanced):
    seen = asked_by(balanced)
    for data in BROKEN:
        client = await connect(balanced, "shop", BALANCER)
        await client.stream.send_all(data)
        with contextlib.suppress(trio.BrokenResourceError):  # reset: bytes of it were never read
            assert await client.line() == "(end)"
    assert seen == []


async def test_clients_of_one_balancer_count_for_themselves(balanced):
    """Five places per address: a client that fills its own takes nobody else's."""
    for _ in range(8):
        greedy = await connect(balanced, "shop", BALANCER)
        await greedy.stream.send_all(V1)
    other = await connect(balanced, "shop", BALANCER)
    await other.stream.send_all(v2("203.0.113.8"))
    assert (await other.login()).startswith("ready ")


async def test_a_handshake_right_behind_the_header_is_not_swallowed(balanced, tls_certificate):
    seen = asked_by(balanced)
    balanced.api.tickets["t1"] = await _ticket_route(balanced, tls_certificate)
    stream = await trio.open_tcp_stream("127.0.0.1", balanced.ports["data"], local_address=BALANCER)
    await stream.send_all(v2("203.0.113.9"))
    tls = trio.SSLStream(
        stream, tls_certificate.client_context("querykeep/1"), server_hostname="127.0.0.1"
    )
    client = Client(tls)
    balanced.relay.clients.append(client)
    await tls.send_all(hello("t1"))
    assert (await read_frame(client))["ok"] is True
    assert seen == ["203.0.113.9"]


async def _ticket_route(balanced, tls_certificate):
    ticket = (await ask_ticket(balanced, tls_certificate)).json()["ticket"]
    return balanced.api.tickets.pop(ticket)


async def test_probes_of_the_health_port_need_no_header(balanced):
    client = await connect(balanced, "health", BALANCER)
    await client.stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert "200" in await client.line()


@given(st.binary(max_size=120))
def test_a_line_is_an_address_or_an_error(line):
    try:
        parse_v1(b"PROXY " + line)
    except ProxyHeaderError:
        return


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
def test_a_body_is_an_address_or_an_error(command, family, body):
    try:
        parse_v2(command, family, body)
    except ProxyHeaderError:
        return


@pytest.mark.parametrize("cut", [1, 11, 13, 15, 20])
async def test_a_header_that_is_cut_short_is_the_peers_fault(cut):
    ours, theirs = socket.socketpair()
    transport = Transport(theirs)
    ours.sendall(v2("203.0.113.7")[:cut])
    ours.close()
    with pytest.raises(TransportError):
        await read_proxy_header(transport)
    transport.close()


@pytest.mark.parametrize("text", ["everyone", "10.0.0.0/40", "10.0.0.1/8"])
def test_a_setting_that_names_no_network_is_refused(text):
    with pytest.raises(SettingsError, match="QUERYKEEP_PROXY_PROTOCOL_FROM"):
        trusted_balancers(text)


@pytest.mark.parametrize(
    ("text", "address", "trusted"),
    [
        ("", "127.0.0.1", False),
        ("10.0.0.0/8,192.0.2.7", "10.255.0.1", True),
        ("10.0.0.0/8, 192.0.2.7", "192.0.2.7", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("0.0.0.0/0", "unknown", False),
    ],
)
def test_who_is_a_balancer(text, address, trusted):
    assert trusted_balancers(text).include(address) is trusted
    assert TrustedBalancers().include(address) is False
