"""The connection phase: greeting, handshake response, authentication exchange."""

from __future__ import annotations

from dataclasses import dataclass, field

from querykeep_engines.kit.session import RemoteProtocolError
from querykeep_engines.mysql.wire.flags import Capability, MariadbCapability
from querykeep_engines.mysql.wire.values import Reader, lenenc_bytes, lenenc_int

NONCE_BYTES = 20
_ATTRIBUTES_LIMIT = 64 * 1024
NO_MARIADB = MariadbCapability(0)


@dataclass(frozen=True, slots=True)
class Greeting:
    """Protocol::HandshakeV10. ``nonce`` is the 20 bytes of the scramble."""

    server_version: str
    thread_id: int
    nonce: bytes
    capabilities: Capability
    charset: int
    status: int
    plugin: str
    mariadb: MariadbCapability = NO_MARIADB


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """Protocol::HandshakeResponse41."""

    capabilities: Capability
    charset: int
    username: str
    response: bytes
    database: str
    plugin: str
    attributes: dict[str, str] = field(default_factory=dict)
    mariadb: MariadbCapability = NO_MARIADB


@dataclass(frozen=True, slots=True)
class ChangeUser:
    """COM_CHANGE_USER. ``charset`` is 0 where the client names none."""

    username: str
    response: bytes
    database: str
    charset: int
    plugin: str


def encode_greeting(greeting: Greeting) -> bytes:
    """Return the greeting's payload."""
    capabilities = int(greeting.capabilities)
    if greeting.mariadb:
        capabilities &= ~Capability.LONG_PASSWORD
    return b"".join(
        (
            b"\x0a",
            greeting.server_version.encode("utf-8"),
            b"\x00",
            greeting.thread_id.to_bytes(4, "little"),
            greeting.nonce[:8],
            b"\x00",
            (capabilities & 0xFFFF).to_bytes(2, "little"),
            bytes([greeting.charset & 0xFF]),
            greeting.status.to_bytes(2, "little"),
            (capabilities >> 16 & 0xFFFF).to_bytes(2, "little"),
            bytes([NONCE_BYTES + 1]),
            bytes(6),
            greeting.mariadb.to_bytes(4, "little"),
            greeting.nonce[8:],
            b"\x00",
            greeting.plugin.encode("ascii"),
            b"\x00",
        )
    )


def decode_greeting(payload: bytes) -> Greeting:
    """Read a target's greeting.

    Raises:
        RemoteProtocolError: Malformed, or a protocol older than 4.1.
    """
    reader = Reader(payload, "the target's greeting")
    if reader.uint(1) != 10:
        raise RemoteProtocolError("the target does not speak protocol version 10")
    version = reader.cstring().decode("utf-8", "replace")
    thread_id = reader.uint(4)
    nonce = reader.take(8)
    reader.take(1)
    capabilities = reader.uint(2)
    charset, status, plugin_length, mariadb = 0, 0, 0, 0
    if reader.left:
        charset = reader.uint(1)
        status = reader.uint(2)
        capabilities |= reader.uint(2) << 16
        plugin_length = reader.uint(1)
        reader.take(6)
        mariadb = reader.uint(4)
    flags = Capability(capabilities)
    if flags & Capability.LONG_PASSWORD:
        mariadb = 0
    if not flags & Capability.PROTOCOL_41 or not flags & Capability.SECURE_CONNECTION:
        raise RemoteProtocolError("the target speaks a protocol older than 4.1")
    nonce += reader.take(max(13, plugin_length - 8))[:12]
    plugin = "mysql_native_password"
    if flags & Capability.PLUGIN_AUTH:
        plugin = reader.rest().split(b"\x00", 1)[0].decode("ascii", "replace")
    extended = MariadbCapability(mariadb)
    return Greeting(version, thread_id, nonce, flags, charset, status, plugin, extended)


def encode_ssl_request(
    capabilities: Capability,
    charset: int,
    max_packet: int,
    mariadb: MariadbCapability = NO_MARIADB,
) -> bytes:
    """Return the SSLRequest payload: the head of a handshake response."""
    if mariadb:
        capabilities &= ~Capability.LONG_PASSWORD
    return (
        int(capabilities).to_bytes(4, "little")
        + max_packet.to_bytes(4, "little")
        + bytes([charset & 0xFF])
        + bytes(19)
        + mariadb.to_bytes(4, "little")
    )


def encode_response(response: HandshakeResponse, max_packet: int) -> bytes:
    """Return the handshake response's payload."""
    flags = response.capabilities
    parts = [
        encode_ssl_request(flags, response.charset, max_packet, response.mariadb),
        response.username.encode("utf-8"),
        b"\x00",
    ]
    if flags & Capability.PLUGIN_AUTH_LENENC:
        parts.append(lenenc_bytes(response.response))
    else:
        parts.append(bytes([len(response.response)]) + response.response)
    if flags & Capability.CONNECT_WITH_DB:
        parts.append(response.database.encode("utf-8") + b"\x00")
    if flags & Capability.PLUGIN_AUTH:
        parts.append(response.plugin.encode("ascii") + b"\x00")
    if flags & Capability.CONNECT_ATTRS:
        pairs = b"".join(
            lenenc_bytes(name.encode("utf-8")) + lenenc_bytes(value.encode("utf-8"))
            for name, value in response.attributes.items()
        )
        parts.append(lenenc_int(len(pairs)) + pairs)
    return b"".join(parts)


def is_ssl_request(payload: bytes) -> bool:
    """True when a client's first packet asks for TLS: the head only, with the SSL flag."""
    return len(payload) == 32 and bool(int.from_bytes(payload[:4], "little") & Capability.SSL)


def decode_response(payload: bytes) -> HandshakeResponse:
    """Read a client's handshake response.

    Raises:
        RemoteProtocolError: Malformed, or a client older than 4.1.
    """
    reader = Reader(payload, "the handshake response")
    flags = Capability(reader.uint(4))
    if not flags & Capability.PROTOCOL_41:
        raise RemoteProtocolError("the client speaks a protocol older than 4.1")
    reader.uint(4)
    charset = reader.uint(1)
    reader.take(19)
    mariadb = reader.uint(4)
    if flags & Capability.LONG_PASSWORD:
        mariadb = 0
    username = _text(reader.cstring(), "user name")
    if flags & Capability.PLUGIN_AUTH_LENENC:
        response = reader.lenenc_bytes()
    elif flags & Capability.SECURE_CONNECTION:
        response = reader.take(reader.uint(1))
    else:
        response = reader.cstring()
    database = ""
    if flags & Capability.CONNECT_WITH_DB and reader.left:
        database = _text(reader.cstring(), "database")
    plugin = ""
    if flags & Capability.PLUGIN_AUTH and reader.left:
        plugin = reader.rest_until_nul().decode("ascii", "replace")
    attributes: dict[str, str] = {}
    if flags & Capability.CONNECT_ATTRS and reader.left:
        attributes = _attributes(reader)
    return HandshakeResponse(
        flags,
        charset,
        username,
        response,
        database,
        plugin,
        attributes,
        MariadbCapability(mariadb),
    )


def decode_change_user(payload: bytes, capabilities: Capability) -> ChangeUser:
    """Read a COM_CHANGE_USER, its command byte included.

    Raises:
        RemoteProtocolError: Malformed.
    """
    reader = Reader(payload, "COM_CHANGE_USER", 1)
    username = _text(reader.cstring(), "user name")
    if capabilities & Capability.SECURE_CONNECTION:
        response = reader.take(reader.uint(1))
    else:
        response = reader.cstring()
    database = _text(reader.cstring(), "database")
    charset, plugin = 0, ""
    if reader.left >= 2:
        charset = reader.uint(2)
    if capabilities & Capability.PLUGIN_AUTH and reader.left:
        plugin = reader.rest_until_nul().decode("ascii", "replace")
    return ChangeUser(username, response, database, charset, plugin)


def _attributes(reader: Reader) -> dict[str, str]:
    size = reader.lenenc_int()
    if size > _ATTRIBUTES_LIMIT:
        raise RemoteProtocolError("the handshake response has too many attributes")
    inner = Reader(reader.take(size), "the connection attributes")
    found: dict[str, str] = {}
    while inner.left:
        name = inner.lenenc_bytes().decode("utf-8", "replace")
        found[name] = inner.lenenc_bytes().decode("utf-8", "replace")
    return found


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"the {what} is not UTF-8") from None


def encode_auth_switch(plugin: str, nonce: bytes) -> bytes:
    """Return an AuthSwitchRequest."""
    return b"\xfe" + plugin.encode("ascii") + b"\x00" + nonce + b"\x00"


def decode_auth_switch(payload: bytes) -> tuple[str, bytes]:
    """Return (plugin, data without its final zero) of an AuthSwitchRequest."""
    reader = Reader(payload, "the authentication switch", 1)
    plugin = reader.cstring().decode("ascii", "replace")
    data = reader.rest()
    # MySQL's own nonces end with a zero; MariaDB's of 32 bytes do not, and may hold one at the end.
    return plugin, data[:-1] if len(data) == NONCE_BYTES + 1 else data


def encode_auth_more(data: bytes) -> bytes:
    """Return an AuthMoreData packet."""
    return b"\x01" + data
