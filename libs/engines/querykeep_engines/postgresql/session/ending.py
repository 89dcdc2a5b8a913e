"""How a session comes to its end from anywhere inside: one exception, caught by the session."""

from __future__ import annotations

from querykeep_engines.postgresql.errors import PgError
from querykeep_guard.contracts.session import EndReason


class SessionEndedError(Exception):
    """The session must end now.

    Args:
        reason: What the audit says.
        error: What the client is told, or None where nothing can be told.
        detail: For the audit where it differs from the error's text.
    """

    def __init__(self, reason: EndReason, error: PgError | None, detail: str = "") -> None:
        super().__init__(detail or (error.message if error else reason.value))
        self.reason = reason
        self.error = error
        self.detail = detail or (error.message if error else "")
