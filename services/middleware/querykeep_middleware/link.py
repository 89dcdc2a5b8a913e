"""The private socket between the web process and the runner: frames of JSON, both ways.

A frame is a uint32 length (big-endian) and that many bytes of UTF-8. The first frame of a
connection is a ``Hello``. An editor connection then carries the browser's messages one way and the
server's the other; the runner ends it with a ``Closing`` frame. A download answers its hello with a
``Download`` frame, then raw chunks (each a frame), then an empty frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from querykeep_guard.contracts.codec import dumps, loads

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 1024 * 1024
CLOSING = b"\x00"
"""First byte of a ``Closing`` frame; JSON never begins with it."""
RECHECK = b"\x01"
"""Body of a frame that asks the web process to look again who the browser belongs to."""


class LinkError(Exception):
    """The other process sent what is no frame, or went away in the middle of one."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who is at the other end of a connection, as the web process has just verified it.

    ``kind``: ``editor``, ``download`` or ``health`` (answered by one frame of JSON); ``cookie`` is
    the web session's key, needed to open governed sessions; ``token`` names the download.
    """

    kind: str
    user_id: str
    username: str
    cookie: str
    address: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """Why the runner closes an editor connection; ``code`` is that of the WebSocket."""

    code: int


@dataclass(frozen=True, slots=True)
class Download:
    """What follows, or why nothing does (``status`` 404: gone, 503: it cannot be recorded)."""

    status: int
    file_name: str = ""
    media_type: str = ""


def frame(body: bytes) -> bytes:
    """Return a body with its header."""
    return HEADER.pack(len(body)) + body


def closing_frame(code: int) -> bytes:
    """Return the frame that ends an editor connection."""
    return frame(CLOSING + dumps(Closing(code)))


def read_closing(body: bytes) -> Closing | None:
    """Return the closing in a frame's body, or None for an ordinary one."""
    return loads(Closing, body[1:]) if body[:1] == CLOSING else None


def body_length(header: bytes) -> int:
    """Return how long a frame's body is; raises LinkError when that is beyond belief."""
    (length,) = HEADER.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise LinkError(f"a frame of {length} bytes is beyond the limit")
    return int(length)
