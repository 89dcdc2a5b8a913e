"""Packets: 3-byte little-endian length, sequence number, payload; 16 MiB - 1 and more are split.

``PacketReader`` joins what was split, within a limit, and works one byte at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from querykeep_engines.kit.session import RemoteProtocolError

if TYPE_CHECKING:
    from querykeep_engines.mysql.wire.masked_rows import RowMasker

MAX_PAYLOAD = 0xFFFFFF
HEADER = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """One whole payload. ``sequence`` is the number of its last part; ``parts`` how many frames it
    came in; ``wire_bytes`` its size with headers."""

    payload: bytes
    sequence: int
    parts: int = 1

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire, headers included."""
        return len(self.payload) + HEADER * self.parts


def encode_packet(payload: bytes, sequence: int) -> bytes:
    """Return the frames of a payload, the first one numbered ``sequence``."""
    if len(payload) < MAX_PAYLOAD:
        return len(payload).to_bytes(3, "little") + bytes([sequence & 0xFF]) + payload
    frames: list[bytes] = []
    offset = 0
    while True:
        part = payload[offset : offset + MAX_PAYLOAD]
        frames.append(len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]))
        frames.append(part)
        offset += len(part)
        sequence += 1
        if len(part) < MAX_PAYLOAD:
            return b"".join(frames)


def frame_count(length: int) -> int:
    """Return how many frames a payload of ``length`` bytes takes."""
    return length // MAX_PAYLOAD + 1


class PacketReader:
    """Collects bytes, gives whole payloads. ``limit_bytes`` bounds one payload: a longer one raises
    RemoteProtocolError before it is buffered."""

    def __init__(self, limit_bytes: int, peer: str) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self.limit_bytes = limit_bytes
        self._peer = peer

    def feed(self, data: bytes) -> None:
        """Add bytes as they came."""
        if self._offset:
            del self._buffer[: self._offset]
            self._offset = 0
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that are held and not yet given out."""
        return len(self._buffer) - self._offset + self._parts_bytes

    def next(self) -> Packet | None:
        """Return the next whole packet, or None until more bytes come."""
        while True:
            start = self._offset
            if len(self._buffer) - start < HEADER:
                return None
            length = int.from_bytes(self._buffer[start : start + 3], "little")
            if self._parts_bytes + length > self.limit_bytes:
                raise RemoteProtocolError(
                    f"the {self._peer} sent a packet of more than {self.limit_bytes} bytes"
                )
            end = start + HEADER + length
            if len(self._buffer) < end:
                return None
            sequence = self._buffer[start + 3]
            part = bytes(self._buffer[start + HEADER : end])
            self._offset = end
            if length == MAX_PAYLOAD:
                self._parts.append(part)
                self._parts_bytes += length
                continue
            if not self._parts:
                return Packet(part, sequence)
            self._parts.append(part)
            packet = Packet(b"".join(self._parts), sequence, len(self._parts))
            self._parts, self._parts_bytes = [], 0
            return packet

    def take_rows(self) -> tuple[bytes, int, int]:
        """Return (bytes, rows, frames) of the whole result rows that stand next, untouched.

        Stops before a packet that may not be a row: an EOF (0xfe, shorter than 9 bytes), an error
        (0xff), or one that is not there whole. For text and binary rows alike: a text row starts
        with 0xfe only when it is longer than 16 MiB, and never with 0xff; a binary row with 0x00.
        Split packets are left to ``next``.
        """
        if self._parts:
            return b"", 0, 0
        buffer, start = self._buffer, self._offset
        total = len(buffer)
        at, rows = start, 0
        while total - at >= HEADER + 1:
            length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
            end = at + HEADER + length
            if end > total or length == MAX_PAYLOAD or length == 0:
                break
            first = buffer[at + HEADER]
            if first == 0xFF or (first == 0xFE and length < 9):
                break
            at = end
            rows += 1
        if rows == 0:
            return b"", 0, 0
        data = bytes(buffer[start:at])
        self._offset = at
        return data, rows, rows

    def take_masked_rows(
        self, masker: RowMasker, shift: int, most: int
    ) -> tuple[bytes, int, int, int]:
        """Return (packets, rows, bytes of payload, next sequence) of the rows that stand next,
        masked; see ``masked_rows.RowMasker``. Split packets are left to ``next``."""
        if self._parts:
            return b"", 0, 0, 0
        data, self._offset, rows, size, sequence = masker.take(
            self._buffer, self._offset, shift, most
        )
        return data, rows, size, sequence
