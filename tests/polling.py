"""Waiting in tests for something that announces itself to nobody."""

from __future__ import annotations

import inspect
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
