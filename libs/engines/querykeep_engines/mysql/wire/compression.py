"""The compressed protocol (zlib): frames around the stream of packets, after sign-in.

A frame is 3 bytes of its length, 1 sequence number, 3 bytes of the length before compression (zero
where it is not compressed), then the data. Packets may be cut anywhere.

Source: MySQL Server Doxygen documentation, "Compression".
"""

from __future__ import annotations

import zlib

from querykeep_engines.kit.session import RemoteProtocolError

_HEADER = 7
_WORTH_BYTES = 50
"""Shorter data is sent as it is, as servers do (MIN_COMPRESS_LENGTH)."""
_LEVEL = 1
_MAX_FRAME = 0xFFFFFF


class Compression:
    """Both directions of one client's stream. ``limit_bytes`` bounds what one ``unpack`` returns:
    little data that unfolds to much ends the session."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._sequence = 0

    def unpack(self, data: bytes) -> bytes:
        """Return the packets' bytes of the whole frames that have come.

        Raises:
            RemoteProtocolError: A frame that is no zlib data, has another length than it says, or
                is longer than the limit.
        """
        self._buffer += data
        parts: list[bytes] = []
        total = 0
        while len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[:3], "little")
            plain_size = int.from_bytes(self._buffer[4:7], "little")
            if len(self._buffer) < _HEADER + size:
                break
            self._sequence = self._buffer[3] + 1 & 0xFF
            body = bytes(self._buffer[_HEADER : _HEADER + size])
            del self._buffer[: _HEADER + size]
            total += plain_size or size
            if total > self._limit_bytes:
                raise RemoteProtocolError(
                    f"the client sent a packet of more than {self._limit_bytes} bytes, compressed"
                )
            parts.append(_inflated(body, plain_size) if plain_size else body)
        return b"".join(parts)

    def pack(self, data: bytes) -> bytes:
        """Return the frames that carry these bytes."""
        frames: list[bytes] = []
        for start in range(0, len(data), _MAX_FRAME):
            part = data[start : start + _MAX_FRAME]
            body, plain_size = part, 0
            if len(part) >= _WORTH_BYTES:
                packed = zlib.compress(part, _LEVEL)
                if len(packed) < len(part):
                    body, plain_size = packed, len(part)
            frames += (
                len(body).to_bytes(3, "little"),
                bytes([self._sequence]),
                plain_size.to_bytes(3, "little"),
                body,
            )
            self._sequence = self._sequence + 1 & 0xFF
        return b"".join(frames)


def _inflated(body: bytes, plain_size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, plain_size)
    except zlib.error:
        raise RemoteProtocolError("a compressed frame is damaged") from None
    if len(plain) != plain_size or not (inflater.eof or not inflater.unconsumed_tail):
        raise RemoteProtocolError("a compressed frame has another length than it says")
    return plain
