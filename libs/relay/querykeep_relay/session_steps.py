"""The commands of a session, one method for each that takes more than a line."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import is_not
from typing import assert_never

import trio

from querykeep_engines.kit.session import (
    Audit,
    CancelAtTarget,
    CatalogChanged,
    Challenge,
    Close,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Decide,
    Decided,
    Event,
    PauseClient,
    Prove,
    Ready,
    RegisterCancelKey,
    RequestCancel,
    ResumeClient,
    Side,
    SignedIn,
    SignInFailed,
    StartTls,
    TlsStarted,
    ToClient,
    ToServer,
)
from querykeep_guard.contracts.audit import SignInRefused, StatementCompleted, StatementStarted
from querykeep_guard.contracts.session import (
    EndReason,
    SessionGrant,
    client_text,
)
from querykeep_guard.policy.decide import stale_refusal
from querykeep_guard.policy.decision import Decision
from querykeep_relay.catalogs import StaleCatalogError
from querykeep_relay.left_running import LeftRunning
from querykeep_relay.recorder import may_run
from querykeep_relay.session_core import InterruptedStepError, SessionCore
from querykeep_relay.spool import SpoolFullError
from querykeep_relay.target_side import TLS_TIMEOUT_S, cancel_at_target
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import LeftoverError, Transport, TransportError
from querykeep_relay.upstream import UpstreamError

_LOG = logging.getLogger(__name__)
_CANCEL_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before a cancel is sent once more."""


@dataclass(frozen=True, slots=True)
class Later:
    """The rest of a command, which has to wait; gives what the command answers."""

    step: Callable[[], Awaitable[Event | None]]


class SessionSteps(SessionCore):
    """Runs commands for ``GovernedSession``; see there for the order."""

    def _execute(self, command: Command) -> Event | Later | None:
        """Run a command, or as much of it as need not wait.

        Raises:
            SpoolFullError, OSError: It could not be recorded.
        """
        match command:
            case ToClient(data=data):
                if self._client_out is not None:
                    self._client_out.put(data)
            case ToServer(data=data):
                self._target.put(data)
            case Audit():
                return self._record(command)
            case Decide():
                known = self._known(command)
                if known is None:
                    return Later(partial(self._decide, command))
                return Decided(command.request_id, known)
            case Challenge():
                return Later(partial(self._challenge, command))
            case Prove():
                return Later(partial(self._prove, command))
            case Connect():
                return Later(self._connect)
            case StartTls(side=side):
                return Later(partial(self._start_tls, side))
            case PauseClient():
                self._client_paused = True
            case ResumeClient():
                self._client_paused = False
                self._read_on()
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

    def _record(self, command: Audit) -> Later | None:
        event = command.event
        sequence = self._recorder.record(event)
        if isinstance(event, StatementStarted):
            self._client = event.client
            self._cancelled_at_target = False
            if may_run(event):
                self._limits.statement_started()
                if self.policy.audit_durability == "machine":
                    return Later(partial(self._services.spool.synced, sequence))
        elif isinstance(event, StatementCompleted):
            self._since = event.completed_at
            self._limits.active()
        return None

    def _known(self, command: Decide) -> tuple[Decision, ...] | None:
        """Return the decisions where they are remembered."""
        services, connection_id = self._services, self._side.connection.id
        handle = self._handle
        if handle is None:
            raise RuntimeError("a session asked for a decision before it had a policy")
        catalog = services.catalogs.current_nowait(connection_id)
        if catalog is None:
            return None
        asked = (command.context, handle, catalog)
        lane = self._lane
        if lane is None or any(map(is_not, asked, self._lane_of)):
            lane = services.decider.lane(self._engine, *asked)
            self._lane, self._lane_of = lane, asked
        known = services.decider.known(self._engine, command.text, lane, handle)
        if known is not None:
            self._recorder.decided(known)
        return known

    async def _decide(self, command: Decide) -> Event:
        decisions = await self._interruptible(self._decide_anew, command)
        self._recorder.decided(decisions)
        return Decided(command.request_id, decisions)

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

    async def _challenge(self, command: Challenge) -> Event:
        challenged = await self._signin.challenge(command)
        if isinstance(challenged, SignInFailed):
            self._note_refusal(challenged, command.username)
        return challenged

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
            client_text(username),
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
            raise InterruptedStepError
        try:
            transport = await self._interruptible(self._target.reach, self.grant.target)
        except UpstreamError as error:
            return ConnectFailed(error.stage, error.message)
        self._target.adopt(
            transport,
            self._nursery,
            on_broken=lambda _: self._lost(Side.SERVER),
            on_room=self._read_on,
        )
        transport.watch(self._services.readiness, partial(self._server_readable, transport))
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
        self._services.spool.natives.opened(
            LeftRunning(
                self.grant.session_id,
                self._side.connection.id,
                native_id,
                self._services.now(),
            )
        )
        self._limits.ready()
        self._observer.session_ready(self.grant)

    def _cancel_at_target(self, native_id: bytes) -> None:
        self._cancelled_at_target = True
        running = self._session.running
        statement_id = running.statement_id if running is not None else ""
        self._services.background.start_soon(self._cancel_until_ended, native_id, statement_id)

    async def _cancel_until_ended(self, native_id: bytes, statement_id: str) -> None:
        """Cancel, and again while the same statement still runs: a cancel that overtakes its
        statement finds nothing to cancel and is lost. Of a session that is over nobody hears
        whether its statement ended, so that it is cancelled once more."""
        for pause_s in _CANCEL_AGAIN_S:
            await cancel_at_target(self._services, self.grant, native_id)
            was_over = self._close is not None
            await trio.sleep(pause_s)
            running = self._session.running
            if self._close is None and (running is None or running.statement_id != statement_id):
                return
            if was_over:
                await cancel_at_target(self._services, self.grant, native_id)
                return
        _LOG.warning(
            "session %s: the target does not end statement %s", self.grant.session_id, statement_id
        )

    @abstractmethod
    def _lost(self, side: Side) -> None:
        """A side cannot be sent to any more."""

    @abstractmethod
    def _read_on(self) -> None:
        """Something that kept input from being taken may have changed."""

    @abstractmethod
    def _server_readable(self, transport: Transport) -> None:
        """The target's socket may be read."""
