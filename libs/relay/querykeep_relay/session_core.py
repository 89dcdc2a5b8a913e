"""What one governed session holds, and how it is steered from outside (``LiveSession``)."""

from __future__ import annotations

import logging
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import trio

from querykeep_engines.kit.session import (
    CancelRequested,
    Close,
    Command,
    EndRequested,
    Event,
    PolicyChanged,
    SessionConfig,
)
from querykeep_guard.contracts.audit import SignInRefused
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
)
from querykeep_relay.decider import Lane
from querykeep_relay.limits import SessionLimits
from querykeep_relay.live import SessionReport
from querykeep_relay.observer import Observer
from querykeep_relay.outbound import Outbound
from querykeep_relay.policy_handle import PolicyHandle
from querykeep_relay.recorder import Recorder
from querykeep_relay.services import RelayServices
from querykeep_relay.signin import ApiSignIn, GrantSignIn
from querykeep_relay.target_side import TargetSide
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import Transport

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


class InterruptedStepError(Exception):
    """The session's end interrupted a step; the commands behind it are void."""


class SessionCore(ABC):
    """State of one session; ``SessionSteps`` runs its commands, ``GovernedSession`` its life."""

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
        self._turn = trio.Semaphore(1)
        self._events: deque[Event] = deque()
        self._commands: Iterator[Command] = iter(())
        self._step: trio.CancelScope | None = None
        self._ending: EndRequested | None = None
        self._close: Close | None = None
        self._over = trio.Event()
        self._client_paused = False
        self._stopped_reading = False
        self._grant: SessionGrant | None = None
        self._handle: PolicyHandle | None = None
        self._lane: Lane | None = None
        self._lane_of: tuple[object, ...] = ()
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

    def _spawn(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None and self._close is None:
            self._nursery.start_soon(self._guarded, work, *args)

    async def _guarded(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await work(*args)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A fault ends this session, and no other."""
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

    async def _interruptible(self, work: Callable[..., Awaitable[_T]], *args: object) -> _T:
        """Await a step that the session's end cuts short."""
        if self._ending is not None:
            raise InterruptedStepError
        with trio.CancelScope() as scope:
            self._step = scope
            try:
                return await work(*args)
            finally:
                self._step = None
        raise InterruptedStepError

    @abstractmethod
    async def _deliver(self, event: Event) -> None:
        """Hand an event to the session, in its turn."""

    @abstractmethod
    async def _deliver_end(self, event: EndRequested) -> None:
        """Hand the end to the session; it is over afterwards whatever it answers."""
