"""The client's way in: TLS, start-up packet, SCRAM towards the API or the grant's verifiers."""

from __future__ import annotations

import enum

from querykeep_engines.kit import scram
from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.session import (
    Challenge,
    Prove,
    RemoteProtocolError,
    RequestCancel,
    SessionConfig,
    Side,
    StartTls,
)
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.settings import (
    StartupRefusedError,
    StartupRequest,
    read_parameters,
)
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.codes import LATEST_MINOR, Auth
from querykeep_engines.postgresql.wire.decode import FrontendDecoder
from querykeep_engines.postgresql.wire.frontend import read_sasl_initial
from querykeep_engines.postgresql.wire.startup import (
    CancelRequest,
    GssencRequest,
    SslRequest,
    Startup,
    read_startup,
)
from querykeep_engines.postgresql.wire.states import Action, Phase, action
from querykeep_guard.contracts.session import (
    ClientInfo,
    EndReason,
    Route,
    SessionGrant,
    SignInRefusal,
)


class _Step(enum.Enum):
    START = "start"
    TLS = "tls"
    SASL_INITIAL = "sasl_initial"
    CHALLENGING = "challenging"
    SASL_FINAL = "sasl_final"
    PROVING = "proving"
    DONE = "done"


class ClientSignIn:
    """Drives one client up to AuthenticationOk. ``grant`` is set when that was sent."""

    def __init__(self, config: SessionConfig, pipe: Pipe, decoder: FrontendDecoder) -> None:
        self._config = config
        self._pipe = pipe
        self._decoder = decoder
        self._step = _Step.START
        self._binding = b""
        self._gssenc_asked = False
        self._mechanism = ""
        self.tls = False
        self.minor = 0
        self.request: StartupRequest | None = None
        self.grant: SessionGrant | None = None

    @property
    def client(self) -> ClientInfo:
        """Who is at the other end, as far as it said."""
        program = self.request.program if self.request else ""
        return ClientInfo("", program).kept(self._config.client_address)

    @property
    def username(self) -> str:
        """The name that the client gave, or empty."""
        return self.request.username if self.request else ""

    def advance(self) -> None:
        """Read what the client sent, as far as sign-in needs it.

        Raises:
            SessionEndedError: Turned away.
            RemoteProtocolError: Malformed.
        """
        while self._step is _Step.START:
            payload = self._decoder.next_startup()
            if payload is None:
                return
            self._start(payload)
        if self._step in (_Step.SASL_INITIAL, _Step.SASL_FINAL):
            for frame in self._decoder.frames():
                todo = action(Phase.AUTHENTICATING, frame.kind)
                if todo is Action.TERMINATE:
                    raise SessionEndedError(EndReason.CLIENT_CLOSED, None)
                if todo is not Action.AUTHENTICATE:
                    raise RemoteProtocolError(
                        f"expected SASL response, got message type {frame.kind}"
                    )
                self._sasl(frame.payload)
                return

    def _start(self, payload: bytes) -> None:
        packet = read_startup(payload)
        match packet:
            case SslRequest():
                self._ssl()
            case GssencRequest():
                if self._gssenc_asked or self.tls:
                    raise RemoteProtocolError("unexpected GSSENCRequest")
                self._gssenc_asked = True
                self._pipe.to_client(b"N")
            case CancelRequest():
                self._step = _Step.DONE
                key = packet.pid.to_bytes(4, "big", signed=True) + packet.secret
                self._pipe.emit(RequestCancel(key))
                raise SessionEndedError(EndReason.CLIENT_CLOSED, None)
            case Startup():
                self._startup(packet)

    def _ssl(self) -> None:
        if self.tls:
            raise RemoteProtocolError("SSLRequest inside TLS")
        if not self._config.client_tls_available:
            self._pipe.to_client(b"N")
            return
        if self._decoder.buffered:
            raise RemoteProtocolError("data was sent before the TLS handshake")
        self._step = _Step.TLS
        self._pipe.to_client(b"S")
        self._pipe.emit(StartTls(Side.CLIENT))

    def tls_started(self, channel_binding: bytes) -> None:
        """Go on after the handshake."""
        if self._step is not _Step.TLS:
            raise RemoteProtocolError("TLS started without being asked for")
        self.tls = True
        self._binding = channel_binding
        self._step = _Step.START

    def _startup(self, packet: Startup) -> None:
        needs_tls = self._config.client_tls_required or (
            self._config.connection.tls_required and self._config.route is Route.AGENTLESS
        )
        try:
            self.request = read_parameters(packet.parameters)
        except StartupRefusedError as refused:
            raise SessionEndedError(EndReason.PROTOCOL_ERROR, refused.error) from None
        if needs_tls and not self.tls:
            raise self.refusal(
                SignInRefusal(
                    "tls_required",
                    f'connection "{self._config.connection.name}" is reached over TLS only: '
                    "connect with sslmode=require",
                )
            )
        self.minor = min(packet.minor, LATEST_MINOR)
        if packet.minor > LATEST_MINOR or self.request.unknown_protocol_options:
            self._pipe.to_client(
                encode.negotiate_protocol_version(self.minor, self.request.unknown_protocol_options)
            )
        if self._config.grant is not None and not self._config.client_auth:
            self._granted(self._config.grant)
            return
        mechanisms = [scram.MECHANISM]
        if self.tls and self._binding:
            mechanisms.insert(0, scram.MECHANISM_PLUS)
        self._pipe.to_client(encode.authentication_sasl(mechanisms))
        self._step = _Step.SASL_INITIAL

    def _sasl(self, payload: bytes) -> None:
        if self._step is _Step.SASL_FINAL:
            self._step = _Step.PROVING
            self._pipe.emit(
                Prove(
                    username=self.username,
                    mechanism=self._mechanism,
                    data=payload,
                    client=self.client,
                    database=self._database(),
                    tls=self.tls,
                )
            )
            return
        initial = read_sasl_initial(payload)
        plus = initial.mechanism == scram.MECHANISM_PLUS
        if initial.mechanism != scram.MECHANISM and not (plus and self._binding):
            raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
        try:
            first = scram.read_client_first(initial.data or b"")
        except scram.ScramError as error:
            raise RemoteProtocolError(str(error)) from None
        flag = first.binding_flag
        if plus != flag.startswith(b"p=") or (plus and flag != b"p=tls-server-end-point"):
            raise RemoteProtocolError("SCRAM channel binding type does not fit the mechanism")
        if flag == b"y" and self._binding:
            raise RemoteProtocolError(
                "SCRAM channel binding negotiation error: this server does support it"
            )
        self._mechanism = initial.mechanism
        self._step = _Step.CHALLENGING
        self._pipe.emit(
            Challenge(
                username=self.username,
                mechanism=initial.mechanism,
                data=first.bare,
                gs2_header=first.gs2_header,
                channel_binding=self._binding if plus else b"",
                client=self.client,
                database=self._database(),
                tls=self.tls,
            )
        )

    def _database(self) -> str:
        return self.request.database if self.request else ""

    def challenged(self, data: bytes) -> None:
        """Pass the challenge on."""
        if self._step is not _Step.CHALLENGING:
            raise RemoteProtocolError("challenge without being asked for")
        self._step = _Step.SASL_FINAL
        self._pipe.to_client(encode.authentication(Auth.SASL_CONTINUE, data))

    def signed_in(self, grant: SessionGrant, data: bytes) -> None:
        """Tell the client that it is known."""
        if self._step is not _Step.PROVING:
            raise RemoteProtocolError("sign-in without being asked for")
        self._pipe.to_client(encode.authentication(Auth.SASL_FINAL, data))
        self._granted(grant)

    def _granted(self, grant: SessionGrant) -> None:
        self._step = _Step.DONE
        self.grant = grant
        self._pipe.to_client(encode.authentication(Auth.OK))

    def check_database(self) -> None:
        """Refuse another database than the connection's; only once the client is known.

        Raises:
            SessionEndedError: 3D000.
        """
        if self._database() != self._config.connection.database:
            raise self.refusal(
                SignInRefusal(
                    "unknown_database",
                    f'database "{self._database()}" is not behind this connection: '
                    f'connect to database "{self._config.connection.database}"',
                )
            )

    def refusal(self, refusal: SignInRefusal) -> SessionEndedError:
        """Return how this refusal ends the session."""
        return SessionEndedError(
            refusal.end_reason, errors.sign_in_error(refusal, self.username), refusal.code
        )
