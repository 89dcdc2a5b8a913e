"""TLS over a socket with half-close, which trio's own SSLStream does not have.

A database client that closes its sending side may still be owed an answer: ``send_eof`` sends
close_notify (RFC 8446, section 6.1) and reading goes on. One task reads and one writes.
"""

from __future__ import annotations

import contextlib
import ssl

import trio

_READ_BYTES = 64 * 1024
_CLOSING = (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""What ``unwrap`` says when close_notify is sent and the peer's is not here yet, or was before."""


class TlsStream:
    """The client's side of one TLS connection.

    Raises from every method: trio.BrokenResourceError when the connection is lost (also when it
    ends without close_notify in the middle of a handshake), ssl.SSLError for TLS's own faults.
    """

    def __init__(
        self, stream: trio.SocketStream, context: ssl.SSLContext, server_name: str
    ) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._sending = trio.Lock()

    async def handshake(self) -> None:
        """Agree on keys and verify the peer."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise trio.BrokenResourceError("closed in the handshake") from None
            except ssl.SSLError:
                await self._flush()  # the alert
                raise
            else:
                await self._flush()
                return

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""
        return self._tls.selected_alpn_protocol()

    async def receive(self, limit_bytes: int = _READ_BYTES) -> bytes:
        """Return some bytes, b"" once the peer has closed its side."""
        while True:
            try:
                data = self._tls.read(limit_bytes)
            except ssl.SSLWantReadError:
                await self._flush_if_idle()
                if not await self._fill():
                    raise trio.BrokenResourceError("closed without close_notify") from None
            except ssl.SSLZeroReturnError:
                return b""
            else:
                await self._flush_if_idle()
                return data

    async def send_all(self, data: bytes) -> None:
        """Send everything; returns when the kernel has it."""
        self._tls.write(data)
        await self._flush()

    async def send_eof(self) -> None:
        """Close our side; reading goes on."""
        with contextlib.suppress(*_CLOSING):
            self._tls.unwrap()
        await self._flush()

    async def _fill(self) -> bool:
        data = await self._stream.receive_some(_READ_BYTES)
        if not data:
            self._incoming.write_eof()
            return False
        self._incoming.write(data)
        return True

    async def _flush_if_idle(self) -> None:
        """Send what reading brought about. A writer at work takes it along; waiting for it would
        stop reading while the peer may not read either before it has written."""
        if self._outgoing.pending and not self._sending.locked():
            await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            while self._outgoing.pending:
                await self._stream.send_all(self._outgoing.read())
