"""Daphne with bounds of our own: bodies, header time, WebSocket messages, and a polite end.

What Daphne 4.2 leaves open: a request's body is spooled to disk whatever its size; a client may
send its headers a byte a minute for ever; WebSocket messages queue without bound while the
application is busy; what a client does not read waits in memory, a whole download of it. Importing
this module installs Twisted's asyncio reactor.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from daphne import server as daphne_server
from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import defer
from twisted.internet import reactor as twisted_reactor
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.web import http
from zope.interface import implementer

from querykeep_middleware.gateway.app import application
from querykeep_middleware.gateway.endpoints import Endpoint, open_endpoint
from querykeep_middleware.settings import MiddlewareSettings

# Twisted's types are partial: what is used here is not in them.
_reactor: Any = twisted_reactor
_Channel: Any = http.HTTPChannel
_Factory: Any = http.HTTPFactory

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest WebSocket message of a browser whose person is known."""
_STRANGER_MESSAGE_BYTES = 64 * 1024
_HEADERS_S = 20.0
_IDLE_S = 60
_LINGER_S = 5.0
_QUEUED_BYTES = 1024 * 1024
_CLOSE_S = 2.0
_RESTARTS = 1012
_TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\n"
    b'Connection: close\r\n\r\n{"code": "too_large", "title": "The request is too large", '
    b'"detail": "", "fields": {}}'
)


class _Flow:
    """Told by a transport when it has too much to send; whoever sends waits here."""

    def __init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """The transport has enough."""
        self._writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        """The transport takes more."""
        self._writable.set()

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """The transport is gone: nobody waits for it."""
        self._writable.set()

    async def writable(self) -> None:
        """Wait until the transport takes more."""
        await self._writable.wait()


class _BoundedRequest(WebRequest):  # type: ignore[misc]  # Daphne ships no types
    """A request whose body is refused before it fills the disk, and whose answer waits for a client
    that reads slowly."""

    flow: _Flow | None = None
    _body_bytes = 0

    def gotLength(self, length: int | None) -> None:  # noqa: N802  # Twisted's name
        """Refuse a body that says it is too long."""
        super().gotLength(length)
        if length is not None and length > self.server.settings.upload_limit_bytes:
            self.channel.refuse()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Refuse a body that turns out too long."""
        self._body_bytes += len(data)
        if self._body_bytes > self.server.settings.upload_limit_bytes:
            self.channel.refuse()
            return
        super().handleContentChunk(data)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Send a part of the answer."""
        if self.flow is None and self.channel is not None and not self.finished:
            self.flow = _Flow()
            self.registerProducer(self.flow, True)
        super().handle_reply(message)

    def finish(self) -> None:
        """The answer is complete."""
        if self.flow is not None:
            self.unregisterProducer()
            self.flow.resumeProducing()
        super().finish()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  # Twisted's name
        """The client is gone."""
        if self.flow is not None:
            self.flow.stopProducing()
        super().connectionLost(reason)


class _TimedChannel(_Channel):  # type: ignore[misc]  # see above
    """A connection whose headers must arrive in time, counted from a request's first byte."""

    _refused = False
    _in_headers = True
    _headers_due: Any = None

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Take bytes; what follows a refusal is read and dropped."""
        if self._refused:
            return
        if self._in_headers and self._headers_due is None:
            self._headers_due = _reactor.callLater(_HEADERS_S, self._headers_late)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802  # Twisted's name
        """The headers are there."""
        self._in_headers = False
        self._stop_timer()
        super().allHeadersReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802  # Twisted's name
        """The next request of this connection may come."""
        self._in_headers = True
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  # Twisted's name
        """Nothing more is timed."""
        self._stop_timer()
        super().connectionLost(reason)

    def refuse(self) -> None:
        """Answer 413; the client may go on sending for a moment, so that it can read that."""
        if self._refused:
            return
        self._refused = True
        self.setTimeout(None)
        self.transport.write(_TOO_LARGE)
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        self._headers_due = _reactor.callLater(_LINGER_S, self._abort)

    def _headers_late(self) -> None:
        self._refused = True
        self._abort()

    def _abort(self) -> None:
        self._headers_due = None
        self.setTimeout(None)
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        due, self._headers_due = self._headers_due, None
        if due is not None and due.active():
            due.cancel()


@implementer(IProtocolNegotiationFactory)
class _HttpFactory(_Factory):  # type: ignore[misc]  # see above
    """Makes connections; stands in for Daphne's ``HTTPFactory``."""

    protocol = _TimedChannel

    def __init__(self, server: GatewayServer) -> None:
        super().__init__(timeout=_IDLE_S)
        self.server = server

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802  # Twisted's name
        """Answer ALPN.

        Daphne names nothing, and Twisted then ends every handshake of a client that asks, as
        browsers do, with an internal error.
        """
        return [b"http/1.1"]

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802  # Twisted's name
        """Return the protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = _BoundedRequest
        return protocol


class _EditorSocket(WebSocketProtocol):  # type: ignore[misc]  # Daphne ships no types
    """A WebSocket whose sender waits for a browser that reads slowly."""

    flow: _Flow | None = None

    def onOpen(self) -> None:  # noqa: N802  # autobahn's name
        """Hear from the transport how much it has to send."""
        self.flow = _Flow()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.flow, True)
        super().onOpen()

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802  # Daphne's name
        """Close; unlike autobahn's own check, let a server say that it restarts (1012)."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=1000 if code is None else code)

    def onClose(self, was_clean: bool, code: int, reason: str) -> None:  # noqa: N802
        """The browser is gone."""
        if self.flow is not None:
            self.flow.stopProducing()
        super().onClose(was_clean, code, reason)


class _SocketFactory(WebSocketFactory):  # type: ignore[misc]  # Daphne ships no types
    """Makes WebSockets; stands in for Daphne's ``WebSocketFactory``."""

    protocol = _EditorSocket

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # autobahn cuts a socket one second after its close frame; a busy browser would then lose
        # what came before that frame, such as the message why.
        self.setProtocolOptions(closeHandshakeTimeout=_LINGER_S)


class _MessageQueue(asyncio.Queue[dict[str, Any]]):
    """A WebSocket's messages on their way to the application; the socket is not read while too much
    waits here."""

    def __init__(self, protocol: WebSocketProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._waiting_bytes = 0
        self._is_paused = False

    def put_nowait(self, item: dict[str, Any]) -> None:
        """Queue a message."""
        self._waiting_bytes += _size(item)
        if self._waiting_bytes > _QUEUED_BYTES and not self._is_paused:
            self._is_paused = True
            self._protocol.transport.pauseProducing()
        super().put_nowait(item)

    async def get(self) -> dict[str, Any]:
        """Take a message."""
        item = await super().get()
        self._waiting_bytes -= _size(item)
        if self._is_paused and self._waiting_bytes <= _QUEUED_BYTES:
            self._is_paused = False
            if self._protocol.transport is not None:
                self._protocol.transport.resumeProducing()
        return item


def _size(item: dict[str, Any]) -> int:
    return len(item.get("text") or item.get("bytes") or b"")


# Daphne names its factories as globals of its module; there is no other way to give it others.
daphne_server.HTTPFactory = _HttpFactory
daphne_server.WebSocketFactory = _SocketFactory
daphne_server.serverFromString = open_endpoint


class GatewayServer(daphne_server.Server):  # type: ignore[misc]  # Daphne ships no types
    """The web process's server; ``run`` serves until SIGTERM or SIGINT."""

    def __init__(self, settings: MiddlewareSettings, endpoints: list[Endpoint]) -> None:
        self.settings = settings
        super().__init__(
            application=application(settings),
            endpoints=endpoints,
            signal_handlers=True,
            server_name="querykeep",
            http_timeout=None,
            websocket_timeout=-1,
            websocket_handshake_timeout=10,
            websocket_max_message_size=_STRANGER_MESSAGE_BYTES,
            websocket_max_frame_size=_STRANGER_MESSAGE_BYTES,
            application_close_timeout=5,
            proxy_forwarded_address_header=None,
        )

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send what the application says; returns when the client has room for more."""
        await super().handle_reply(protocol, message)
        flow = protocol.flow
        if flow is not None:
            await flow.writable()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start the application for a request or socket; return the queue of its messages."""
        if scope["type"] != "websocket":
            return super().create_application(protocol, scope)
        queue = _MessageQueue(protocol)
        scope.setdefault("asgi", {"version": "3.0"})
        scope["querykeep.known"] = partial(_take_large_messages, protocol)
        instance = self.application(
            scope=scope, receive=queue.get, send=partial(self.handle_reply, protocol)
        )
        if protocol not in self.connections:
            return None
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(instance)
        return queue

    def kill_all_applications(self) -> Any:
        """Tell browsers to come back (1012), give them a moment, then end what still runs."""
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol):
                protocol.serverClose(code=_RESTARTS)
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._ended()))

    async def _ended(self) -> None:
        running = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=_CLOSE_S)
        for instance in late:
            instance.cancel()
        if late:
            await asyncio.wait(late, timeout=_CLOSE_S)


def _take_large_messages(protocol: Any) -> None:
    protocol.maxMessagePayloadSize = MAX_MESSAGE_BYTES
    protocol.maxFramePayloadSize = MAX_MESSAGE_BYTES
