"""What a kind of client program is to the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio


@dataclass(frozen=True, slots=True)
class Address:
    """How a local client reaches a database through the agent."""

    host: str
    port: int
    username: str
    password: str
    database: str

    def __repr__(self) -> str:
        """Show no password."""
        return f"Address({self.host}:{self.port}/{self.database})"


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start; secrets stand in ``environment`` or in files of the given folder, never
    in ``arguments``."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        """Show no environment."""
        return f"Launch({self.arguments[0]})"


class ClientKind(Protocol):
    """A kind of client program."""

    def environment(self, address: Address) -> dict[str, str]:
        """Return the variables by which such programs find the database (``qk env``)."""

    def launch(
        self,
        address: Address,
        arguments: Sequence[str],
        inherited: Mapping[str, str],
        folder: Path,
    ) -> Launch:
        """Return how to start the program with the person's own arguments. ``folder`` is private
        and lives as long as the program.

        Raises:
            AgentError: No such program is installed.
        """

    async def refuse(self, stream: trio.SocketStream, message: str) -> None:
        """Tell a client that there is no session, in its own protocol."""
