"""MysqlSession: the phases of a session, and every event that reaches it."""

from __future__ import annotations

import enum

from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.recorder import Recorder
from querykeep_engines.kit.session import (
    CancelAtTarget,
    CancelRequested,
    Challenged,
    ClientBytes,
    ClientConnected,
    Close,
    Closed,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Decided,
    EndRequested,
    Event,
    PolicyChanged,
    Ready,
    RegisterCancelKey,
    RemoteProtocolError,
    ServerBytes,
    SessionConfig,
    Side,
    SignedIn,
    SignInFailed,
    TlsStarted,
    ToClient,
)
from querykeep_engines.mysql import errors
from querykeep_engines.mysql.session.change_user import UserChange
from querykeep_engines.mysql.session.client_signin import ClientSignIn
from querykeep_engines.mysql.session.conversation import Conversation
from querykeep_engines.mysql.session.ending import SessionEndedError
from querykeep_engines.mysql.session.own_threads import cancel_key
from querykeep_engines.mysql.session.results import ResultMismatchError, Wire
from querykeep_engines.mysql.session.state import SessionState
from querykeep_engines.mysql.session.target_signin import TargetSignIn
from querykeep_engines.mysql.wire.compression import Compression
from querykeep_engines.mysql.wire.flags import Capability, MariadbCapability
from querykeep_engines.mysql.wire.messages import ErrorPacket, OkPacket
from querykeep_engines.mysql.wire.packets import PacketReader
from querykeep_guard.contracts.audit import Outcome, StatementStarted
from querykeep_guard.contracts.session import EndReason, SessionGrant
from querykeep_guard.masking import MaskerError

_SIGN_IN_PACKET_BYTES = 128 * 1024
_OUTCOMES = {
    EndReason.CLIENT_CLOSED: Outcome.CANCELLED,
    EndReason.TARGET_CLOSED: Outcome.UNKNOWN,
}
"""How what still ran ended; by any other end it was killed."""


class _Phase(enum.Enum):
    CLIENT_SIGN_IN = "client sign-in"
    CONNECTING = "connecting"
    TARGET_SIGN_IN = "target sign-in"
    LIVE = "live"
    OVER = "over"


class MysqlSession:
    """Client side and server side back to back; see ``kit.session.EngineSession``."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._pipe = Pipe()
        self._recorder = Recorder(config, self._pipe)
        self._client_reader = PacketReader(_SIGN_IN_PACKET_BYTES, "client")
        self._server_reader = PacketReader(config.limits.server_message_bytes, "target")
        self._signin = ClientSignIn(config, self._pipe, self._client_reader)
        self._target: TargetSignIn | None = None
        self._state = SessionState(config.connection)
        self._wire = Wire(
            self._pipe, self._server_reader, self._recorder, self._state, self._cancel
        )
        self._talk: Conversation | None = None
        self._phase = _Phase.CLIENT_SIGN_IN
        self._native_id = b""
        self._compression: Compression | None = None
        self._plain: list[Command] = []

    @property
    def _is_mariadb(self) -> bool:
        return self._config.connection.flavour == "mariadb"

    @property
    def running(self) -> StatementStarted | None:
        """The statement that runs now."""
        run = self._talk.running if self._talk else None
        return run.started if run else None

    @property
    def idle(self) -> bool:
        """True when nothing runs and no transaction is open."""
        return self._talk is not None and self._talk.is_idle

    def handle(self, event: Event) -> list[Command]:
        """Take one event, return what to do, in order."""
        if self._phase is _Phase.OVER:
            return []
        try:
            self._handle(event)
        except SessionEndedError as ended:
            self._end(ended.reason, ended.error, ended.detail)
        except ResultMismatchError as mismatch:
            text = f"the result was stopped before its first row: {mismatch}"
            self._end(
                EndReason.RESULT_MISMATCH,
                errors.end_error(EndReason.RESULT_MISMATCH, text, is_mariadb=self._is_mariadb),
                text,
            )
        except MaskerError as failed:
            text = f"the result was stopped before its first row: a mask cannot be made: {failed}"
            self._end(
                EndReason.RESULT_MISMATCH,
                errors.end_error(EndReason.RESULT_MISMATCH, text, is_mariadb=self._is_mariadb),
                text,
            )
        except RemoteProtocolError as broken:
            too_large = "packet of more than" in str(broken)
            code = errors.ER_PACKET_TOO_LARGE if too_large else errors.ER_OUT_OF_ORDER
            self._end(EndReason.PROTOCOL_ERROR, errors.error(code, str(broken)), str(broken))
        return self._taken()

    def _taken(self) -> list[Command]:
        plain, self._plain = self._plain, []
        commands = self._pipe.take()
        if self._compression is not None:
            pack = self._compression.pack
            commands = [
                ToClient(pack(each.data)) if isinstance(each, ToClient) else each
                for each in commands
            ]
        return plain + commands

    def _handle(self, event: Event) -> None:
        match event:
            case ClientConnected():
                self._signin.greet()
            case ClientBytes(data):
                if self._compression is not None:
                    data = self._compression.unpack(data)
                self._client_reader.feed(data)
                self._client_came()
            case ServerBytes(data):
                self._server_reader.feed(data)
                self._server_came()
            case TlsStarted(Side.CLIENT):
                self._signin.tls_started()
                self._client_came()
            case TlsStarted(Side.SERVER):
                if self._target is not None:
                    self._target.tls_started()
                    self._server_came()
            case Challenged():
                raise RemoteProtocolError("a challenge that was not asked for")
            case SignedIn(grant, _):
                self._signin.signed_in(grant)
                self._granted(grant)
            case SignInFailed(refusal):
                raise self._signin.refusal(refusal)
            case Connected():
                self._connected()
            case ConnectFailed(stage, message):
                self._connect_failed(stage, message)
            case Closed(side):
                self._closed(side)
            case Decided() | PolicyChanged() | CancelRequested():
                if self._talk is not None:
                    self._talk.told(event)
            case EndRequested(reason, message):
                error = errors.end_error(reason, message, is_mariadb=self._is_mariadb)
                self._end(reason, error, message)

    # --- sign-in ----------------------------------------------------------------------------------

    def _client_came(self) -> None:
        if self._phase is _Phase.CLIENT_SIGN_IN:
            self._signin.advance()
            if self._signin.grant is not None and self._phase is _Phase.CLIENT_SIGN_IN:
                self._granted(self._signin.grant)
        elif self._phase is _Phase.LIVE and self._talk is not None:
            self._talk.client_came()
        elif self._client_reader.buffered > _SIGN_IN_PACKET_BYTES:
            raise RemoteProtocolError("data was sent before sign-in was complete")

    def _granted(self, grant: SessionGrant) -> None:
        self._phase = _Phase.CONNECTING
        self._recorder.opened(grant, self._signin.client, tls=self._signin.tls)
        self._pipe.emit(Connect())

    def _connected(self) -> None:
        self._phase = _Phase.TARGET_SIGN_IN
        response = self._signin.response
        self._target = TargetSignIn(
            self._recorder.grant.target,
            self._config.connection.name,
            self._signin.database,
            self._signin.capabilities,
            self._signin.mariadb,
            response.charset if response else 0,
            self._pipe,
            self._server_reader,
            self._config.random_bytes,
        )
        self._server_came()

    def _connect_failed(self, stage: str, message: str) -> None:
        name = self._config.connection.name
        text = f'connection "{name}": the target cannot be reached ({stage}): {message}'
        error = errors.error(errors.ER_UNREACHABLE, text)
        raise SessionEndedError(EndReason.TARGET_UNREACHABLE, error)

    def _server_came(self) -> None:
        if self._phase is _Phase.TARGET_SIGN_IN and self._target is not None:
            self._target.advance()
            if self._target.ok is None:
                return
            self._go_live(self._target, self._target.ok)
        if self._talk is not None:
            self._talk.server_came()

    def _go_live(self, target: TargetSignIn, ok: OkPacket) -> None:
        assert target.greeting is not None
        self._phase = _Phase.LIVE
        self._native_id = str(target.greeting.thread_id).encode("ascii")
        self._state.server_version = target.greeting.server_version
        self._state.status = ok.status
        extended = MariadbCapability.EXTENDED_METADATA
        self._state.extended_metadata = bool(self._signin.mariadb & extended)
        self._client_reader.limit_bytes = self._config.limits.client_message_bytes
        self._talk = Conversation(
            self._config,
            self._wire,
            self._client_reader,
            is_mariadb=self._is_mariadb,
            on_ready=self._ready,
            change_user=UserChange(self._signin.proof, self._signin.capabilities),
        )
        self._talk.start()

    def _ready(self) -> None:
        """The state is known: now the client may begin."""
        grant = self._recorder.grant
        self._signin.send(OkPacket(0, 0, self._state.status, 0).encode())
        key = cancel_key(
            self._config.connection.id, grant.policy.subject.user_id, self._signin.thread_id
        )
        self._pipe.emit(RegisterCancelKey(key))
        self._pipe.emit(Ready(self._native_id))
        if self._signin.capabilities & Capability.COMPRESS:
            # The OK above is the last that goes as it is.
            self._plain = self._pipe.take()
            limits = self._config.limits
            self._compression = Compression(limits.client_message_bytes + limits.pipeline_bytes)

    # --- endings ----------------------------------------------------------------------------------

    def _cancel(self) -> None:
        self._pipe.emit(CancelAtTarget(self._native_id))

    def _closed(self, side: Side) -> None:
        if side is Side.CLIENT:
            if self._talk is not None and self._talk.running is not None:
                self._cancel()
                self._talk.abandon(Outcome.CANCELLED, "the client went away")
            self._end(EndReason.CLIENT_CLOSED, None, "")
            return
        text = f'connection "{self._config.connection.name}": the target closed the connection'
        error = errors.error(errors.ER_LOST, text)
        self._end(EndReason.TARGET_CLOSED, error, text)

    def _end(self, reason: EndReason, error: ErrorPacket | None, detail: str) -> None:
        is_answering = self._talk is not None and self._talk.is_answering
        if self._talk is not None:
            # Of a target that is gone, another thread may have the number by now.
            if self._talk.running is not None and reason is not EndReason.TARGET_CLOSED:
                self._cancel()
            self._talk.abandon(_OUTCOMES.get(reason, Outcome.KILLED), detail)
        if error is not None:
            if self._talk is not None and self._talk.has_begun:
                if not is_answering:
                    # Read when the client asks next: then it is the answer, and tells its reason.
                    self._wire.begin()
                self._wire.own(error.encode())
            else:
                self._signin.send(error.encode())
        if self._recorder.is_open:
            self._recorder.closed(reason, detail)
        elif self._signin.response is not None:
            code = detail or reason.value
            self._recorder.turned_away(
                self._signin.username,
                self._signin.client,
                code,
                error.message if error else "",
            )
        self._phase = _Phase.OVER
        self._pipe.emit(Close(reason, detail))
