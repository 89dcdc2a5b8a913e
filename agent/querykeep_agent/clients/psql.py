"""psql and what else reads libpq's variables.

Specification: PostgreSQL documentation, "Environment Variables" and "Message Formats".
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from querykeep_agent.clients.kind import Address, Launch
from querykeep_agent.errors import AgentError

_DROPPED = (
    "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGREQUIREAUTH", "PGREQUIRESSL",
    "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLNEGOTIATION", "PGCHANNELBINDING",
    "PGREQUIREPEER", "PGTARGETSESSIONATTRS", "PGOPTIONS", "PGDATABASE",
)  # fmt: skip
_ENCRYPTION_REQUESTS = (80877103, 80877104)  # SSLRequest, GSSENCRequest
_CANCEL_REQUEST = 80877102
_STARTUP_LIMIT_BYTES = 10_000  # as the server's own MAX_STARTUP_PACKET_LENGTH
_INT32 = struct.Struct(">I")


class PsqlKind:
    """libpq."""

    def environment(self, address: Address) -> dict[str, str]:
        """Return libpq's variables. Within this machine there is no TLS: the tunnel has it."""
        return {
            "PGHOST": address.host,
            "PGPORT": str(address.port),
            "PGUSER": address.username,
            "PGPASSWORD": address.password,
            "PGDATABASE": address.database,
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
        }

    def launch(
        self,
        address: Address,
        arguments: Sequence[str],
        inherited: Mapping[str, str],
        folder: Path,
    ) -> Launch:
        """Start psql; raises AgentError when there is none."""
        program = shutil.which("psql", path=inherited.get("PATH"))
        if program is None:
            raise AgentError("psql is not installed (or not in PATH). Install PostgreSQL's client")
        kept = {name: value for name, value in inherited.items() if name not in _DROPPED}
        return Launch((program, *arguments), {**kept, **self.environment(address)})

    async def refuse(self, stream: trio.SocketStream, message: str) -> None:
        """Answer the start-up with FATAL 08006, after declining encryption."""
        try:
            while True:
                (length,) = _INT32.unpack(await _exactly(stream, 4))
                if not 8 <= length <= _STARTUP_LIMIT_BYTES:
                    return
                body = await _exactly(stream, length - 4)
                (code,) = _INT32.unpack(body[:4])
                if code == _CANCEL_REQUEST:
                    return
                if code not in _ENCRYPTION_REQUESTS:
                    break
                await stream.send_all(b"N")
            fields = (b"SFATAL", b"VFATAL", b"C08006", b"M" + f"qk: {message}".encode())
            body = b"".join(field.replace(b"\0", b"") + b"\0" for field in fields) + b"\0"
            await stream.send_all(b"E" + _INT32.pack(len(body) + 4) + body)
            await stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await stream.receive_some(count - len(data))
        if not part:
            raise trio.BrokenResourceError("closed in the start-up")
        data += part
    return data
