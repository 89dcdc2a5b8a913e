"""The untyped packets that open a connection: SSL, GSSENC and cancel requests, start-up."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.postgresql.wire.codes import (
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    PROTOCOL_MAJOR,
    SSL_REQUEST,
)
from querykeep_engines.postgresql.wire.reader import Reader

_CANCEL_KEY_LIMIT_BYTES = 256
"""Protocol 3.2 allows cancel keys of up to 256 bytes."""


@dataclass(frozen=True, slots=True)
class SslRequest:
    """The client asks for TLS."""


@dataclass(frozen=True, slots=True)
class GssencRequest:
    """The client asks for GSSAPI encryption."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Process id and secret key, as BackendKeyData gave them."""

    pid: int
    secret: bytes

    def __repr__(self) -> str:
        """Never show the key."""
        return f"CancelRequest(pid={self.pid})"


@dataclass(frozen=True, slots=True)
class Startup:
    """A start-up packet. ``parameters`` keep their order; a name given twice is an error."""

    major: int
    minor: int
    parameters: tuple[tuple[str, str], ...]


StartupPacket = SslRequest | GssencRequest | CancelRequest | Startup


def read_startup(payload: bytes) -> StartupPacket:
    """Return the packet behind the length word.

    Raises:
        RemoteProtocolError: Not a packet of protocol 3, or malformed.
    """
    reader = Reader(payload, "start-up")
    code = reader.int32()
    if code == SSL_REQUEST:
        reader.end()
        return SslRequest()
    if code == GSSENC_REQUEST:
        reader.end()
        return GssencRequest()
    if code == CANCEL_REQUEST:
        pid = reader.int32()
        secret = reader.rest()
        if not 4 <= len(secret) <= _CANCEL_KEY_LIMIT_BYTES:
            raise RemoteProtocolError("invalid length of cancel request")
        return CancelRequest(pid, secret)
    major, minor = (code >> 16) & 0xFFFF, code & 0xFFFF
    if major != PROTOCOL_MAJOR:
        raise RemoteProtocolError(
            f"unsupported frontend protocol {major}.{minor}: this server speaks 3.0 to 3.2"
        )
    return Startup(major, minor, _read_parameters(reader))


def _read_parameters(reader: Reader) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    while True:
        name = reader.string()
        if not name:
            reader.end()
            return tuple(found.items())
        if name in found:
            raise RemoteProtocolError(f'start-up parameter "{name}" stands twice')
        found[name] = reader.string()


def encode_startup(parameters: tuple[tuple[str, str], ...], minor: int = 0) -> bytes:
    """Return a start-up packet with its length word."""
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters) + b"\0"
    return struct.pack("!iHH", len(body) + 8, PROTOCOL_MAJOR, minor) + body


def encode_request(code: int) -> bytes:
    """Return an SSLRequest or GSSENCRequest."""
    return struct.pack("!ii", 8, code)


def encode_cancel(pid: int, secret: bytes) -> bytes:
    """Return a CancelRequest."""
    return struct.pack("!iii", 12 + len(secret), CANCEL_REQUEST, pid) + secret
