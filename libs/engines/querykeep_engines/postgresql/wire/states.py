"""The one table of which client message is allowed when, and what is done with it.

Anything that the table lacks is a protocol error: nothing passes by default.
"""

from __future__ import annotations

import enum

from querykeep_engines.postgresql.wire.codes import Frontend


class Phase(enum.Enum):
    """Where the client side of a session stands once the start-up packet was read."""

    AUTHENTICATING = "authenticating"
    """Waiting for an answer to an authentication request."""
    READY = "ready"
    """Simple and extended protocol."""
    SKIPPING = "skipping"
    """An error in the extended protocol: everything up to Sync is discarded."""
    COPY_IN = "copy_in"
    """The target takes COPY data."""

    __hash__ = object.__hash__


class Action(enum.Enum):
    """What is done with a message."""

    AUTHENTICATE = "authenticate"
    DECIDE = "decide"
    """Judged by the policy before anything is sent on."""
    TRACK = "track"
    """Sent on, with the session's own books kept (names, portals, expected answers)."""
    FORWARD = "forward"
    """Sent on as it is."""
    DISCARD = "discard"
    """Dropped, as the server itself would."""
    REFUSE = "refuse"
    """Answered with an error that says why; the connection stays."""
    TERMINATE = "terminate"


_ALL = tuple(Frontend)

TABLE: dict[tuple[Phase, Frontend], Action] = {
    (Phase.AUTHENTICATING, Frontend.PASSWORD): Action.AUTHENTICATE,
    (Phase.AUTHENTICATING, Frontend.TERMINATE): Action.TERMINATE,
    (Phase.READY, Frontend.QUERY): Action.DECIDE,
    (Phase.READY, Frontend.PARSE): Action.DECIDE,
    (Phase.READY, Frontend.BIND): Action.DECIDE,
    (Phase.READY, Frontend.EXECUTE): Action.DECIDE,
    (Phase.READY, Frontend.DESCRIBE): Action.TRACK,
    (Phase.READY, Frontend.CLOSE): Action.TRACK,
    (Phase.READY, Frontend.SYNC): Action.TRACK,
    (Phase.READY, Frontend.FLUSH): Action.FORWARD,
    (Phase.READY, Frontend.FUNCTION_CALL): Action.REFUSE,
    (Phase.READY, Frontend.TERMINATE): Action.TERMINATE,
    # The server ignores COPY messages that arrive outside a COPY: they may be on their way when a
    # COPY fails.
    (Phase.READY, Frontend.COPY_DATA): Action.DISCARD,
    (Phase.READY, Frontend.COPY_DONE): Action.DISCARD,
    (Phase.READY, Frontend.COPY_FAIL): Action.DISCARD,
    **{
        (Phase.SKIPPING, kind): Action.DISCARD
        for kind in _ALL
        if kind not in (Frontend.PASSWORD, Frontend.SYNC, Frontend.TERMINATE)
    },
    (Phase.SKIPPING, Frontend.SYNC): Action.TRACK,
    (Phase.SKIPPING, Frontend.TERMINATE): Action.TERMINATE,
    (Phase.COPY_IN, Frontend.COPY_DATA): Action.FORWARD,
    (Phase.COPY_IN, Frontend.COPY_DONE): Action.FORWARD,
    (Phase.COPY_IN, Frontend.COPY_FAIL): Action.FORWARD,
    # "In copy-in mode the backend ignores Flush and Sync messages."
    (Phase.COPY_IN, Frontend.FLUSH): Action.DISCARD,
    (Phase.COPY_IN, Frontend.SYNC): Action.DISCARD,
    (Phase.COPY_IN, Frontend.TERMINATE): Action.TERMINATE,
}


_ACTIONS: dict[Phase, dict[int, Action]] = {
    phase: {int(kind): found for (at, kind), found in TABLE.items() if at is phase}
    for phase in Phase
}


def action(phase: Phase, kind: int) -> Action | None:
    """Return what to do with a message, or None when it may not come now (protocol error)."""
    return _ACTIONS[phase].get(kind)
