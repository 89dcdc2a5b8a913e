"""Deadlines of all sessions in one task: a session must not cost a task per limit."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

import trio

_LOG = logging.getLogger(__name__)


class Timer:
    """One deadline; ``cancel`` makes it void."""

    __slots__ = ("_callback", "at")

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the deadline; safe to call at any time."""
        self._callback = None

    def fire(self) -> None:
        """Run the callback unless it was cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Timers:
    """A heap of deadlines on trio's monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._earlier = trio.Event()

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in the event loop once ``delay_s`` have passed; it must not block."""
        timer = Timer(trio.current_time() + max(0.0, delay_s), callback)
        first = self._heap[0][0] if self._heap else float("inf")
        heapq.heappush(self._heap, (timer.at, next(self._order), timer))
        if timer.at < first:
            self._earlier.set()
        return timer

    async def run(self) -> None:
        """Fire deadlines until cancelled. A callback that fails is logged; the others go on."""
        while True:
            self._earlier = trio.Event()
            delay = self._heap[0][0] - trio.current_time() if self._heap else float("inf")
            if delay > 0:
                with trio.move_on_after(delay):
                    await self._earlier.wait()
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                timer = heapq.heappop(self._heap)[2]
                try:
                    timer.fire()
                except Exception:
                    _LOG.exception("a deadline's action failed")
