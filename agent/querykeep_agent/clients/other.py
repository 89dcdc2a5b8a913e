"""Programs that the agent knows nothing of: they get address and password, and start themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from querykeep_agent.clients.kind import Address, Launch
from querykeep_agent.errors import AgentError


class OtherKind:
    """A kind without a program."""

    def __init__(self, name: str) -> None:
        self._name = name

    def environment(self, address: Address) -> dict[str, str]:
        """Return the address in variables of our own."""
        return {
            "QK_HOST": address.host,
            "QK_PORT": str(address.port),
            "QK_USER": address.username,
            "QK_PASSWORD": address.password,
            "QK_DATABASE": address.database,
        }

    def launch(
        self,
        address: Address,
        arguments: Sequence[str],
        inherited: Mapping[str, str],
        folder: Path,
    ) -> Launch:
        """Refuse: raises AgentError."""
        raise AgentError(f"qk starts no program for {self._name!r}. Use: qk connect and qk url")

    async def refuse(self, stream: trio.SocketStream, message: str) -> None:
        """Close without a word."""
        return
