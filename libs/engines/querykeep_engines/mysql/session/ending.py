"""How a session comes to its end from anywhere inside: one exception, caught by the session."""

from __future__ import annotations

from querykeep_engines.mysql.wire.messages import ErrorPacket
from querykeep_guard.contracts.session import EndReason


class SessionEndedError(Exception):
    """The session must end now.

    Args:
        reason: What the audit says.
        error: What the client is told, or None where nothing can be told.
        detail: For the audit where it differs from the error's text.
    """

    def __init__(self, reason: EndReason, error: ErrorPacket | None, detail: str = "") -> None:
        self.reason = reason
        self.error = error
        self.detail = detail or (error.message if error else "")
        super().__init__(self.detail or reason.value)
