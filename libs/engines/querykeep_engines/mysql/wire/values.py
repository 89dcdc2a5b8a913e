"""Length-encoded integers and strings, and a reader that never reads past a payload's end."""

from __future__ import annotations

from querykeep_engines.kit.session import RemoteProtocolError

NULL_VALUE = b"\xfb"


def lenenc_int(value: int) -> bytes:
    """Return a length-encoded integer."""
    if value < 0xFB:
        return bytes([value])
    if value <= 0xFFFF:
        return b"\xfc" + value.to_bytes(2, "little")
    if value <= 0xFFFFFF:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def lenenc_bytes(value: bytes) -> bytes:
    """Return a length-encoded string."""
    return lenenc_int(len(value)) + value


class Reader:
    """Reads the protocol's basic types off one payload. Every method raises RemoteProtocolError
    when the payload ends early; the text names ``what``, the message being read."""

    __slots__ = ("_data", "_what", "at")

    def __init__(self, data: bytes, what: str, at: int = 0) -> None:
        self._data = data
        self._what = what
        self.at = at

    def _ends_early(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self._what} ends early")

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.at

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        end = self.at + count
        if count < 0 or end > len(self._data):
            raise self._ends_early()
        value = self._data[self.at : end]
        self.at = end
        return value

    def uint(self, width: int) -> int:
        """Return the next little-endian unsigned number of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little")

    def lenenc(self) -> int | None:
        """Return the next length-encoded integer; None for the NULL marker 0xfb."""
        first = self.uint(1)
        if first < 0xFB:
            return first
        if first == 0xFB:
            return None
        if first == 0xFF:
            raise RemoteProtocolError(f"{self._what} has a malformed length")
        return self.uint({0xFC: 2, 0xFD: 3, 0xFE: 8}[first])

    def lenenc_int(self) -> int:
        """Return the next length-encoded integer, which must not be NULL."""
        value = self.lenenc()
        if value is None:
            raise RemoteProtocolError(f"{self._what} has NULL where a length belongs")
        return value

    def lenenc_bytes(self) -> bytes:
        """Return the next length-encoded string, which must not be NULL."""
        return self.take(self.lenenc_int())

    def cstring(self) -> bytes:
        """Return the next zero-terminated bytes without the terminator."""
        end = self._data.find(b"\x00", self.at)
        if end < 0:
            raise self._ends_early()
        value = self._data[self.at : end]
        self.at = end + 1
        return value

    def rest_until_nul(self) -> bytes:
        """Return bytes up to the next zero, which is passed over, or to the end."""
        end = self._data.find(b"\x00", self.at)
        if end < 0:
            return self.rest()
        return self.cstring()

    def rest(self) -> bytes:
        """Return all that is left."""
        value = self._data[self.at :]
        self.at = len(self._data)
        return value
