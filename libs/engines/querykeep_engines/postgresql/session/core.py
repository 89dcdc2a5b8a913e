"""PostgresqlSession: events in, commands out.

    client            session             target
      │ SSLRequest       │                   │
      │ start-up, SCRAM  │── Challenge, Prove (API)
      │                  │ SSLRequest        │
      │                  │ start-up, SCRAM   │
      │ ReadyForQuery    │◀──────────────────│
      │ Query            │── Decide, Audit   │
      │                  │ Query             │
      │ rows, masked     │◀──────────────────│

``client_signin`` and ``target_signin`` bring both ends up; then ``requests`` and ``answers``
share a ``line``. This class only sees to which of them an event belongs, and how a session ends.
"""

from __future__ import annotations

from querykeep_engines.kit import session as kit
from querykeep_engines.kit.pipe import Pipe
from querykeep_engines.kit.recorder import Recorder
from querykeep_engines.postgresql import errors
from querykeep_engines.postgresql.errors import PgError
from querykeep_engines.postgresql.session.answers import Answers
from querykeep_engines.postgresql.session.client_signin import ClientSignIn
from querykeep_engines.postgresql.session.ending import SessionEndedError
from querykeep_engines.postgresql.session.judge import Judge
from querykeep_engines.postgresql.session.line import Line
from querykeep_engines.postgresql.session.requests import Requests
from querykeep_engines.postgresql.session.target_signin import TargetSignIn
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.decode import BackendDecoder, FrontendDecoder
from querykeep_guard.contracts.audit import Outcome, StatementStarted
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import EndReason
from querykeep_guard.policy.decision import Decision

_LONG_KEY_MINOR = 2
_SHORT_KEY_BYTES = 4
_LONG_KEY_BYTES = 32


class PostgresqlSession:
    """One governed PostgreSQL connection; implements ``kit.session.EngineSession``."""

    def __init__(self, config: kit.SessionConfig) -> None:
        self._config = config
        self._pipe = Pipe()
        self._from_client = FrontendDecoder(config.limits)
        self._from_server = BackendDecoder(config.limits)
        self._recorder = Recorder(config, self._pipe)
        self._client = ClientSignIn(config, self._pipe, self._from_client)
        self._target: TargetSignIn | None = None
        self._line: Line | None = None
        self._judge: Judge | None = None
        self._requests: Requests | None = None
        self._answers: Answers | None = None
        self._policy: SessionPolicy | None = None
        self._over = False

    # --- what the shell asks ----------------------------------------------------------------------

    @property
    def running(self) -> StatementStarted | None:
        """The statement that runs now."""
        run = self._line.head_run if self._line is not None else None
        return run.started if run is not None else None

    @property
    def idle(self) -> bool:
        """True when no statement runs, none waits and no transaction is open."""
        if self._over:
            return True
        line, requests = self._line, self._requests
        if line is None or requests is None:
            return False
        return not line.pending and not line.open_series and requests.empty and line.status == "I"

    def handle(self, event: kit.Event) -> list[kit.Command]:
        """Take one event, return what to do, in order."""
        if self._over:
            return []
        try:
            self._dispatch(event)
            self._go_on()
        except SessionEndedError as ended:
            self._end(ended)
        except kit.RemoteProtocolError as error:
            self._end(self._protocol_error(event, error))
        return self._pipe.take()

    # --- events -----------------------------------------------------------------------------------

    def _dispatch(self, event: kit.Event) -> None:
        match event:
            case kit.ClientConnected():
                return
            case kit.ClientBytes(data=data):
                self._client_bytes(data)
            case kit.ServerBytes(data=data):
                self._server_bytes(data)
            case kit.TlsStarted(side=kit.Side.CLIENT, channel_binding=binding):
                self._client.tls_started(binding)
                self._client.advance()
            case kit.TlsStarted(channel_binding=binding):
                self._need_target().tls_started(binding)
            case kit.Challenged(data=data):
                self._client.challenged(data)
            case kit.SignedIn(grant=grant, data=data):
                self._client.signed_in(grant, data)
            case kit.SignInFailed(refusal=refusal):
                raise self._client.refusal(refusal)
            case kit.Connected():
                self._need_target().connected()
            case kit.ConnectFailed(stage=stage, message=message):
                raise self._unreachable(stage, message)
            case kit.Closed(side=side):
                self._closed(side)
            case kit.Decided(request_id=request_id, decisions=decisions):
                self._decided(request_id, decisions)
            case kit.PolicyChanged(policy=policy):
                self._policy_changed(policy)
            case kit.EndRequested(reason=reason, message=message):
                raise SessionEndedError(reason, errors.end_error(reason, message))
            case kit.CancelRequested():
                self._cancel(event)

    def _go_on(self) -> None:
        """Do what the event made possible."""
        grant = self._client.grant
        if grant is not None and self._target is None:
            self._policy = self._policy or grant.policy
            self._recorder.opened(grant, self._client.client, tls=self._client.tls)
            self._client.check_database()
            request = self._client.request
            self._target = TargetSignIn(
                self._config,
                grant,
                self._pipe,
                self._from_server,
                request.settings if request else (),
            )
            self._pipe.emit(kit.Connect())
        if self._target is not None and self._target.ready and self._line is None:
            self._go_live(self._target)
        if self._requests is not None and not self._requests.is_at_rest:
            self._requests.pump()

    def _go_live(self, target: TargetSignIn) -> None:
        grant = self._client.grant
        if grant is None or self._policy is None:
            raise kit.RemoteProtocolError("the target is ready before the client is known")
        line = Line(self._config, grant, self._pipe, self._recorder, target.native_id)
        line.policy = self._policy
        self._recorder.policy_version = line.policy.version
        for name, value in target.parameters.items():
            line.state.parameter(name, value)
            self._pipe.to_client(encode.parameter_status(name, value))
        key_bytes = _LONG_KEY_BYTES if self._client.minor >= _LONG_KEY_MINOR else _SHORT_KEY_BYTES
        pid = int.from_bytes(self._config.random_bytes(4), "big") & 0x7FFFFFFF
        secret = self._config.random_bytes(key_bytes)
        self._pipe.emit(kit.RegisterCancelKey(pid.to_bytes(4, "big") + secret))
        self._pipe.to_client(encode.backend_key_data(pid, secret))
        self._pipe.to_client(encode.ready_for_query("I"))
        self._pipe.emit(kit.Ready(target.native_id))
        self._line = line
        self._judge = Judge(line)
        self._requests = Requests(line, self._judge)
        self._answers = Answers(line)
        self._from_server.pass_partial = self._answers.may_pass_partial
        for frame in self._from_client.frames():
            self._requests.add(frame)
        self._read_answers(line, self._answers)

    def _client_bytes(self, data: bytes) -> None:
        self._from_client.feed(data)
        if self._requests is not None:
            for frame in self._from_client.frames():
                self._requests.add(frame)
        elif self._client.grant is None:
            self._client.advance()
        elif self._from_client.buffered > self._config.limits.client_message_bytes:
            raise kit.RemoteProtocolError("too much was sent before the session was ready")

    def _server_bytes(self, data: bytes) -> None:
        self._from_server.feed(data)
        if self._line is not None and self._answers is not None:
            self._read_answers(self._line, self._answers)
        else:
            self._need_target().advance()

    def _read_answers(self, line: Line, answers: Answers) -> None:
        requests = self._requests
        for item in self._from_server.items():
            answers.item(item)
            if requests is not None and not line.pending and not requests.is_at_rest:
                requests.pump()

    def _need_target(self) -> TargetSignIn:
        if self._target is None:
            raise kit.RemoteProtocolError("the target spoke before it was asked")
        return self._target

    def _decided(self, request_id: int, decisions: tuple[Decision, ...]) -> None:
        if self._judge is None or self._requests is None:
            return
        frame = self._judge.decided(request_id, decisions)
        if frame is not None:
            self._requests.again(frame)

    def _policy_changed(self, policy: SessionPolicy) -> None:
        self._policy = policy
        line = self._line
        if line is None or self._judge is None:
            return
        same = _same_rules(line.policy, policy)
        line.policy = policy
        self._recorder.policy_version = policy.version
        self._judge.policy_changed()
        if same:
            return
        for pending in line.pending:
            for run in pending.runs:
                run.void = True
                run.override = run.override or PgError(
                    errors.QUERY_CANCELED,
                    "the result was ended: the policy for this connection changed; run the "
                    "statement again",
                )

    def _cancel(self, event: kit.CancelRequested) -> None:
        line = self._line
        if line is None or self._requests is None:
            return
        told: PgError | None = None
        if event.time_limit:
            limit = line.policy.limits.statement_timeout_s
            span = f" of {limit:g} s" if limit is not None else ""
            told = PgError(
                errors.QUERY_CANCELED,
                f"canceling statement: it ran longer than the limit{span} of this connection",
            )
        elif event.by_admin:
            told = PgError(errors.QUERY_CANCELED, "canceling statement: an administrator ended it")
        run = line.head_run
        if run is None:
            self._requests.interrupt(told)
            return
        run.override = told or run.override
        run.cancel_sent = False  # one that came too early had no effect: each request counts
        line.cancel_head()

    # --- the end ----------------------------------------------------------------------------------

    def _closed(self, side: kit.Side) -> None:
        if side is kit.Side.CLIENT:
            raise SessionEndedError(EndReason.CLIENT_CLOSED, None)
        text = "the target closed the connection"
        raise SessionEndedError(
            EndReason.TARGET_CLOSED, errors.end_error(EndReason.TARGET_CLOSED, text)
        )

    def _unreachable(self, stage: str, message: str) -> SessionEndedError:
        name = self._config.connection.name
        text = f'connection "{name}": the target cannot be reached ({stage}): {message}'
        return SessionEndedError(
            EndReason.TARGET_UNREACHABLE, errors.fatal(errors.CANNOT_CONNECT, text)
        )

    def _protocol_error(
        self, event: kit.Event, error: kit.RemoteProtocolError
    ) -> SessionEndedError:
        text = str(error)
        if isinstance(event, kit.ServerBytes):
            text = f"the target broke the protocol: {text}"
        return SessionEndedError(
            EndReason.PROTOCOL_ERROR, errors.fatal(errors.PROTOCOL_VIOLATION, text)
        )

    def _end(self, ended: SessionEndedError) -> None:
        self._over = True
        line = self._line
        if line is not None:
            if line.head_run is not None:
                line.cancel_head()
            gone = ended.reason is EndReason.CLIENT_CLOSED
            mismatch = ended.reason is EndReason.RESULT_MISMATCH
            lost = ended.reason is EndReason.TARGET_CLOSED
            outcome = Outcome.KILLED
            if gone:
                outcome = Outcome.CANCELLED
            elif mismatch or lost:
                outcome = Outcome.ERROR
            line.complete_all(outcome, ended.detail or ended.reason.value)
        if ended.error is not None and (line is None or not line.lost):
            self._pipe.to_client(ended.error.encode())
        if self._recorder.is_open:
            self._recorder.closed(ended.reason, ended.detail)
        elif ended.error is not None:
            code = ended.detail if ended.detail in _REFUSAL_CODES else ended.reason.value
            self._recorder.turned_away(
                self._client.username, self._client.client, code, ended.error.message
            )
        self._pipe.emit(kit.Close(ended.reason, ended.detail))


_REFUSAL_CODES = frozenset(
    {
        "bad_credentials",
        "locked",
        "outside_zone",
        "outside_hours",
        "no_grant",
        "tls_required",
        "connection_disabled",
        "unknown_database",
        "policy_unreachable",
        "ticket_invalid",
    }
)


def _same_rules(old: SessionPolicy, new: SessionPolicy) -> bool:
    """Return whether two versions say the same of every statement."""
    return (
        old.grants == new.grants
        and old.access_rules == new.access_rules
        and old.masking_rules == new.masking_rules
        and old.statement_rules == new.statement_rules
        and old.limits == new.limits
    )
