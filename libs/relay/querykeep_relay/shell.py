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
from collections import deque
from collections.abc import Callable

import trio

from querykeep_engines.kit.session import (
    ClientBytes,
    ClientConnected,
    Close,
    Closed,
    EndRequested,
    Event,
    ServerBytes,
    Side,
)
from querykeep_guard.contracts.session import (
    EndReason,
)
from querykeep_relay.observer import NullObserver, Observer
from querykeep_relay.outbound import Outbound
from querykeep_relay.services import RelayServices
from querykeep_relay.session_core import ClientSide, InterruptedStepError
from querykeep_relay.session_steps import SessionSteps
from querykeep_relay.spool import SpoolFullError
from querykeep_relay.transport import Transport, TransportError

__all__ = ["ClientSide", "GovernedSession", "run_session"]

_LOG = logging.getLogger(__name__)


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


class GovernedSession(SessionSteps):
    """One session; a ``LiveSession`` from its grant on. Made and run by ``run_session``."""

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
            with contextlib.suppress(Exception):
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
                except InterruptedStepError:
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
