"""The command list of one ``handle`` call: neighbouring bytes for one side become one command."""

from __future__ import annotations

from querykeep_engines.kit.session import Audit, Command, Side, ToClient, ToServer
from querykeep_guard.contracts.audit import AuditEvent


class Pipe:
    """Collects what a session wants done, in order."""

    def __init__(self) -> None:
        self._commands: list[Command] = []
        self._parts: list[bytes] = []
        self._side: Side | None = None
        self.bytes_to_client = 0

    def to_client(self, data: bytes) -> None:
        """Send to the client."""
        if self._side is not Side.CLIENT:
            self._close_part()
            self._side = Side.CLIENT
        self._parts.append(data)
        self.bytes_to_client += len(data)

    def to_server(self, data: bytes) -> None:
        """Send to the target."""
        if self._side is not Side.SERVER:
            self._close_part()
            self._side = Side.SERVER
        self._parts.append(data)

    def emit(self, command: Command) -> None:
        """Add any other command."""
        self._close_part()
        self._commands.append(command)

    def record(self, event: AuditEvent) -> None:
        """Record a statement's begin or end. That may happen before bytes are sent that were given
        earlier, but never after later ones: so what goes to one side around it stays one piece."""
        self._commands.append(Audit(event))

    def take(self) -> list[Command]:
        """Return and forget what was collected."""
        self._close_part()
        commands, self._commands = self._commands, []
        return commands

    def _close_part(self) -> None:
        if self._side is None:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._commands.append(ToClient(data) if self._side is Side.CLIENT else ToServer(data))
        self._parts = []
        self._side = None
