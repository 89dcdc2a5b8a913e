"""Our way in at the target: greeting, TLS by mode, authentication with the stored account."""

from __future__ import annotations

import enum
from collections.abc import Callable

from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.session import RemoteProtocolError, Side, StartTls
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.charsets import UTF8MB4
from querykeep_engines.mysql.session.ending import SessionEndedError
from querykeep_engines.mysql.tls import is_tls_required
from querykeep_engines.mysql.wire import auth
from querykeep_engines.mysql.wire.flags import SHARED, Capability, MariadbCapability
from querykeep_engines.mysql.wire.handshake import (
    Greeting,
    HandshakeResponse,
    decode_auth_switch,
    decode_greeting,
    encode_response,
    encode_ssl_request,
)
from querykeep_engines.mysql.wire.messages import (
    EOF,
    OK,
    OkPacket,
    decode_error,
    decode_ok,
    is_error,
)
from querykeep_engines.mysql.wire.packets import PacketReader, encode_packet
from querykeep_guard.contracts.session import EndReason, Target, TlsMode

_MAX_PACKET = 0x40000000
_NEEDED = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.CONNECT_ATTRS
)
_MORE_DATA = 0x01
_FAST_AUTH_OK, _FULL_AUTH = b"\x03", b"\x04"
_REQUEST_KEY = {auth.CACHING_SHA2: b"\x02", auth.SHA256: b"\x01"}


class _Step(enum.Enum):
    GREETING = "greeting"
    TLS = "tls"
    ANSWER = "answer"
    KEY = "key"
    SALT = "salt"
    DONE = "done"


class TargetSignIn:
    """Signs in at the target. ``ok`` is set when that is done."""

    def __init__(
        self,
        target: Target,
        connection_name: str,
        database: str,
        client_capabilities: Capability,
        client_mariadb: MariadbCapability,
        charset: int,
        pipe: Pipe,
        reader: PacketReader,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._random_bytes = random_bytes
        self._target = target
        self._name = connection_name
        self._database = database
        self._client_capabilities = client_capabilities
        self._mariadb = client_mariadb
        self._charset = charset or UTF8MB4
        self._pipe = pipe
        self._reader = reader
        self._step = _Step.GREETING
        self._sequence = 0
        self._plugin = ""
        self._nonce = b""
        self._tls = False
        self.greeting: Greeting | None = None
        self.ok: OkPacket | None = None

    def advance(self) -> None:
        """Read what the target sent, as far as sign-in needs it.

        Raises:
            SessionEndedError: The target turned us away, or may not be trusted with the password.
            RemoteProtocolError: Malformed.
        """
        while self._step in (_Step.GREETING, _Step.ANSWER, _Step.KEY, _Step.SALT):
            packet = self._reader.next()
            if packet is None:
                return
            self._sequence = packet.sequence + 1
            if is_error(packet.payload):
                raise self._turned_away(packet.payload)
            if self._step is _Step.GREETING:
                self._greeted(decode_greeting(packet.payload))
            elif self._step is _Step.KEY:
                self._send_encrypted(packet.payload[1:])
            elif self._step is _Step.SALT:
                self._send_signed(packet.payload)
            else:
                self._answered(packet.payload)

    def _send(self, payload: bytes) -> None:
        self._pipe.to_server(encode_packet(payload, self._sequence))
        self._sequence += 1

    def _capabilities(self) -> Capability:
        assert self.greeting is not None
        wanted = _NEEDED | (self._client_capabilities & SHARED)
        if self._database:
            wanted |= Capability.CONNECT_WITH_DB
        if self._wants_tls:
            wanted |= Capability.SSL
        return wanted & self.greeting.capabilities

    @property
    def _wants_tls(self) -> bool:
        return self._target.tls_mode is not TlsMode.DISABLE and bool(
            self.greeting and self.greeting.capabilities & Capability.SSL
        )

    def _greeted(self, greeting: Greeting) -> None:
        self.greeting = greeting
        self._plugin, self._nonce = greeting.plugin, greeting.nonce
        if self._mariadb & ~greeting.mariadb:
            raise self._unreachable(
                f"the target is another server than its version says ({greeting.server_version}): "
                "ask the connection's owner to test it"
            )
        if self._wants_tls:
            self._send(
                encode_ssl_request(self._capabilities(), self._charset, _MAX_PACKET, self._mariadb)
            )
            self._step = _Step.TLS
            self._pipe.emit(StartTls(Side.SERVER))
            return
        if is_tls_required(self._target.tls_mode):
            raise self._unreachable(
                f"the target offers no TLS, but mode {self._target.tls_mode.value} requires it"
            )
        self._respond()

    def tls_started(self) -> None:
        """Go on after the handshake."""
        if self._step is not _Step.TLS:
            raise RemoteProtocolError("TLS started without being asked for")
        self._tls = True
        self._respond()

    def _respond(self) -> None:
        response = HandshakeResponse(
            capabilities=self._capabilities(),
            charset=self._charset,
            username=self._target.username,
            response=self._first_response(),
            database=self._database,
            plugin=self._plugin,
            attributes={"program_name": "querykeep", "_client_name": "querykeep"},
            mariadb=self._mariadb,
        )
        self._send(encode_response(response, _MAX_PACKET))
        self._step = _Step.ANSWER

    def _first_response(self) -> bytes:
        password = self._target.password
        match self._plugin:
            case auth.NATIVE:
                return auth.native_response(password, self._nonce)
            case auth.CACHING_SHA2:
                return auth.caching_sha2_response(password, self._nonce)
            case auth.ED25519:
                return auth.ed25519_response(password, self._nonce)
            case auth.CLEARTEXT | auth.SHA256 if self._tls:
                return password.encode("utf-8") + b"\x00"
            case auth.SHA256:
                return _REQUEST_KEY[auth.SHA256]
        return b""

    def _answered(self, payload: bytes) -> None:
        match payload[0] if payload else -1:
            case 0x00 if payload[0] == OK:
                self.ok = decode_ok(payload)
                self._step = _Step.DONE
            case 0xFE if payload[0] == EOF:
                self._switch(payload)
            case 0x01 if payload[0] == _MORE_DATA:
                self._more(payload[1:])
            case _:
                raise RemoteProtocolError("the target's sign-in answer is not understood")

    def _switch(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise self._unreachable("the target asks for the password form of MySQL before 4.1")
        self._plugin, self._nonce = decode_auth_switch(payload)
        if self._plugin == auth.CLEARTEXT and not self._tls:
            raise self._unreachable("the target asks for the password in clear without TLS")
        known = (*auth.IN_ONE_STEP, auth.SHA256, auth.CLEARTEXT, auth.PARSEC)
        if self._plugin not in known:
            raise self._unreachable(
                f"the stored account signs in with plugin {self._plugin}, which is not supported"
            )
        response = self._first_response()
        if self._plugin == auth.SHA256 and not self._tls:
            self._step = _Step.KEY
        elif self._plugin == auth.PARSEC:
            self._step = _Step.SALT
        self._send(response)

    def _more(self, data: bytes) -> None:
        if self._plugin == auth.CACHING_SHA2 and data == _FAST_AUTH_OK:
            return
        if self._plugin == auth.CACHING_SHA2 and data == _FULL_AUTH:
            if self._tls:
                self._send(self._target.password.encode("utf-8") + b"\x00")
                return
            self._step = _Step.KEY
            self._send(_REQUEST_KEY[auth.CACHING_SHA2])
            return
        if self._plugin == auth.SHA256:
            self._send_encrypted(data)
            return
        raise RemoteProtocolError("the target's sign-in answer is not understood")

    def _send_encrypted(self, public_key_pem: bytes) -> None:
        try:
            secret = auth.encrypted_password(self._target.password, self._nonce, public_key_pem)
        except auth.AuthError as failed:
            raise self._unreachable(str(failed)) from None
        self._step = _Step.ANSWER
        self._send(secret)

    def _send_signed(self, salt: bytes) -> None:
        own_nonce = self._random_bytes(auth.PARSEC_NONCE_BYTES)
        salt = salt.removeprefix(bytes([_MORE_DATA]))
        try:
            answer = auth.parsec_response(self._target.password, self._nonce, salt, own_nonce)
        except auth.AuthError as failed:
            raise self._unreachable(str(failed)) from None
        self._step = _Step.ANSWER
        self._send(answer)

    def _turned_away(self, payload: bytes) -> SessionEndedError:
        told = decode_error(payload)
        if told.code == errors.ER_BAD_DB:
            return SessionEndedError(
                EndReason.CLIENT_CLOSED,
                errors.error(errors.ER_BAD_DB, f"Unknown database '{self._database}'"),
                f"target: {told.code}",
            )
        if told.code in (errors.ER_ACCESS_DENIED, 1698, errors.ER_DBACCESS_DENIED, 1251):
            return self._unreachable(
                "the target refused the stored account: ask the connection's owner to test it",
                f"target: {told.code}",
            )
        return self._unreachable(
            f"the target turned us away (error {told.code})", f"target: {told.code}"
        )

    def _unreachable(self, why: str, detail: str = "") -> SessionEndedError:
        text = f'connection "{self._name}": {why}'
        told = errors.error(errors.ER_UNREACHABLE, text)
        return SessionEndedError(EndReason.TARGET_UNREACHABLE, told, detail or text)
