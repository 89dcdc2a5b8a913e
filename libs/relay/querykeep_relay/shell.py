"""``run_session``: the I/O shell around an engine's session.

The session says what to do; the shell does it, strictly in order, one event at a time:

- Who has an event (``Readiness``, for bytes of a side; a task, for a control event) takes the
  session's turn, hands the event in and runs the commands. No further bytes are read before they
  are done, so that nothing is read ahead of an upgrade to TLS, and no queue of events can grow.
- A turn runs at once and without a switch of tasks as far as nothing has to be waited for. A
  command that must wait goes on in a task, which keeps the turn and runs what comes behind.
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
from collections.abc import Callable
from functools import partial

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
from querykeep_relay.session_steps import Later, SessionSteps
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
                    self._client_transport,
                    nursery,
                    on_broken=lambda _: self._lost(Side.CLIENT),
                    on_room=self._read_on,
                )
                if self._side.grant is not None:
                    self._adopt_grant(self._side.grant)
                await self._guarded(self._deliver, ClientConnected())
                self._watch_client()
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

    def _watch_client(self) -> None:
        transport = self._client_transport
        transport.watch(self._services.readiness, self._client_readable)
        if transport.has_unread:
            self._spawn(self._read_unread, self._client_readable)

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
        self._services.spool.natives.closed(grant.session_id)
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

    def _client_readable(self) -> None:
        transport = self._client_transport
        while True:
            if not self._may_read_client():
                self._stop_reading(transport)
                return
            before_sign_in = self._side.tls is not None and self._grant is None
            try:
                data = transport.receive_nowait(stop_at_hello=before_sign_in)
            except TransportError:
                data = b""
            if data is None:
                self._write_before_reading(transport)
                return
            self._limits.active()
            if not data:
                transport.pause()
                self._take_turn(Closed(Side.CLIENT))
                return
            self._take_turn(ClientBytes(data))
            if not transport.has_unread:
                return

    def _server_readable(self, transport: Transport) -> None:
        while True:
            if not self._may_read_server() or transport is not self._target.transport:
                self._stop_reading(transport)
                return
            try:
                data = transport.receive_nowait()
            except TransportError:
                data = b""
            if data is None:
                self._write_before_reading(transport)
                return
            if not data:
                transport.pause()
                self._take_turn(Closed(Side.SERVER))
                return
            self._take_turn(ServerBytes(data))
            if not transport.has_unread:
                return

    def _may_read_client(self) -> bool:
        return self._target.has_room and not self._client_paused and self._may_read_server()

    def _may_read_server(self) -> bool:
        out = self._client_out
        return out is not None and out.has_room and self._turn.value > 0 and self._close is None

    def _stop_reading(self, transport: Transport) -> None:
        transport.pause()
        self._stopped_reading = True

    def _read_on(self) -> None:
        if not self._stopped_reading or self._close is not None:
            return
        self._stopped_reading = False
        server = self._target.transport
        self._resume(self._client_transport, self._client_readable, self._may_read_client())
        if server is not None:
            self._resume(server, partial(self._server_readable, server), self._may_read_server())

    def _resume(self, transport: Transport, readable: Callable[[], None], may_read: bool) -> None:
        if not may_read:
            self._stopped_reading = True
            return
        transport.resume()
        if transport.has_unread:
            self._spawn(self._read_unread, readable)

    async def _read_unread(self, readable: Callable[[], None]) -> None:
        """No event of the socket tells of bytes that were read off it already."""
        await trio.lowlevel.checkpoint()
        readable()

    def _write_before_reading(self, transport: Transport) -> None:
        if transport.wants_write:
            transport.pause()
            self._spawn(self._wait_to_write, transport)

    async def _wait_to_write(self, transport: Transport) -> None:
        try:
            await transport.wait_writable()
        except TransportError:
            return
        transport.resume()

    def _lost(self, side: Side) -> None:
        """A side cannot be sent to any more."""
        self._spawn(self._deliver if side is Side.CLIENT else self._hear_out, Closed(side))

    async def _hear_out(self, event: Closed) -> None:
        """A target that takes nothing more may have said why: what it sent before is still read,
        to its end, and its end ends the session. Only one that says nothing is waited out."""
        with trio.move_on_after(self._services.settings.close_grace_s):
            await self._over.wait()
        await self._deliver(event)

    # --- turns ------------------------------------------------------------------------------------

    def _take_turn(self, event: Event) -> None:
        """Hand an event in and run what the session says; the turn is free. What has to wait goes
        on in a task, which keeps the turn."""
        self._turn.acquire_nowait()
        try:
            later = self._begin(event)
        except Exception as error:
            self._fail(error)
            later = None
        if later is None:
            self._turn_over(event)
        else:
            self._spawn(self._finish_turn, event, later)

    async def _deliver(self, event: Event) -> None:
        """Wait for the turn, hand the event in, run what the session says."""
        await self._turn.acquire()
        try:
            later = self._begin(event)
        except BaseException:
            self._turn.release()
            raise
        await self._finish_turn(event, later)

    async def _finish_turn(self, event: Event, later: Later | None) -> None:
        """Run what has to wait, and what comes behind it; then the turn is over."""
        try:
            while later is not None:
                later = await self._wait_for(later)
        except InterruptedStepError:
            return
        finally:
            self._turn_over(event)

    async def _wait_for(self, later: Later) -> Later | None:
        try:
            answer = await later.step()
        except (SpoolFullError, OSError) as error:
            self._events.clear()
            self._commands = iter(())
            answer = self._unrecorded(error)
        if answer is not None:
            self._events.append(answer)
        return self._go_on()

    def _begin(self, event: Event) -> Later | None:
        if self._close is not None:
            return None
        self._events.clear()
        self._commands = iter(self._session.handle(event))
        return self._go_on()

    def _go_on(self) -> Later | None:
        """Run commands and hand in what they answer, until one has to wait or nothing is left."""
        events = self._events
        while self._close is None:
            for command in self._commands:
                try:
                    answer = self._execute(command)
                except (SpoolFullError, OSError) as error:
                    events.clear()
                    events.append(self._unrecorded(error))
                    break
                if answer is None:
                    if self._close is not None:
                        return None
                elif isinstance(answer, Later):
                    return answer
                else:
                    events.append(answer)
            if not events:
                return None
            self._commands = iter(self._session.handle(events.popleft()))
        return None

    def _turn_over(self, event: Event) -> None:
        self._turn.release()
        if isinstance(event, Closed) and self._close is None:
            reasons = {
                Side.CLIENT: EndReason.CLIENT_CLOSED,
                Side.SERVER: EndReason.TARGET_CLOSED,
            }
            self._closed_by(Close(reasons[event.side]))
        self._read_on()

    async def _deliver_end(self, event: EndRequested) -> None:
        with trio.move_on_after(self._services.settings.close_grace_s):
            await self._deliver(event)
        self._closed_by(Close(event.reason, event.message))

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
