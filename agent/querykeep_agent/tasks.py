"""Nurseries whose failure is one error, not a group of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from querykeep_agent.errors import AgentError


@asynccontextmanager
async def open_tasks() -> AsyncIterator[trio.Nursery]:
    """Open a nursery; the first AgentError of its tasks is raised bare, all else as trio does."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        error = first_agent_error(group)
        if error is None:
            raise
        raise error from group


def first_agent_error(group: BaseExceptionGroup[BaseException]) -> AgentError | None:
    """Return the first AgentError within a group that holds nothing else but cancellations."""
    rest = group.split((AgentError, trio.Cancelled, KeyboardInterrupt))[1]
    found = group.subgroup(AgentError)
    if rest is not None or found is None:
        return None
    error: BaseException = found
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AgentError)
    return error
