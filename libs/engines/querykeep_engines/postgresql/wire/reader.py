"""A cursor over one message's payload that never reads past its end."""

from __future__ import annotations

import struct

from querykeep_engines.kit.session import RemoteProtocolError

_INT16 = struct.Struct("!h")
_INT32 = struct.Struct("!i")


class TextEncodingError(RemoteProtocolError):
    """A text of a well-formed message is not UTF-8. In a live session this is an error of the
    statement; anywhere else one of the protocol."""


class Reader:
    """Reads the protocol's primitive types off a payload.

    Every method raises RemoteProtocolError when the payload ends early or holds what the type
    forbids; the text names ``what``, the message being read.
    """

    __slots__ = ("_data", "_pos", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._pos = 0
        self._what = what

    def _fail(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self._what} message ends early")

    def byte(self) -> int:
        """Return the next byte, 0..255."""
        if self._pos >= len(self._data):
            raise self._fail()
        value = self._data[self._pos]
        self._pos += 1
        return value

    def int16(self) -> int:
        """Return the next signed 16-bit number."""
        if self._pos + 2 > len(self._data):
            raise self._fail()
        (value,) = _INT16.unpack_from(self._data, self._pos)
        self._pos += 2
        return int(value)

    def int32(self) -> int:
        """Return the next signed 32-bit number."""
        if self._pos + 4 > len(self._data):
            raise self._fail()
        (value,) = _INT32.unpack_from(self._data, self._pos)
        self._pos += 4
        return int(value)

    def count16(self) -> int:
        """Return the next 16-bit count, 0..65535 (the protocol reads it unsigned)."""
        return self.int16() & 0xFFFF

    def string(self) -> str:
        """Return the next zero-terminated text, UTF-8."""
        try:
            return self.cstring().decode("utf-8")
        except UnicodeDecodeError:
            raise TextEncodingError(
                f"{self._what} message has text that is not UTF-8, in which statements are judged"
            ) from None

    def cstring(self) -> bytes:
        """Return the next zero-terminated bytes without the terminator."""
        end = self._data.find(b"\0", self._pos)
        if end < 0:
            raise self._fail()
        value = self._data[self._pos : end]
        self._pos = end + 1
        return value

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        if length < 0 or self._pos + length > len(self._data):
            raise self._fail()
        value = self._data[self._pos : self._pos + length]
        self._pos += length
        return value

    def value(self) -> bytes | None:
        """Return a length-prefixed value, None for NULL (length -1)."""
        length = self.int32()
        return None if length == -1 else self.take(length)

    def rest(self) -> bytes:
        """Return all that is left."""
        value = self._data[self._pos :]
        self._pos = len(self._data)
        return value

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._pos

    def end(self) -> None:
        """Check that nothing is left."""
        if self._pos != len(self._data):
            raise RemoteProtocolError(f"{self._what} message is longer than its content")
