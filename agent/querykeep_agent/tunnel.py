"""A local port of one database: each accepted connection becomes one governed session.

Bytes go straight through, at most one read per direction is held, and a side that does not read
stops the other from being read. End of input is passed on as such, so that a client which has said
all it will say still gets its answer; what is left when the remote is done is given a moment.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import trio

from querykeep_agent.clients import client_kind
from querykeep_agent.errors import AgentError, PortTakenError
from querykeep_agent.session import Database, Sessions
from querykeep_agent.tls import TlsStream

HOST = "127.0.0.1"
_READ_BYTES = 64 * 1024
_MAX_CONNECTIONS = 256
_LINGER_S = 5.0
_REFUSAL_S = 5.0
_BACKLOG = 128
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_SHORTAGE_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the person at the terminal should know of a tunnel."""

    database: str
    text: str


class Tunnel:
    """The local port of one database, bound at once."""

    def __init__(
        self,
        sessions: Sessions,
        database: Database,
        password: str,
        listener: trio.SocketListener,
        tell: Callable[[Notice], None],
    ) -> None:
        self._sessions = sessions
        self._database = database
        self._password = password
        self._listener = listener
        self._tell = tell
        self._slots = trio.Semaphore(_MAX_CONNECTIONS)
        self.port: int = listener.socket.getsockname()[1]

    async def serve(self) -> None:
        """Accept until cancelled."""
        async with trio.open_nursery() as nursery, self._listener:
            while True:
                await self._slots.acquire()
                try:
                    stream = await self._listener.accept()
                except OSError as error:
                    self._slots.release()
                    if error.errno not in _SHORTAGES:
                        raise
                    self._say("this machine has no file descriptors left; waiting")
                    await trio.sleep(_SHORTAGE_PAUSE_S)
                    continue
                nursery.start_soon(self._carry, stream)

    async def _carry(self, local: trio.SocketStream) -> None:
        try:
            async with local:
                await self._govern(local)
        finally:
            self._slots.release()

    async def _govern(self, local: trio.SocketStream) -> None:
        try:
            async with self._sessions.open(self._database, self._password) as remote:
                await join(local, remote)
        except AgentError as error:
            self._say(error.message)
            with trio.move_on_after(_REFUSAL_S):
                await client_kind(self._database.cli).refuse(local, error.message)

    def _say(self, text: str) -> None:
        self._tell(Notice(self._database.name, text))


async def listen(port: int) -> trio.SocketListener:
    """Bind a local port (0 = any free one).

    Raises:
        PortTakenError: Another program has it.
    """
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=HOST, backlog=_BACKLOG)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PortTakenError(
            f"port {port} of {HOST} cannot be used: {error.strerror}. End the program that has it, "
            "or choose another port, which is then kept: qk connect NAME --port N"
        ) from error
    return listener


async def join(local: trio.SocketStream, remote: TlsStream) -> None:
    """Carry bytes both ways until both sides are done, or one is lost."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_upwards, local, remote, nursery.cancel_scope)
        nursery.start_soon(_downwards, local, remote, nursery.cancel_scope)


async def _upwards(local: trio.SocketStream, remote: TlsStream, scope: trio.CancelScope) -> None:
    try:
        while data := await local.receive_some(_READ_BYTES):
            await remote.send_all(data)
        await remote.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
        scope.cancel()


async def _downwards(local: trio.SocketStream, remote: TlsStream, scope: trio.CancelScope) -> None:
    try:
        while data := await remote.receive(_READ_BYTES):
            await local.send_all(data)
        await local.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
        scope.cancel()
        return
    # The session is over; the client learns it by end of input. What it still says goes nowhere.
    scope.deadline = min(scope.deadline, trio.current_time() + _LINGER_S)
