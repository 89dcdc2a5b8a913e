"""Incremental framing of both directions: bytes in, frames out, lengths bounded first.

Rows and COPY data are not turned into objects: consecutive DataRow (or CopyData) messages of one
chunk come out as one ``Run``, a slice of the bytes as they arrived.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from querykeep_engines.kit.session import RemoteProtocolError, WireLimits
from querykeep_engines.postgresql.wire.codes import Backend, Frontend
from querykeep_engines.postgresql.wire.rows import scan_run

_LENGTH = struct.Struct("!i")
_SMALL_LIMIT_BYTES = 30_000
"""As libpq and the server: messages other than those that carry data stay small."""
_AUTH_LIMIT_BYTES = 65_535
"""The server's own PG_MAX_AUTH_TOKEN_LENGTH."""

_FRONTEND_LIMITS: dict[int, int] = {
    int(Frontend.SYNC): 4,
    int(Frontend.FLUSH): 4,
    int(Frontend.TERMINATE): 4,
    int(Frontend.COPY_DONE): 4,
    int(Frontend.DESCRIBE): _SMALL_LIMIT_BYTES,
    int(Frontend.CLOSE): _SMALL_LIMIT_BYTES,
    int(Frontend.EXECUTE): _SMALL_LIMIT_BYTES,
    int(Frontend.COPY_FAIL): _SMALL_LIMIT_BYTES,
    int(Frontend.PASSWORD): _AUTH_LIMIT_BYTES,
}
_FRONTEND_TYPES = frozenset(int(kind) for kind in Frontend)
_BACKEND_TYPES = frozenset(int(kind) for kind in Backend)
_STREAMED = frozenset({int(Backend.DATA_ROW), int(Backend.COPY_DATA)})


class Frame(NamedTuple):
    """One message: its type byte, and the whole as it stood on the wire."""

    kind: int
    raw: bytes

    @property
    def payload(self) -> bytes:
        """What stands behind type and length."""
        return self.raw[5:]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive DataRow or CopyData messages. ``count`` is how many of them begin here.
    ``partial``: the last one goes on in a later Run (only where ``BackendDecoder.pass_partial``
    allows it, or the next Run begins inside a message)."""

    kind: int
    data: bytes
    count: int
    partial: bool = False


def _never() -> bool:
    return False


class FrontendDecoder:
    """Frames what a client sends after start-up, and start-up packets before it."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held that make no whole message yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next_startup(self) -> bytes | None:
        """Return the payload of the next untyped packet, or None when it is not whole yet.

        Raises:
            RemoteProtocolError: Length out of bounds.
        """
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(buffer, 0)
        if not 8 <= length <= self._limits.startup_bytes:
            raise RemoteProtocolError("invalid length of start-up packet")
        if len(buffer) < length:
            return None
        payload = bytes(buffer[4:length])
        del buffer[:length]
        return payload

    def frames(self) -> Iterator[Frame]:
        """Yield whole messages; what is left waits for more bytes.

        Raises:
            RemoteProtocolError: Unknown type or length out of bounds.
        """
        buffer = self._buffer
        pos = 0
        try:
            while len(buffer) - pos >= 5:
                kind = buffer[pos]
                (length,) = _LENGTH.unpack_from(buffer, pos + 1)
                self._check(kind, length)
                end = pos + 1 + length
                if len(buffer) < end:
                    return
                raw = bytes(buffer[pos:end])
                pos = end
                yield Frame(kind, raw)
            if len(buffer) > pos and buffer[pos] not in _FRONTEND_TYPES:
                raise RemoteProtocolError(f"invalid frontend message type {buffer[pos]}")
        finally:
            del buffer[:pos]

    def _check(self, kind: int, length: int) -> None:
        if kind not in _FRONTEND_TYPES:
            raise RemoteProtocolError(f"invalid frontend message type {kind}")
        limit = _FRONTEND_LIMITS.get(kind, self._limits.client_message_bytes)
        if not 4 <= length <= limit:
            raise RemoteProtocolError(
                f"invalid length {length} of a {Frontend(kind).name} message (limit {limit} bytes)"
            )


class BackendDecoder:
    """Frames what a target sends.

    ``pass_partial`` is asked each time a message is not whole: when it says so, the part of a
    DataRow or CopyData that is there is passed on at once, so that a huge value is never held; a
    session that must see whole rows says no. The answer may only become no between messages.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limit = limits.server_message_bytes
        self._buffer = bytearray()
        self._open_kind = 0
        self._open_left = 0
        self._needed = 0
        self.pass_partial: Callable[[], bool] = _never

    @property
    def buffered(self) -> int:
        """Bytes held that make no whole message yet."""
        return len(self._buffer)

    @property
    def inside_message(self) -> bool:
        """True when a part of a message was passed on and its rest has not come."""
        return self._open_left > 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next_byte(self) -> int | None:
        """Return the single byte that answers an SSLRequest, or None when it is not there."""
        if not self._buffer:
            return None
        value = self._buffer[0]
        del self._buffer[0]
        return value

    def items(self) -> Iterator[Frame | Run]:
        """Yield whole messages and runs; what is left waits for more bytes.

        Raises:
            RemoteProtocolError: Unknown type or length out of bounds.
        """
        if len(self._buffer) < self._needed and not self.pass_partial():
            return
        self._needed = 0
        data = bytes(self._buffer)
        self._buffer.clear()
        pos = 0
        try:
            if self._open_left:
                pos = min(self._open_left, len(data))
                self._open_left -= pos
                yield Run(self._open_kind, data[:pos], 0, self._open_left > 0)
            while len(data) - pos >= 5:
                kind = data[pos]
                if kind in _STREAMED:
                    run, pos = self._scan_run(data, pos, kind)
                    if run is None:
                        return
                    yield run
                    continue
                end = pos + 1 + self._length(data, pos)
                if len(data) < end:
                    self._needed = end - pos
                    return
                frame = Frame(kind, data[pos:end])
                pos = end
                yield frame
        finally:
            self._buffer += data[pos:]

    def _length(self, data: bytes, pos: int) -> int:
        kind = data[pos]
        if kind not in _BACKEND_TYPES:
            raise RemoteProtocolError(f"invalid backend message type {kind}")
        (length,) = _LENGTH.unpack_from(data, pos + 1)
        if not 4 <= length <= self._limit:
            raise RemoteProtocolError(f"invalid length {length} of a backend message")
        return int(length)

    def _scan_run(self, data: bytes, start: int, kind: int) -> tuple[Run | None, int]:
        count, pos, torn_end = scan_run(data, start, kind, self._limit)
        if torn_end:
            if self.pass_partial():
                self._open_kind, self._open_left = kind, torn_end - len(data)
                return Run(kind, data[start:], count + 1, True), len(data)
            self._needed = torn_end - pos
        if count == 0:
            return None, start
        return Run(kind, data[start:pos], count), pos
