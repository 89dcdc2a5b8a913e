"""Accepting connections: what every listener of the proxy has in common.

A shortage of descriptors or memory stops nothing: it is logged, and accepting goes on a moment
later. Connections that have not signed in are bounded per address, so that one host cannot take
every slot; what they hold is bounded by the sessions' own limits.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from querykeep_proxy.proxy_header import (
    NO_BALANCERS,
    ProxyHeaderError,
    TrustedBalancers,
    read_proxy_header,
)
from querykeep_relay.transport import Transport, TransportError

_LOG = logging.getLogger(__name__)
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_SHORTAGE_PAUSE_S = 0.1
_LOG_EVERY_S = 10.0
_BACKLOG = 1024


class ListenError(Exception):
    """An address cannot be listened on; the text names it and the setting that chooses it."""


class AddressGate:
    """Counts connections that have not signed in, per address."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._logged_at = float("-inf")
        self.refused = 0

    def enter(self, address: str) -> bool:
        """Take a place; False when the address has none left."""
        if self._counts[address] >= self._limit:
            self.refused += 1
            if trio.current_time() - self._logged_at > _LOG_EVERY_S:
                self._logged_at = trio.current_time()
                _LOG.warning(
                    "%s has %d connections that are not signed in: more are closed at once "
                    "(QUERYKEEP_UNAUTHENTICATED_PER_ADDRESS)",
                    address,
                    self._limit,
                )
            return False
        self._counts[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Give a place back."""
        self._counts[address] -= 1
        if self._counts[address] <= 0:
            del self._counts[address]


class Place:
    """One taken place; given back at sign-in or at the end, once."""

    def __init__(self, gate: AddressGate, address: str) -> None:
        self._gate: AddressGate | None = gate
        self._address = address

    def leave(self) -> None:
        """Give it back."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave(self._address)


async def listen(host: str, port: int, *, setting: str) -> list[trio.SocketListener]:
    """Bind and listen.

    Raises:
        ListenError: The address is taken or not ours; names the setting.
    """
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except (OSError, ExceptionGroup) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ListenError(
            f"cannot listen on {host}:{port}: {reason}. Free the port or choose another with "
            f"{setting}"
        ) from error


async def serve(
    listener: trio.SocketListener,
    handler: Callable[[Transport, Place], Awaitable[None]],
    *,
    gate: AddressGate,
    nursery: trio.Nursery,
    balancers: TrustedBalancers = NO_BALANCERS,
) -> None:
    """Accept until cancelled; each connection is handled in ``nursery``. What comes from
    ``balancers`` begins with a PROXY header, and its clients count under their own addresses."""
    async with listener:
        while True:
            try:
                accepted, _ = await listener.socket.accept()
            except OSError as error:
                if error.errno in _SHORTAGES:
                    _LOG.error("cannot accept connections: %s", error.strerror)
                    await trio.sleep(_SHORTAGE_PAUSE_S)
                elif error.errno in (errno.EBADF, errno.EINVAL):
                    raise
                continue
            transport = Transport(socket.socket(fileno=accepted.detach()))
            if balancers.include(transport.peer_address):
                nursery.start_soon(_introduce, handler, transport, gate)
                continue
            place = _place(transport, gate)
            if place is not None:
                nursery.start_soon(_handle, handler, transport, place)


def _place(transport: Transport, gate: AddressGate) -> Place | None:
    address = transport.peer_address
    if gate.enter(address):
        return Place(gate, address)
    transport.close()
    return None


async def _introduce(
    handler: Callable[[Transport, Place], Awaitable[None]], transport: Transport, gate: AddressGate
) -> None:
    """Learn from a balancer who its client is."""
    balancer = transport.peer_address
    try:
        address = await read_proxy_header(transport)
    except ProxyHeaderError as error:
        _LOG.warning("%s (QUERYKEEP_PROXY_PROTOCOL_FROM): %s; closed", balancer, error)
        transport.close()
        return
    except BaseException as error:
        transport.close()
        if isinstance(error, TransportError):
            return
        raise
    transport.peer_address = address or balancer
    place = _place(transport, gate)
    if place is not None:
        await _handle(handler, transport, place)


async def _handle(
    handler: Callable[[Transport, Place], Awaitable[None]], transport: Transport, place: Place
) -> None:
    """One connection's fault is its own."""
    try:
        await handler(transport, place)
    except Exception as error:
        _LOG.error("a connection from %s failed: %s", transport.peer_address, type(error).__name__)
    finally:
        place.leave()
        transport.close()
