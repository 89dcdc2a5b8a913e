"""Waiting in tests for something that announces itself to nobody."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable

import trio


async def until(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Poll until the condition holds; raises trio.TooSlowError after the deadline."""
    with trio.fail_after(timeout_s):
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return
            await trio.sleep(0.01)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    """Poll from a plain thread until the condition holds; ``what`` is said when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
