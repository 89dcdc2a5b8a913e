"""A browser's socket as the runner sees it: what waits to be sent, bounded by bytes."""

from __future__ import annotations

from collections import deque

import trio

from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.frames import encode
from querykeep_middleware.link import Hello

_WAITING_LIMIT_BYTES = 32 * 1024 * 1024
_ROOM_BYTES = 2 * 1024 * 1024


class Peer:
    """What is sent waits here until the web process takes it. A browser that does not read is let
    go and may come back; nothing is lost, since a window that is opened again is told its whole
    state. ``close_code`` is that of the WebSocket once ``finish`` was called."""

    def __init__(self, hello: Hello, gone: trio.CancelScope) -> None:
        self.hello = hello
        self.close_code = 1012
        self.pages = trio.Lock()
        self._gone = gone
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._finished = False
        self._more = trio.Event()
        self._room = trio.Event()

    def send(self, message: wire.ServerMessage) -> None:
        """Queue a message; nothing happens after ``finish``."""
        if self._finished:
            return
        body = encode(message).encode("utf-8")
        # One message of any size may wait, so that a large one is not the end of its window.
        if self._waiting and self._waiting_bytes + len(body) > _WAITING_LIMIT_BYTES:
            self._gone.cancel()
            return
        self._waiting.append(body)
        self._waiting_bytes += len(body)
        self._more.set()

    def finish(self, code: int | None = None) -> None:
        """Nothing more is sent after what waits; the socket is then closed."""
        if code is not None:
            self.close_code = code
        self._finished = True
        self._more.set()

    async def next(self) -> bytes | None:
        """Return the next message's body, None after the last."""
        while not self._waiting:
            if self._finished:
                return None
            self._more = trio.Event()
            await self._more.wait()
        body = self._waiting.popleft()
        self._waiting_bytes -= len(body)
        self._room.set()
        return body

    async def room(self) -> None:
        """Wait until little enough waits that another page may be made."""
        while self._waiting_bytes > _ROOM_BYTES:
            self._room = trio.Event()
            await self._room.wait()
