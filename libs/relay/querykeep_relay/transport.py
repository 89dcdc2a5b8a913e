"""Transport: one byte stream as a raw socket, its TLS state and leftover bytes.

This is the seam at which a session in steady state can be handed to a compiled pump: a plain
transport *is* its file descriptor, and the bytes read but not yet consumed travel as ``leftover``.
A TLS transport keeps OpenSSL's state inside the interpreter's SSL object; docs/adr/0003 says what
can be handed over then. So the socket is a non-blocking standard one that is only *waited for*
through trio, and TLS runs on the descriptor itself, not on memory buffers.

A session is told by ``Readiness`` when there is something to read (``watch``) and takes it at once;
before and after its life a task waits (``receive``). One reads and one writes at a time. Reads are
bounded by the caller's limit; nothing is read ahead, so that an upgrade to TLS never meets
plaintext that came too early.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

import trio

from querykeep_relay.readiness import READ_BYTES, Readiness
from querykeep_relay.tls import end_point_binding

_TLS_RECORD_BYTES = 16 * 1024
_GOODBYE_BYTES = 256 * 1024 * 1024
"""Most input thrown away at the end: more than one message can hold, so that a client that is still
sending a message beyond the limit reads why it was refused. The deadline ends it long before."""
_KEEPALIVE_IDLE_S = 60
"""A network load balancer forgets a silent flow after 350 s; a NAT may do so after 60 s or more."""
_KEEPALIVE_INTERVAL_S = 15
_KEEPALIVE_COUNT = 4


class TransportError(Exception):
    """The peer or the network broke the stream; the text is for logs and audit."""


class LeftoverError(TransportError):
    """Plaintext bytes stand before the TLS handshake: someone may have injected them."""


class Transport:
    """One connected stream socket. The transport owns the socket and closes it."""

    def __init__(self, sock: socket.socket, *, leftover: bytes = b"") -> None:
        """Take over a connected TCP or Unix socket; ``leftover`` are bytes already read from it."""
        sock.setblocking(False)
        self._socket = sock
        self._leftover = leftover
        self._tls: ssl.SSLSocket | None = None
        self._wants_write = False
        self._closed = False
        self._readiness: Readiness | None = None
        self._ready: Callable[[], None] | None = None
        self._watched = False
        self.channel_binding = b""
        self.peer_address = _peer_address(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _tune(sock)

    @property
    def socket(self) -> socket.socket:
        """The raw socket; with TLS the same descriptor carries records."""
        return self._socket

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """OpenSSL's state, or None while the stream is plain."""
        return self._tls

    @property
    def leftover(self) -> bytes:
        """Bytes that were read from the socket but not yet received by anyone."""
        return self._leftover

    def unread(self, data: bytes) -> None:
        """Give back bytes that the next ``receive`` is to return first."""
        self._leftover = data + self._leftover

    async def receive(self, limit_bytes: int = READ_BYTES, *, stop_at_hello: bool = False) -> bytes:
        """Return 1..limit bytes, or ``b""`` at the end of the stream.

        Args:
            limit_bytes: Most bytes to return.
            stop_at_hello: Leave what looks like a TLS ClientHello behind other bytes in the
                kernel: where a protocol's request for TLS gets no answer, the handshake comes
                right behind it. A wrong guess only splits a read in two.

        Raises:
            TransportError: Reset, timeout of keepalive, or broken TLS.
        """
        waited = False
        while True:
            data = self.receive_nowait(limit_bytes, stop_at_hello=stop_at_hello)
            if data is not None:
                if not waited:
                    # A peer that always has more must not keep the other sessions from running.
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return data
            waited = True
            if self._wants_write:
                await self._wait(trio.lowlevel.wait_writable)
            else:
                await self._wait(trio.lowlevel.wait_readable)

    def receive_nowait(
        self, limit_bytes: int = READ_BYTES, *, stop_at_hello: bool = False
    ) -> bytes | None:
        """Return what ``receive`` returns, or None where that would have to wait."""
        if self._leftover:
            data, self._leftover = self._leftover[:limit_bytes], self._leftover[limit_bytes:]
            return data
        self._wants_write = False
        try:
            if stop_at_hello and self._tls is None:
                seen = self._socket.recv(limit_bytes, socket.MSG_PEEK)
                return self._socket.recv(_before_hello(seen)) if seen else b""
            if self._readiness is None:
                return self._socket.recv(limit_bytes)
            buffer = self._readiness.buffer
            return bytes(buffer[: self._socket.recv_into(buffer, min(limit_bytes, len(buffer)))])
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self._wants_write = True
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except OSError as error:
            raise TransportError(_describe(error)) from error

    @property
    def has_unread(self) -> bool:
        """True where bytes wait on this side of the kernel, of which no socket event will tell."""
        return bool(self._leftover) or (self._tls is not None and self._tls.pending() > 0)

    @property
    def wants_write(self) -> bool:
        """True where the last read found nothing because TLS first has to write."""
        return self._wants_write

    def watch(self, readiness: Readiness, ready: Callable[[], None]) -> None:
        """Have ``ready`` called whenever there may be something to read, until ``pause``."""
        self._readiness, self._ready = readiness, ready
        self.resume()

    def pause(self) -> None:
        """Stop the calls of ``watch``; safe to call at any time."""
        if self._watched and self._readiness is not None:
            self._readiness.forget(self._socket.fileno())
        self._watched = False

    def resume(self) -> None:
        """Go on with them. ``has_unread`` must be looked at: nothing calls for that."""
        if self._watched or self._closed or self._readiness is None or self._ready is None:
            return
        self._readiness.watch(self._socket.fileno(), self._ready)
        self._watched = True

    def send_nowait(self, data: memoryview) -> int:
        """Send what the kernel takes at once and return how many bytes that was (0: none).

        After a 0 the next call must begin with the same bytes (TLS keeps a half-made record).

        Raises:
            TransportError: The stream is broken.
        """
        if self._tls is not None:
            return self._send_tls(data)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise TransportError(_describe(error)) from error

    def _send_tls(self, data: memoryview) -> int:
        sent = 0
        while sent < len(data):
            try:
                sent += self._socket.send(data[sent : sent + _TLS_RECORD_BYTES])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                break
            except OSError as error:
                raise TransportError(_describe(error)) from error
        return sent

    async def wait_writable(self) -> None:
        """Wait until sending may make progress."""
        await self._wait(trio.lowlevel.wait_writable)

    async def send_all(self, data: bytes) -> None:
        """Send everything; used where no other task writes (sign-in frames, tests)."""
        view = memoryview(data)
        while view:
            sent = self.send_nowait(view)
            view = view[sent:]
            if view:
                await self.wait_writable()

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        own_binding: bytes = b"",
    ) -> None:
        """Run a TLS handshake on the stream; the caller sets the deadline.

        Args:
            context: As made by ``querykeep_relay.tls``.
            server_side: Our role.
            server_name: For SNI and host name checks, as client.
            own_binding: ``tls-server-end-point`` of our certificate, as server.

        Raises:
            LeftoverError: Bytes came in plaintext before the handshake.
            TransportError: The handshake failed; the text says why.
        """
        if self._leftover:
            raise LeftoverError("plaintext bytes stand before the TLS handshake")
        try:
            wrapped = context.wrap_socket(
                self._socket,
                server_side=server_side,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
                server_hostname=server_name,
            )
            self._socket = wrapped
            await self._handshake(wrapped)
        except (OSError, ValueError) as error:
            raise TransportError(_describe(error)) from error
        self._tls = wrapped
        if server_side:
            self.channel_binding = own_binding
        else:
            self.channel_binding = end_point_binding(wrapped.getpeercert(binary_form=True) or b"")

    async def _handshake(self, wrapped: ssl.SSLSocket) -> None:
        while True:
            try:
                wrapped.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._wait(trio.lowlevel.wait_readable)
            except ssl.SSLWantWriteError:
                await self._wait(trio.lowlevel.wait_writable)

    async def _wait(self, wait: object) -> None:
        if self._closed:
            raise TransportError("the transport is closed")
        try:
            await wait(self._socket)  # type: ignore[operator]  # one of trio's two wait functions
        except trio.ClosedResourceError as error:
            raise TransportError("the transport was closed") from error

    def peer_silence_s(self) -> float:
        """Return for how long the peer's kernel has acknowledged nothing (0 where unknown).

        A peer that does not read still acknowledges probes, at least every two minutes: longer
        silence while data waits means that it is gone.
        """
        if self._socket.family not in (socket.AF_INET, socket.AF_INET6):
            return 0.0
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        except OSError:
            return 0.0
        # struct tcp_info: 8 one-byte fields, then u32 fields; last_ack_recv is the thirteenth.
        (milliseconds,) = struct.unpack_from("=I", info, 8 + 12 * 4)
        return float(milliseconds) / 1000

    def send_eof(self) -> None:
        """Close our direction (TLS: close_notify first), best effort; reading stays possible."""
        if self._closed:
            return
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def close_gently(self, grace_s: float) -> None:
        """Say goodbye so that what was sent last still arrives, then close.

        Closing a socket with unread input makes the kernel send a reset, which can destroy our last
        message on its way: so input is read and thrown away for up to ``grace_s``.
        """
        self.pause()
        self.send_eof()
        with trio.move_on_after(grace_s) as scope:
            scope.shield = True
            with contextlib.suppress(TransportError):
                drained = 0
                while drained < _GOODBYE_BYTES and (data := await self.receive()):
                    drained += len(data)
        self.close()

    def close(self) -> None:
        """Close at once; safe to call twice and while other tasks wait."""
        if self._closed:
            return
        self.pause()
        self._closed = True
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


def _before_hello(data: bytes) -> int:
    """Return how many bytes stand before a TLS ClientHello (all of them where there is none).

    A handshake record begins 16 03 0x, two length bytes, 01; it may be cut off at the end.
    """
    at = data.find(b"\x16", 1)
    while at > 0:
        head = data[at : at + 6]
        versions = head[1:2] in (b"", b"\x03") and head[2:3] in (b"", b"\x01", b"\x02", b"\x03")
        if versions and head[5:6] in (b"", b"\x01"):
            return at
        at = data.find(b"\x16", at + 1)
    return len(data)


def _tune(sock: socket.socket) -> None:
    """Small messages leave at once; a silent peer is noticed."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_COUNT)


def _peer_address(sock: socket.socket) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return "local"
    try:
        host: str = sock.getpeername()[0]
    except OSError:
        return "unknown"
    return host.removeprefix("::ffff:")


def _describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
