"""What waits to be sent to one side.

Bytes go to the kernel at once where it takes them; the rest waits here and a task of its own sends
it. The session never blocks in a send: a pipeline whose results fill the client's buffers must not
keep us from reading the server, and a kill must reach a session whose client has stopped reading.
The queue is bounded by its readers: they take no input while more than ``HIGH_WATER_BYTES`` wait
(``has_room``, ``on_room``), so it holds at most that and the answer to one input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from querykeep_relay.transport import Transport, TransportError

HIGH_WATER_BYTES = 256 * 1024
_STALL_CHECK_S = 30.0
_DEAD_AFTER_S = 300.0
"""A window probe is acknowledged at least every 120 s by a peer that lives but does not read."""


class Outbound:
    """The sending half of one side of a session."""

    def __init__(
        self,
        transport: Transport,
        nursery: trio.Nursery,
        *,
        on_broken: Callable[[str], None],
        on_room: Callable[[], None],
    ) -> None:
        """Both are called from the event loop: ``on_broken`` once, when the peer cannot be reached;
        ``on_room`` when ``has_room`` becomes true."""
        self._transport = transport
        self._nursery = nursery
        self._on_broken = on_broken
        self._on_room = on_room
        self._queue: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._writing = False
        self._changed = trio.Event()
        self.sent_bytes = 0
        self.broken = False

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be sent."""
        return self._waiting_bytes

    @property
    def has_room(self) -> bool:
        """True while input that leads to output here may be taken; also where nobody listens."""
        return self._waiting_bytes < HIGH_WATER_BYTES or self.broken

    def put(self, data: bytes) -> None:
        """Send ``data`` behind what waits already; never blocks, never raises."""
        if self.broken or not data:
            return
        self.sent_bytes += len(data)
        view = memoryview(data)
        if not self._queue:
            try:
                view = view[self._transport.send_nowait(view) :]
            except TransportError as error:
                self._break(str(error))
                return
        if view:
            self._queue.append(view)
            self._waiting_bytes += len(view)
            if not self._writing:
                self._writing = True
                self._nursery.start_soon(self._write)

    async def drained(self) -> None:
        """Wait until nothing waits, or the side is broken; the caller sets the deadline."""
        while self._queue and not self.broken:
            await self._changed.wait()

    async def _write(self) -> None:
        try:
            while self._queue:
                head = self._queue[0]
                sent = self._transport.send_nowait(head)
                if sent == 0:
                    await self._wait_for_peer()
                    continue
                had_room = self.has_room
                self._waiting_bytes -= sent
                if sent == len(head):
                    self._queue.popleft()
                else:
                    self._queue[0] = head[sent:]
                self._notify()
                if not had_room and self.has_room:
                    self._on_room()
        except TransportError as error:
            self._break(str(error))
        finally:
            self._writing = False

    async def _wait_for_peer(self) -> None:
        while True:
            with trio.move_on_after(_STALL_CHECK_S):
                await self._transport.wait_writable()
                return
            if self._transport.peer_silence_s() > _DEAD_AFTER_S:
                raise TransportError("the peer acknowledges nothing any more")

    def _break(self, why: str) -> None:
        if self.broken:
            return
        self.broken = True
        self._queue.clear()
        self._waiting_bytes = 0
        self._notify()
        self._on_broken(why)
        self._on_room()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
