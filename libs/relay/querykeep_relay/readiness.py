"""One loop that tells every session of a process when a socket of it can be read.

A task per direction costs two rounds of trio's scheduler and two changes of its epoll set for each
statement: more than all that a session does for it. So sockets of sessions stand in an epoll set
of our own, once, and one task waits for that set (an epoll descriptor can itself be waited for).
What is ready is called back at once and in turn: read, session, send, without a switch of tasks.

Callbacks run in trio's thread, as any task does, so nothing needs a lock. They read one bounded
piece each, must not block and must not raise. trio's own tasks get their round at the latest after
``_SLICE_S`` of callbacks; the loop waits ``_LINGER_S`` for the next socket before it gives way,
because the answer to what was just sent is usually only microseconds away.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

import trio

_LOG = logging.getLogger(__name__)
READ_BYTES = 64 * 1024
"""Largest read: what a socket buffer gives at once; larger reads gain nothing measurable."""
_SLICE_S = 0.002
_LINGER_S = 0.001
"""What a task of trio's may have to wait for longer than without; epoll knows no shorter time."""
_EVENTS_AT_ONCE = 64


class Readiness:
    """The epoll set of one process; ``run`` is its task."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_BYTES))
        """Where every read of a session lands, to be copied out at its own length at once."""
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call ``ready`` whenever the descriptor has bytes, its end or an error to read.

        Raises:
            OSError: The descriptor is watched already, or the kernel has no room for it.
        """
        self._poll.register(descriptor, select.EPOLLIN)
        self._ready[descriptor] = ready

    def forget(self, descriptor: int) -> None:
        """Call nothing for the descriptor any more; before it is closed."""
        if self._ready.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    async def run(self) -> None:
        """Call back until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._poll.fileno())
            self._call_ready(time.perf_counter() + _SLICE_S)

    def _call_ready(self, until: float) -> None:
        ready = self._ready
        while True:
            events = self._poll.poll(_LINGER_S, _EVENTS_AT_ONCE)
            if not events:
                return
            for descriptor, _ in events:
                callback = ready.get(descriptor)
                if callback is None:
                    continue
                try:
                    callback()
                except Exception as error:
                    # A session catches what happens in it: this would be a fault of its shell.
                    _LOG.error("a session's read failed: %s", type(error).__name__)
                    self.forget(descriptor)
            if time.perf_counter() >= until:
                return
