"""Thread ids that we give to clients, and the ``KILL`` that names one."""

from __future__ import annotations

import re

OWN_THREAD_IDS = 0x70000000
"""Ours start here, far above any that a target counts up to, so that ``KILL QUERY`` tells the two
apart."""
_KILL = re.compile(
    r"\s*kill\s+(?:(?:hard|soft)\s+)?(?:query\s+|connection\s+)?(\d{1,20})\s*;?\s*\Z", re.I
)


def own_thread_of_kill(text: str) -> int | None:
    """Return the id that a ``KILL`` names when it is one of ours; None for any other statement."""
    kill = _KILL.match(text)
    return int(kill[1]) if kill and int(kill[1]) >= OWN_THREAD_IDS else None


def cancel_key(connection_id: str, user_id: str, thread_id: int) -> bytes:
    """Return what finds a session for its own user's ``KILL``."""
    return f"{connection_id}|{user_id}|{thread_id}".encode()
