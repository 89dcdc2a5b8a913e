"""The way into the target: TLS, start-up, authentication with the stored account.

Nothing that the target says about the stored account reaches the client; what it says about itself
(ParameterStatus) is collected for replay.
"""

from __future__ import annotations

import base64
import enum
import hashlib

from querykeep_engines.kit import scram
from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.session import (
    RemoteProtocolError,
    SessionConfig,
    Side,
    StartTls,
)
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    Authentication,
    BackendKeyData,
    read_authentication,
    read_error_fields,
    read_key_data,
    read_parameter_status,
    read_status,
)
from querykeep_engines.postgresql.wire.codes import SSL_REQUEST, Auth, Backend
from querykeep_engines.postgresql.wire.decode import BackendDecoder, Frame
from querykeep_engines.postgresql.wire.startup import encode_request, encode_startup
from querykeep_guard.contracts.session import EndReason, SessionGrant, TlsMode

_NEEDS_TLS = frozenset({TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL})


class _Step(enum.Enum):
    CONNECTING = "connecting"
    TLS_ANSWER = "tls_answer"
    TLS = "tls"
    STARTED = "started"
    READY = "ready"


class TargetSignIn:
    """Drives the target up to its first ReadyForQuery. ``ready`` says that it is there."""

    def __init__(
        self,
        config: SessionConfig,
        grant: SessionGrant,
        pipe: Pipe,
        decoder: BackendDecoder,
        settings: tuple[tuple[str, str], ...],
    ) -> None:
        self._config = config
        self._target = grant.target
        self._pipe = pipe
        self._decoder = decoder
        self._settings = settings
        self._step = _Step.CONNECTING
        self._tls = False
        self._binding = b""
        self._scram: scram.ScramClient | None = None
        self._scram_done = False
        self._key: BackendKeyData | None = None
        self.parameters: dict[str, str] = {}

    @property
    def ready(self) -> bool:
        """True once the target is ready for queries."""
        return self._step is _Step.READY

    @property
    def native_id(self) -> bytes:
        """The target's process id (4 bytes) and cancel key."""
        if self._key is None:
            return b""
        return self._key.pid.to_bytes(4, "big", signed=True) + self._key.secret

    def connected(self) -> None:
        """The transport stands."""
        if self._target.tls_mode is TlsMode.DISABLE:
            self._start()
            return
        self._step = _Step.TLS_ANSWER
        self._pipe.to_server(encode_request(SSL_REQUEST))

    def tls_started(self, channel_binding: bytes) -> None:
        """The handshake is done."""
        if self._step is not _Step.TLS:
            raise RemoteProtocolError("TLS started without being asked for")
        self._tls = True
        self._binding = channel_binding
        self._start()

    def _start(self) -> None:
        self._step = _Step.STARTED
        parameters = (("user", self._target.username), ("database", self._target.database))
        self._pipe.to_server(encode_startup(parameters + self._settings))

    def advance(self) -> None:
        """Read what the target sent, up to its first ReadyForQuery.

        Raises:
            SessionEndedError: The target or its account is not usable.
            RemoteProtocolError: The target broke the protocol.
        """
        if self._step is _Step.TLS_ANSWER and not self._read_tls_answer():
            return
        if self._step is not _Step.STARTED:
            if self._decoder.buffered:
                raise RemoteProtocolError("the target sent data out of turn")
            return
        for item in self._decoder.items():
            if not isinstance(item, Frame):
                raise RemoteProtocolError("the target sent rows before it was ready")
            self._frame(item)
            if self.ready:
                return

    def _read_tls_answer(self) -> bool:
        answer = self._decoder.next_byte()
        if answer is None:
            return False
        if answer == ord("S"):
            if self._decoder.buffered:
                raise RemoteProtocolError("the target sent data before the TLS handshake")
            self._step = _Step.TLS
            self._pipe.emit(StartTls(Side.SERVER))
            return False
        if answer == ord("N"):
            if self._target.tls_mode in _NEEDS_TLS:
                raise self._refuse("the target does not offer TLS, which this connection requires")
            self._start()
            return True
        raise RemoteProtocolError("the target answered the request for TLS with something else")

    def _frame(self, frame: Frame) -> None:
        match frame.kind:
            case Backend.AUTHENTICATION:
                self._authenticate(read_authentication(frame.payload))
            case Backend.PARAMETER_STATUS:
                status = read_parameter_status(frame.payload)
                self.parameters[status.name] = status.value
            case Backend.BACKEND_KEY_DATA:
                self._key = read_key_data(frame.payload)
            case Backend.READY_FOR_QUERY:
                read_status(frame.payload)
                self._step = _Step.READY
            case Backend.ERROR_RESPONSE:
                raise self._target_error(frame.payload)
            case Backend.NOTICE_RESPONSE:
                return
            case _:
                raise RemoteProtocolError(
                    f"the target sent message type {frame.kind} before it was ready"
                )

    def _authenticate(self, request: Authentication) -> None:
        match request.code:
            case Auth.OK:
                if self._scram is not None and not self._scram_done:
                    raise self._refuse("the target did not prove that it knows the account")
            case Auth.CLEARTEXT:
                if not self._tls:
                    raise self._refuse(
                        "the target asks for the password in clear over a connection without TLS"
                    )
                self._pipe.to_server(encode.password(self._target.password.encode() + b"\0"))
            case Auth.MD5:
                self._pipe.to_server(encode.password(self._md5(request.data)))
            case Auth.SASL | Auth.SASL_CONTINUE | Auth.SASL_FINAL:
                try:
                    self._sasl(request)
                except scram.ScramError as error:
                    raise self._refuse(f"signing in to the target failed: {error}") from None
            case _:
                raise self._refuse(
                    f"the target asks for authentication method {request.code}, "
                    "which is not supported (supported: SCRAM-SHA-256, MD5, password over TLS)"
                )

    def _md5(self, salt: bytes) -> bytes:
        secret = (self._target.password + self._target.username).encode()
        inner = hashlib.md5(secret, usedforsecurity=False).hexdigest().encode()
        outer = hashlib.md5(inner + salt, usedforsecurity=False).hexdigest()
        return f"md5{outer}".encode() + b"\0"

    def _sasl(self, request: Authentication) -> None:
        if request.code == Auth.SASL:
            offered = request.mechanisms
            nonce = base64.b64encode(self._config.random_bytes(18))
            client = scram.ScramClient(
                self._target.password,
                nonce,
                self._binding,
                server_offers_plus=scram.MECHANISM_PLUS in offered,
            )
            if client.mechanism not in offered:
                raise scram.ScramError("no SASL mechanism in common")
            self._scram = client
            self._pipe.to_server(encode.sasl_initial(client.mechanism, client.first()))
        elif self._scram is None:
            raise scram.ScramError("unexpected SASL message")
        elif request.code == Auth.SASL_CONTINUE:
            self._pipe.to_server(encode.password(self._scram.final(request.data)))
        else:
            self._scram.verify(request.data)
            self._scram_done = True

    def _refuse(self, message: str) -> SessionEndedError:
        name = self._config.connection.name
        return SessionEndedError(
            EndReason.TARGET_UNREACHABLE,
            errors.fatal(errors.CANNOT_CONNECT, f'connection "{name}": {message}'),
        )

    def _target_error(self, payload: bytes) -> SessionEndedError:
        fields = dict(read_error_fields(payload))
        code = fields.get("C", "")
        name = self._config.connection.name
        if code.startswith("28"):
            text = f'the stored account of connection "{name}" was refused by the target'
            error = errors.fatal(errors.CANNOT_CONNECT, f"{text}; ask an administrator to test it")
        elif code == errors.UNDEFINED_DATABASE:
            error = errors.fatal(
                errors.CANNOT_CONNECT,
                f'the database of connection "{name}" does not exist at the target',
            )
        elif code.startswith(("53", "57")):
            error = errors.fatal(code, f'the target of connection "{name}" takes no connection now')
        elif code.startswith("22") or code == "42704":
            error = errors.fatal(code, fields.get("M", "a start-up setting was refused"))
        else:
            error = errors.fatal(
                errors.CANNOT_CONNECT,
                f'the target of connection "{name}" refused the session ({code or "no code"})',
            )
        return SessionEndedError(EndReason.TARGET_UNREACHABLE, error)
