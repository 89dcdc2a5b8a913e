"""The client's way in: greeting, TLS, handshake response, proof towards the API or the grant's
verifiers."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.session import (
    Prove,
    RemoteProtocolError,
    SessionConfig,
    Side,
    StartTls,
)
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.charsets import UTF8MB4, encoding_of
from querykeep_engines.mysql.session.ending import SessionEndedError
from querykeep_engines.mysql.versions import as_greeted
from querykeep_engines.mysql.wire.auth import CACHING_SHA2, NATIVE
from querykeep_engines.mysql.wire.flags import (
    MARIADB_SINCE,
    OFFERED,
    OFFERED_MARIADB,
    Capability,
    MariadbCapability,
    Status,
)
from querykeep_engines.mysql.wire.handshake import (
    NONCE_BYTES,
    Greeting,
    HandshakeResponse,
    decode_response,
    encode_auth_more,
    encode_auth_switch,
    encode_greeting,
    is_ssl_request,
)
from querykeep_engines.mysql.wire.packets import PacketReader, encode_packet
from querykeep_guard.contracts.session import (
    ClientInfo,
    EndReason,
    Route,
    SessionGrant,
    SignInRefusal,
)

_RESPONSE_BYTES = {NATIVE: 20, CACHING_SHA2: 32}
_FAST_AUTH_OK = b"\x03"


class _Step(enum.Enum):
    START = "start"
    RESPONSE = "response"
    TLS = "tls"
    SWITCHED = "switched"
    PROVING = "proving"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a client proved itself: its answer to this session's own nonce. ``plugin`` is empty where
    it had nothing to prove."""

    username: str
    plugin: str
    answer: bytes = field(repr=False)
    nonce: bytes = field(repr=False)


class ClientSignIn:
    """Drives one client up to the OK, which the session sends when the target is there too."""

    def __init__(self, config: SessionConfig, pipe: Pipe, reader: PacketReader) -> None:
        self._config = config
        self._pipe = pipe
        self._reader = reader
        self._step = _Step.START
        self._nonce = _printable(config.random_bytes(NONCE_BYTES))
        self._plugin = ""
        self._proved = b""
        self.thread_id = 0x70000000 | int.from_bytes(config.random_bytes(4), "little") >> 4
        self.sequence = 0
        self.tls = False
        self.response: HandshakeResponse | None = None
        self.encoding = "utf-8"
        self.grant: SessionGrant | None = None

    @property
    def _is_mariadb(self) -> bool:
        return self._config.connection.flavour == "mariadb"

    @property
    def username(self) -> str:
        """The name that the client gave, or empty."""
        return self.response.username if self.response else ""

    @property
    def client(self) -> ClientInfo:
        """Who is at the other end, as far as it said."""
        said = self.response.attributes if self.response else {}
        told = ClientInfo(
            address="",
            program=said.get("program_name") or said.get("_client_name", ""),
            version=said.get("_client_version", ""),
            host_name=said.get("_server_host", "") and said.get("_client_host", ""),
            user_name=said.get("os_user", "") or said.get("_os_user", ""),
        )
        return told.kept(self._config.client_address)

    @property
    def capabilities(self) -> Capability:
        """What the client uses of what it was offered."""
        return (self.response.capabilities if self.response else Capability(0)) & OFFERED

    @property
    def mariadb(self) -> MariadbCapability:
        """What the client uses of MariaDB's own capabilities, of those it was offered."""
        if self.response is None:
            return MariadbCapability(0)
        return self.response.mariadb & self._offered_mariadb

    @property
    def _offered_mariadb(self) -> MariadbCapability:
        known = self._is_mariadb and _version(self._config.connection.server_version)
        return OFFERED_MARIADB if known and known >= MARIADB_SINCE else MariadbCapability(0)

    @property
    def proof(self) -> Proof:
        """What this client has proved itself with."""
        return Proof(self.username, self._plugin, self._proved, self._nonce)

    def greet(self) -> None:
        """Send the greeting.

        Raises:
            SessionEndedError: The target's version is not known, so that no greeting would be true.
        """
        connection = self._config.connection
        if not connection.server_version:
            raise SessionEndedError(
                EndReason.TARGET_UNREACHABLE,
                errors.error(
                    errors.ER_SERVER_SHUTDOWN,
                    f'connection "{connection.name}" was never reached: ask its owner to test it',
                ),
            )
        offered = OFFERED
        if self._config.client_tls_available:
            offered |= Capability.SSL
        greeting = Greeting(
            server_version=as_greeted(connection.server_version),
            thread_id=self.thread_id,
            nonce=self._nonce,
            capabilities=offered,
            charset=UTF8MB4,
            status=int(Status.AUTOCOMMIT),
            plugin=NATIVE if self._is_mariadb else CACHING_SHA2,
            mariadb=self._offered_mariadb,
        )
        self.send(encode_greeting(greeting))
        self._step = _Step.RESPONSE

    def send(self, payload: bytes) -> None:
        """Send one packet of the connection phase."""
        self._pipe.to_client(encode_packet(payload, self.sequence))
        self.sequence += 1

    def advance(self) -> None:
        """Read what the client sent, as far as sign-in needs it.

        Raises:
            SessionEndedError: Turned away.
            RemoteProtocolError: Malformed.
        """
        if self._step not in (_Step.RESPONSE, _Step.SWITCHED):
            return
        packet = self._reader.next()
        if packet is None:
            return
        if packet.sequence != self.sequence & 0xFF:
            raise RemoteProtocolError("packets out of order")
        self.sequence += 1
        if self._step is _Step.SWITCHED:
            self._prove(self._plugin, packet.payload)
        elif is_ssl_request(packet.payload):
            self._start_tls()
        else:
            self._respond(decode_response(packet.payload))

    def _start_tls(self) -> None:
        if self.tls or not self._config.client_tls_available:
            raise RemoteProtocolError("TLS was asked for where it was not offered")
        if self._reader.buffered:
            raise RemoteProtocolError("data was sent before the TLS handshake")
        self._step = _Step.TLS
        self._pipe.emit(StartTls(Side.CLIENT))

    def tls_started(self) -> None:
        """Go on after the handshake."""
        if self._step is not _Step.TLS:
            raise RemoteProtocolError("TLS started without being asked for")
        self.tls = True
        self._step = _Step.RESPONSE

    def _respond(self, response: HandshakeResponse) -> None:
        self.response = response
        needs_tls = self._config.client_tls_required or (
            self._config.connection.tls_required and self._config.route is Route.AGENTLESS
        )
        if needs_tls and not self.tls:
            raise self.refusal(
                SignInRefusal(
                    "tls_required",
                    f'connection "{self._config.connection.name}" is reached over TLS only: '
                    "connect with --ssl",
                )
            )
        encoding = encoding_of(response.charset)
        if encoding is None:
            raise SessionEndedError(
                EndReason.PROTOCOL_ERROR,
                errors.error(
                    errors.ER_UNKNOWN_CHARSET,
                    f"character set number {response.charset} is not spoken here: connect with "
                    "--default-character-set=utf8mb4",
                ),
            )
        self.encoding = encoding
        if self._config.grant is not None and not self._config.client_auth:
            self._step = _Step.DONE
            self.grant = self._config.grant
            return
        wanted = _RESPONSE_BYTES.get(response.plugin)
        if wanted is not None and len(response.response) == wanted:
            self._prove(response.plugin, response.response)
            return
        # Another plugin's answer, or none: ask again with one that we can check.
        self._plugin = response.plugin
        if wanted is None:
            self._plugin = NATIVE if self._is_mariadb else CACHING_SHA2
        self._step = _Step.SWITCHED
        self.send(encode_auth_switch(self._plugin, self._nonce))

    def _prove(self, plugin: str, data: bytes) -> None:
        if len(data) != _RESPONSE_BYTES[plugin]:
            raise self.refusal(SignInRefusal("bad_credentials", "an answer of another length"))
        self._plugin, self._proved = plugin, data
        self._step = _Step.PROVING
        self._pipe.emit(
            Prove(
                username=self.username,
                mechanism=plugin,
                data=data,
                nonce=self._nonce,
                client=self.client,
                database=self.database,
                tls=self.tls,
            )
        )

    @property
    def database(self) -> str:
        """The database that the client asks for; the connection's own where it names none."""
        asked = self.response.database if self.response else ""
        return asked or self._config.connection.database

    def signed_in(self, grant: SessionGrant) -> None:
        """The client is known."""
        if self._step is not _Step.PROVING:
            raise RemoteProtocolError("sign-in without being asked for")
        self._step = _Step.DONE
        self.grant = grant
        if self._plugin == CACHING_SHA2:
            self.send(encode_auth_more(_FAST_AUTH_OK))

    def refusal(self, refusal: SignInRefusal) -> SessionEndedError:
        """Return how this refusal ends the session."""
        told = errors.sign_in_error(refusal, self.username, self._config.client_address)
        return SessionEndedError(refusal.end_reason, told, refusal.code)


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def _printable(data: bytes) -> bytes:
    """Map random bytes to printable ASCII 0x21..0x7e without quotes that drivers mangle.

    Connector/J and MariaDB's connector read the scramble as text.
    """
    return bytes(0x21 + byte % 0x5E for byte in data)
