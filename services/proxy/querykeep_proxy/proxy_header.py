"""The PROXY protocol: who a client is that came through a load balancer.

Believed only from the addresses that the administrator named, and then demanded: a receiver that
guesses whether a header is there lets clients write their own. From everyone else the bytes are
what they are, the begin of the client's own protocol. Not a byte behind the header is read: what
follows may be a TLS handshake.

Source: "The PROXY protocol, Versions 1 & 2" (HAProxy, 2020).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

import trio

from querykeep_relay.transport import Transport, TransportError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressKind = type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1_BEGIN = b"PROXY "
_V1_LIMIT_BYTES = 107
"""The longest line of version 1, its end included (the specification's own figure)."""
_V2_LIMIT_BYTES = 4096
"""Addresses and extensions of version 2; balancers send far less than the 65,535 it can say."""
_TIMEOUT_S = 5.0
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES: dict[int, tuple[AddressKind, int]] = {
    0x11: (ipaddress.IPv4Address, 4),
    0x21: (ipaddress.IPv6Address, 16),
}
"""Family and protocol byte of TCP over IPv4 and over IPv6."""


class ProxyHeaderError(Exception):
    """A trusted address sent something else than a header; the text names no byte of it."""


@dataclass(frozen=True, slots=True)
class TrustedBalancers:
    """Whose headers are believed."""

    networks: tuple[Network, ...] = ()

    def include(self, address: str) -> bool:
        """Return whether a peer of this address is one of them."""
        if not self.networks:
            return False
        try:
            peer = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(peer in network for network in self.networks)


NO_BALANCERS = TrustedBalancers()


async def read_proxy_header(transport: Transport) -> str | None:
    """Read the header; return the client's address, None where the balancer speaks for itself.

    Raises:
        ProxyHeaderError: It is no header, or none in time.
        TransportError: The peer is gone.
    """
    try:
        with trio.fail_after(_TIMEOUT_S):
            begin = await _exactly(transport, len(_SIGNATURE))
            if begin == _SIGNATURE:
                return await _read_v2(transport)
            if begin.startswith(_V1_BEGIN):
                return parse_v1(await _rest_of_line(transport, begin))
    except trio.TooSlowError:
        raise ProxyHeaderError(f"no PROXY header came within {_TIMEOUT_S:g} s") from None
    raise ProxyHeaderError("what it sent first is no PROXY header")


def parse_v1(line: bytes) -> str | None:
    """Return the source address of a whole line of version 1, None for ``UNKNOWN``.

    Raises:
        ProxyHeaderError: The line is malformed.
    """
    words = line.removesuffix(b"\r\n").split(b" ")
    if len(words) > 1 and words[1] == b"UNKNOWN":
        return None
    versions: dict[bytes, AddressKind] = {
        b"TCP4": ipaddress.IPv4Address,
        b"TCP6": ipaddress.IPv6Address,
    }
    if len(words) != 6 or words[1] not in versions:
        raise ProxyHeaderError("a PROXY line that is malformed")
    version = versions[words[1]]
    try:
        source, _ = (version(word.decode("ascii")) for word in words[2:4])
        ports = [int(word) for word in words[4:6] if word.isdigit()]
    except ValueError:
        raise ProxyHeaderError("a PROXY line whose addresses are none") from None
    if len(ports) != 2 or max(ports) > 65535:
        raise ProxyHeaderError("a PROXY line whose ports are none")
    return _plain(source)


def parse_v2(command: int, family: int, body: bytes) -> str | None:
    """Return the source address of version 2, None where there is none to tell.

    Args:
        command: The byte of version and command.
        family: The byte of address family and protocol.
        body: Addresses and extensions.

    Raises:
        ProxyHeaderError: An unknown version or command, or addresses that are cut short.
    """
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyHeaderError("a PROXY header of an unknown version or command")
    if family not in _FAMILIES:
        return None
    kind, size = _FAMILIES[family]
    if len(body) < 2 * size + 4:
        raise ProxyHeaderError("a PROXY header whose addresses are cut short")
    return _plain(kind(body[:size]))


async def _read_v2(transport: Transport) -> str | None:
    command, family, length = struct.unpack(">BBH", await _exactly(transport, 4))
    if length > _V2_LIMIT_BYTES:
        raise ProxyHeaderError(f"a PROXY header of more than {_V2_LIMIT_BYTES} bytes")
    return parse_v2(command, family, await _exactly(transport, length))


async def _rest_of_line(transport: Transport, begin: bytes) -> bytes:
    line = begin
    while not line.endswith(b"\r\n"):
        if len(line) >= _V1_LIMIT_BYTES:
            raise ProxyHeaderError("a PROXY line without end")
        line += await _exactly(transport, 1)
    return line


async def _exactly(transport: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await transport.receive(count - len(data))
        if not part:
            raise TransportError("the peer closed inside its PROXY header")
        data += part
    return data


def _plain(address: Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
