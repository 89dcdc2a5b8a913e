"""What can go wrong, in words that say what to do next; each kind has its own exit code."""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """A command cannot go on. The text is for the person; it holds no secret.

    ``exit_code`` is what ``qk`` ends with: 1 for what has no code of its own.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(AgentError):
    """The command line asks for something that has no meaning."""

    exit_code = 2


class NotSignedInError(AgentError):
    """There is no sign-in, or the server does not accept it any more."""

    exit_code = 3


class RefusedError(AgentError):
    """The server refused; ``code`` is its machine-readable reason."""

    exit_code = 4

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnreachableError(AgentError):
    """The server, or a part of it, does not answer."""

    exit_code = 5


class NotTrustedError(AgentError):
    """A certificate does not verify; nothing was sent."""

    exit_code = 6


class PortTakenError(AgentError):
    """A local port belongs to another program."""

    exit_code = 7
