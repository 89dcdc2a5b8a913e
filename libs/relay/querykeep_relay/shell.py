"""``run_session``: the I/O shell around an engine's session.

The session says what to do; the shell does it, strictly in order, one event at a time:

- The task that has an event (bytes from a side, a control event) takes the session's turn, hands
  the event in and runs the commands. It reads no further bytes before they are done, so that
  nothing is read ahead of an upgrade to TLS, and no queue of events can grow.
- Sending never blocks a turn: what a peer does not take at once waits in ``Outbound``, and the
  readers that could add to it stop (see there). So a kill is prompt whoever is slow.
- What may take long within a turn (a decision on a huge text, a connect) can be interrupted by the
  session's end.
- An event is in the spool before the command behind it runs; when it cannot be recorded, the
  commands behind it are dropped and the session ends.

A fault of one session ends that session, as an internal error, and no other.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

import trio

from querykeep_engines.kit.session import (
    Audit,
    CancelAtTarget,
    CancelRequested,
    CatalogChanged,
    Challenge,
    ClientBytes,
    ClientConnected,
    Close,
    Closed,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Decide,
    Decided,
    EndRequested,
    Event,
    PauseClient,
    PolicyChanged,
    Prove,
    Ready,
    RegisterCancelKey,
    RequestCancel,
    ResumeClient,
    ServerBytes,
    SessionConfig,
    Side,
    SignedIn,
    SignInFailed,
    StartTls,
    TlsStarted,
    ToClient,
    ToServer,
)
from querykeep_guard.contracts.audit import SignInRefused, StatementCompleted, StatementStarted
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
)
from querykeep_guard.policy.decide import stale_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_relay.catalogs import StaleCatalogError
from querykeep_relay.limits import SessionLimits
from querykeep_relay.live import SessionReport
from querykeep_relay.observer import NullObserver, Observer
from querykeep_relay.outbound import Outbound
from querykeep_relay.policy_handle import PolicyHandle
from querykeep_relay.recorder import Recorder, may_run
from querykeep_relay.services import RelayServices
from querykeep_relay.signin import ApiSignIn, GrantSignIn
from querykeep_relay.spool import SpoolFullError
from querykeep_relay.target_side import TLS_TIMEOUT_S, TargetSide, cancel_at_target
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import LeftoverError, Transport, TransportError
from querykeep_relay.upstream import UpstreamError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_SHOWN_STATEMENT_CHARS = 4096


@dataclass(frozen=True, slots=True)
class ClientSide:
    """How the client came. ``grant`` is set when it was authenticated before (editor, agent);
    ``client_auth`` then says whether it must still prove the grant's local password. ``tls``: what
    to offer on this transport, None where it is inside TLS already or never leaves the machine."""

    connection: ConnectionInfo
    route: Route
    client: ClientInfo
    grant: SessionGrant | None = None
    client_auth: bool = True
    tls: ListenerTls | None = None


class _InterruptedError(Exception):
    """The session's end interrupted a step; the commands behind it are void."""


async def run_session(
    transport: Transport,
    side: ClientSide,
    *,
    services: RelayServices,
    observer: Observer | None = None,
    on_started: Callable[[GovernedSession], None] | None = None,
) -> EndReason:
    """Govern one client transport until its end; return why it ended.

    Takes over the transport and closes it. Never raises for what peers or the engine's session do;
    cancelling the task ends the session at once, recorded as an internal end.

    Args:
        transport: The client's stream, with any bytes already read from it as leftover.
        side: How the client came.
        services: Of this process.
        observer: Told of decisions and statements.
        on_started: Given the session, to steer it (``end``, ``cancel``).
    """
    session = GovernedSession(transport, side, services, observer or NullObserver())
    if on_started is not None:
        on_started(session)
    return await session.run()


class GovernedSession:
    """One session; a ``LiveSession`` from its grant on. Made and run by ``run_session``."""

    def __init__(
        self, transport: Transport, side: ClientSide, services: RelayServices, observer: Observer
    ) -> None:
        self._side = side
        self._services = services
        self._observer = observer
        self._client_transport = transport
        self._client_out: Outbound | None = None
        self._target = TargetSide(services)
        self._nursery: trio.Nursery | None = None
        self._turn = trio.Lock()
        self._step: trio.CancelScope | None = None
        self._ending: EndRequested | None = None
        self._close: Close | None = None
        self._over = trio.Event()
        self._resumed = trio.Event()
        self._resumed.set()
        self._grant: SessionGrant | None = None
        self._handle: PolicyHandle | None = None
        self._confirmed_at = 0.0
        self._refusal: SignInRefused | None = None
        self._native_id = b""
        self._cancelled_at_target = False
        self._client = side.client
        self._since = services.now()
        self._engine = services.engine(side.connection.engine)
        self._recorder = Recorder(services, observer)
        self._limits = SessionLimits(services, self)
        self._signin: ApiSignIn | GrantSignIn = ApiSignIn(
            services.api, side.connection, side.route, side.client.address
        )
        grant = side.grant
        if grant is not None and grant.client_verifiers is not None:
            self._signin = GrantSignIn(grant, grant.client_verifiers, services.random_bytes)
        self._session = self._engine.session(
            SessionConfig(
                connection=side.connection,
                route=side.route,
                client_address=side.client.address,
                random_bytes=services.random_bytes,
                new_id=services.new_id,
                now=services.clocks,
                grant=grant,
                client_auth=side.client_auth,
                client_tls_available=side.tls is not None,
                client_tls_required=side.connection.tls_required and side.route is Route.AGENTLESS,
            )
        )

    # --- LiveSession ------------------------------------------------------------------------------

    @property
    def grant(self) -> SessionGrant:
        """The grant; sessions are live only once they have one."""
        if self._grant is None:
            raise RuntimeError("the session has no grant yet")
        return self._grant

    @property
    def policy(self) -> SessionPolicy:
        """The policy in force."""
        if self._handle is None:
            raise RuntimeError("the session has no policy yet")
        return self._handle.policy

    @property
    def client(self) -> ClientInfo:
        """Who is at the other end."""
        return self._client

    @property
    def confirmed_at(self) -> float:
        """When the policy was last known to be current, on the monotonic clock."""
        return self._confirmed_at

    @property
    def has_running(self) -> bool:
        """True while a statement runs."""
        return self._session.running is not None

    @property
    def is_idle(self) -> bool:
        """True where ending loses no running work."""
        return self._session.idle

    def confirm(self, at: float) -> None:
        """The policy in force was current at ``at``."""
        self._confirmed_at = max(self._confirmed_at, at)

    def replace_policy(self, policy: SessionPolicy) -> None:
        """Put a policy in force: for the very next decision, and for the session's own plans."""
        handle = self._services.policies.of(policy)
        if handle is self._handle:
            return
        self._handle = handle
        self._spawn(self._deliver, PolicyChanged(policy))
        self._limits.policy_changed()

    def end(self, reason: EndReason, message: str) -> None:
        """End the session, whatever it does now."""
        if self._ending is not None or self._close is not None:
            return
        self._ending = EndRequested(reason, message)
        if self._step is not None:
            self._step.cancel()
        self._spawn(self._deliver_end, self._ending)

    def cancel(self, *, by_admin: bool = False) -> None:
        """Cancel the running statement."""
        self._spawn(self._deliver, CancelRequested(by_admin=by_admin))

    def time_out_statement(self) -> None:
        """Cancel the running statement for its time."""
        self._spawn(self._deliver, CancelRequested(time_limit=True))

    def report(self) -> SessionReport:
        """Return what a heartbeat tells."""
        running = self._session.running
        state = "running" if running else ("idle" if self._session.idle else "transaction")
        sent = self._client_out.sent_bytes if self._client_out is not None else 0
        return SessionReport(
            id=self.grant.session_id,
            state=state,
            statement_id=running.statement_id if running else "",
            statement=running.statement[:_SHOWN_STATEMENT_CHARS] if running else "",
            since=running.started_at if running else self._since,
            rows=self._recorder.rows,
            bytes=sent,
            client_program=self._client.program,
        )

    # --- life -------------------------------------------------------------------------------------

    async def run(self) -> EndReason:
        """Run to the end; see ``run_session``."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._client_out = Outbound(
                    self._client_transport, nursery, lambda _: self._lost(Side.CLIENT)
                )
                if self._side.grant is not None:
                    self._adopt_grant(self._side.grant)
                await self._guarded(self._deliver, ClientConnected())
                self._spawn(self._read_client)
                await self._over.wait()
                await self._flush()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self._limits.close()
            self._finish()
            with trio.CancelScope(shield=True):
                await self._close_transports()
        return self._end_of().reason

    def _end_of(self) -> Close:
        return self._close or Close(EndReason.INTERNAL_ERROR, "the process ended the session")

    def _finish(self) -> None:
        """Record the end and take the session out of every registry. Does not raise."""
        end = self._end_of()
        grant = self._grant
        self._record_refusal()
        if grant is None:
            self._observer.session_ended(end.reason, end.detail)
            return
        if self._recorder.open_statements and not self._cancelled_at_target and self._native_id:
            self._cancel_at_target(self._native_id)
        sent = self._client_out.sent_bytes if self._client_out is not None else 0
        try:
            self._recorder.close_session(grant, end.reason, end.detail, sent)
        except (SpoolFullError, OSError) as error:
            # What was open is closed as "unknown" when the spool is recovered.
            _LOG.error("the end of session %s cannot be recorded: %s", grant.session_id, error)
        except Exception as error:
            self._log_fault(error)
        self._services.feed.closed(self, end.reason, end.detail)
        self._services.catalogs.release(grant.policy.connection_id)
        with contextlib.suppress(Exception):
            self._observer.session_ended(end.reason, end.detail)

    async def _flush(self) -> None:
        """Let what was said last reach its peer, for as long as a peer may be waited for."""
        with trio.move_on_after(self._services.settings.close_grace_s):
            if self._client_out is not None:
                await self._client_out.drained()
        with trio.move_on_after(self._services.settings.close_grace_s / 2):
            await self._target.drained()

    async def _close_transports(self) -> None:
        self._target.close()
        out = self._client_out
        if out is None or out.broken or out.waiting_bytes:
            self._client_transport.close()
        else:
            await self._client_transport.close_gently(self._services.settings.close_grace_s / 2)

    def _spawn(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None and self._close is None:
            self._nursery.start_soon(self._guarded, work, *args)

    async def _guarded(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await work(*args)
        except Exception as error:
            self._log_fault(error)
            self._closed_by(Close(EndReason.INTERNAL_ERROR, "an internal error of Querykeep"))

    def _log_fault(self, error: Exception) -> None:
        """Where it failed, not with what: the text of an error may hold a statement or a secret."""
        frames = "".join(traceback.format_tb(error.__traceback__))
        session_id = self._grant.session_id if self._grant is not None else "(not signed in)"
        _LOG.error("session %s failed: %s\n%s", session_id, type(error).__name__, frames)

    def _closed_by(self, close: Close) -> None:
        if self._close is None:
            self._close = close
        self._over.set()

    # --- events -----------------------------------------------------------------------------------

    async def _read_client(self) -> None:
        out = self._client_out
        assert out is not None
        while self._close is None:
            await out.below_high_water()
            await self._target.below_high_water()
            await self._resumed.wait()
            try:
                data = await self._client_transport.receive(
                    stop_at_hello=self._side.tls is not None and self._grant is None
                )
            except TransportError:
                data = b""
            self._limits.active()
            if not data:
                await self._deliver(Closed(Side.CLIENT))
                return
            await self._deliver(ClientBytes(data))

    async def _read_server(self, transport: Transport) -> None:
        out = self._client_out
        assert out is not None
        while self._close is None and transport is self._target.transport:
            await out.below_high_water()
            try:
                data = await transport.receive()
            except TransportError:
                data = b""
            if transport is not self._target.transport:
                return
            if not data:
                await self._deliver(Closed(Side.SERVER))
                return
            await self._deliver(ServerBytes(data))

    def _lost(self, side: Side) -> None:
        """A side cannot be sent to any more."""
        self._spawn(self._deliver, Closed(side))

    async def _deliver(self, event: Event) -> None:
        """Take the turn, hand the event in, run what the session says."""
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            if self._close is None:
                await self._handle_event(event)
        finally:
            self._turn.release()
        if isinstance(event, Closed) and self._close is None:
            reasons = {
                Side.CLIENT: EndReason.CLIENT_CLOSED,
                Side.SERVER: EndReason.TARGET_CLOSED,
            }
            self._closed_by(Close(reasons[event.side]))

    async def _deliver_end(self, event: EndRequested) -> None:
        with trio.move_on_after(self._services.settings.close_grace_s):
            await self._deliver(event)
        self._closed_by(Close(event.reason, event.message))

    async def _handle_event(self, event: Event) -> None:
        events = deque([event])
        while events and self._close is None:
            for command in self._session.handle(events.popleft()):
                try:
                    answer = await self._execute(command)
                except _InterruptedError:
                    return
                except (SpoolFullError, OSError) as error:
                    events.clear()
                    events.append(self._unrecorded(error))
                    break
                if answer is not None:
                    events.append(answer)
                if self._close is not None:
                    break

    def _unrecorded(self, error: Exception) -> EndRequested:
        """What cannot be recorded must not run."""
        _LOG.error("audit spool: %s", error)
        if self._ending is None:
            self._ending = EndRequested(
                EndReason.SPOOL_FULL,
                "the audit spool of Querykeep is full, so no statement can be recorded or run; "
                "tell its administrator",
            )
            return self._ending
        self._closed_by(Close(self._ending.reason, self._ending.message))
        return self._ending

    async def _execute(self, command: Command) -> Event | None:
        match command:
            case ToClient(data=data):
                if self._client_out is not None:
                    self._client_out.put(data)
            case ToServer(data=data):
                self._target.put(data)
            case Audit():
                await self._record(command)
            case Decide():
                return Decided(command.request_id, await self._decide(command))
            case Challenge():
                challenged = await self._signin.challenge(command)
                if isinstance(challenged, SignInFailed):
                    self._note_refusal(challenged, command.username)
                return challenged
            case Prove():
                return await self._prove(command)
            case Connect():
                return await self._connect()
            case StartTls(side=side):
                return await self._start_tls(side)
            case PauseClient():
                if self._resumed.is_set():
                    self._resumed = trio.Event()
            case ResumeClient():
                self._resumed.set()
            case RegisterCancelKey(key=key):
                self._services.live.register_cancel_key(key, self)
            case RequestCancel(key=key):
                other = self._services.live.by_cancel_key(key)
                if other is not None:
                    other.cancel()
            case CancelAtTarget(native_id=native_id):
                self._cancel_at_target(native_id)
            case CatalogChanged():
                self._services.catalogs.changed(self._side.connection.id)
            case Ready(native_id=native_id):
                self._ready(native_id)
            case Close():
                self._closed_by(command)
            case _:
                assert_never(command)
        return None

    # --- commands ---------------------------------------------------------------------------------

    async def _record(self, command: Audit) -> None:
        event = command.event
        sequence = self._recorder.record(event)
        if isinstance(event, StatementStarted):
            self._client = event.client
            self._cancelled_at_target = False
            if may_run(event):
                if self.policy.audit_durability == "machine":
                    await self._services.spool.synced(sequence)
                self._limits.statement_started()
        elif isinstance(event, StatementCompleted):
            self._since = event.completed_at
            self._limits.active()

    async def _decide(self, command: Decide) -> tuple[Decision, ...]:
        services, connection_id = self._services, self._side.connection.id
        handle = self._handle
        if handle is None:
            raise RuntimeError("a session asked for a decision before it had a policy")
        catalog = services.catalogs.current_nowait(connection_id)
        if catalog is not None:
            known = services.decider.cached(command.text, command.context, handle, catalog)
            if known is not None:
                self._recorder.decided(known)
                return known
        decisions = await self._interruptible(self._decide_anew, command)
        self._recorder.decided(decisions)
        return decisions

    async def _decide_anew(self, command: Decide) -> tuple[Decision, ...]:
        services = self._services
        while True:
            handle = self._handle
            assert handle is not None
            try:
                catalog = await services.catalogs.current(self._side.connection.id)
            except StaleCatalogError as error:
                return (stale_refusal(str(error), command.text, handle.policy),)
            decisions = await services.decider.decide(
                self._engine, command.text, command.context, handle, catalog
            )
            if handle is self._handle:
                return decisions

    async def _prove(self, command: Prove) -> Event:
        self._client = replace(command.client, address=self._side.client.address)
        answer = await self._signin.prove(command)
        if isinstance(answer, SignedIn):
            self._adopt_grant(answer.grant)
        else:
            self._note_refusal(answer, command.username)
        return answer

    def _note_refusal(self, failed: SignInFailed, username: str) -> None:
        self._refusal = SignInRefused(
            self._services.now(),
            self._side.connection.id,
            username,
            self._side.route,
            self._client,
            failed.refusal.code,
            failed.refusal.message,
        )

    def _record_refusal(self) -> None:
        """A refused sign-in is a security matter: recorded here if its engine did not."""
        if self._refusal is None:
            return
        try:
            self._recorder.refuse_sign_in(self._refusal)
        except (SpoolFullError, OSError) as error:
            _LOG.error("a refused sign-in cannot be recorded: %s", error)

    def _adopt_grant(self, grant: SessionGrant) -> None:
        """The API has opened the session: it is live from here on, and its end is reported."""
        if self._grant is grant:
            return
        self._grant = grant
        self._handle = self._services.policies.of(grant.policy)
        self._confirmed_at = trio.current_time()
        self._services.catalogs.hold(self._engine, grant)
        self._services.feed.opened(self)

    async def _connect(self) -> Event:
        if self._nursery is None:
            raise _InterruptedError
        try:
            transport = await self._interruptible(self._target.reach, self.grant.target)
        except UpstreamError as error:
            return ConnectFailed(error.stage, error.message)
        self._target.adopt(transport, self._nursery, lambda _: self._lost(Side.SERVER))
        self._spawn(self._read_server, transport)
        return Connected()

    async def _start_tls(self, side: Side) -> Event | None:
        if side is Side.SERVER:
            return await self._start_target_tls()
        tls = self._side.tls
        if tls is None:
            self._closed_by(Close(EndReason.PROTOCOL_ERROR, "TLS is not offered here"))
            return None
        try:
            with trio.fail_after(TLS_TIMEOUT_S):
                await self._interruptible(self._client_handshake, tls)
        except (TransportError, trio.TooSlowError) as error:
            text = str(error) if isinstance(error, LeftoverError) else f"TLS handshake: {error}"
            self._closed_by(Close(EndReason.PROTOCOL_ERROR, text))
            return None
        return TlsStarted(side, self._client_transport.channel_binding)

    async def _client_handshake(self, tls: ListenerTls) -> None:
        out = self._client_out
        if out is not None:
            await out.drained()
        await self._client_transport.start_tls(
            tls.context, server_side=True, own_binding=tls.channel_binding
        )

    async def _start_target_tls(self) -> Event:
        try:
            binding = await self._interruptible(self._target.start_tls, self.grant.target)
        except UpstreamError as error:
            return ConnectFailed(error.stage, error.message)
        return TlsStarted(Side.SERVER, binding)

    def _ready(self, native_id: bytes) -> None:
        self._native_id = native_id
        tls = self._client_transport.tls is not None
        self._recorder.open_session(self.grant, self._client, tls=tls)
        self._limits.ready()
        self._observer.session_ready(self.grant)

    def _cancel_at_target(self, native_id: bytes) -> None:
        self._cancelled_at_target = True
        self._services.background.start_soon(
            cancel_at_target, self._services, self.grant, native_id
        )

    async def _interruptible(self, work: Callable[..., Awaitable[_T]], *args: object) -> _T:
        """Await a step that the session's end cuts short."""
        if self._ending is not None:
            raise _InterruptedError
        with trio.CancelScope() as scope:
            self._step = scope
            try:
                return await work(*args)
            finally:
                self._step = None
        raise _InterruptedError
