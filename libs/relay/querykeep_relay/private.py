"""A governed session on a private Unix socket, for an engine's ordinary driver in this process.

The socket stands in a folder of its own that only this user may enter, takes one connection, from
this process's user, and is gone once that is there. So no password is needed on it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from querykeep_engines.kit.driver import SocketAddress
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    SessionGrant,
)
from querykeep_relay.observer import Observer
from querykeep_relay.services import RelayServices
from querykeep_relay.shell import ClientSide, GovernedSession, run_session
from querykeep_relay.transport import Transport

_SOCKET_NAME = ".s.PGSQL.5432"
"""libpq insists on this name within a folder; other drivers take any."""
_ACCEPT_TIMEOUT_S = 30.0
_CREDENTIALS = struct.Struct("=iII")


@dataclass(slots=True)
class PrivateSession:
    """Where the driver connects, and the session once it has."""

    address: SocketAddress
    session: GovernedSession | None = None

    def cancel(self) -> None:
        """Cancel the running statement, as the person asked."""
        if self.session is not None:
            self.session.cancel()

    def end(self, reason: EndReason, message: str) -> None:
        """End the session."""
        if self.session is not None:
            self.session.end(reason, message)


@asynccontextmanager
async def open_private_session(
    grant: SessionGrant,
    *,
    services: RelayServices,
    client: ClientInfo,
    observer: Observer | None = None,
    server_version: str = "",
) -> AsyncIterator[PrivateSession]:
    """Listen for one driver, govern it under ``grant`` and end the session with the block.

    A driver that does not come within 30 s finds nobody; the session is then reported as ended.
    ``server_version`` is what the connection's ``ConnectionInfo`` says: engines greet with it.
    """
    folder = Path(tempfile.mkdtemp(prefix="qk-", dir=os.environ.get("XDG_RUNTIME_DIR") or None))
    path = folder / _SOCKET_NAME
    policy = grant.policy
    side = ClientSide(
        connection=ConnectionInfo(
            id=policy.connection_id,
            name=policy.connection_name,
            engine=policy.engine,
            flavour=grant.target.flavour,
            database=policy.database,
            port=0,
            server_version=server_version,
        ),
        route=grant.route,
        client=client,
        grant=grant,
        client_auth=False,
    )
    private = PrivateSession(SocketAddress(unix_path=str(path)))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, listener, side, services, observer, private)
                try:
                    yield private
                finally:
                    await _finish(private, nursery, services)
    finally:
        if private.session is None:
            services.feed.never_began(
                grant.session_id, EndReason.CLIENT_CLOSED, "the editor's driver never connected"
            )
        shutil.rmtree(folder, ignore_errors=True)


async def _finish(private: PrivateSession, nursery: trio.Nursery, services: RelayServices) -> None:
    """End politely within the grace time, then by force."""
    private.end(EndReason.CLIENT_CLOSED, "the editor closed the session")
    if private.session is None:
        nursery.cancel_scope.cancel()
        return
    nursery.cancel_scope.deadline = trio.current_time() + 2 * services.settings.close_grace_s
    nursery.cancel_scope.shield = True


async def _serve(
    listener: socket.socket,
    side: ClientSide,
    services: RelayServices,
    observer: Observer | None,
    private: PrivateSession,
) -> None:
    listener.setblocking(False)
    transport: Transport | None = None
    with trio.move_on_after(_ACCEPT_TIMEOUT_S):
        while transport is None:
            await trio.lowlevel.wait_readable(listener)
            with contextlib.suppress(BlockingIOError):
                connected, _ = listener.accept()
                if _peer_uid(connected) == os.geteuid():
                    transport = Transport(connected)
                else:
                    connected.close()
    if transport is None:
        return

    def started(session: GovernedSession) -> None:
        private.session = session

    await run_session(transport, side, services=services, observer=observer, on_started=started)


def _peer_uid(connected: socket.socket) -> int:
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])
