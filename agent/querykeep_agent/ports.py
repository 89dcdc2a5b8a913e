"""The stable local port of each connection."""

from __future__ import annotations

import hashlib
import socket

from querykeep_agent.errors import AgentError
from querykeep_agent.home import Home, Server

FIRST, LAST = 20000, 29999
"""Below the ranges from which operating systems take ports for outgoing connections."""


def remembered_port(home: Home, server: Server, connection_id: str) -> int:
    """Return the connection's port; the first time, a free one is chosen and kept.

    The first guess follows from server and connection, so that it is the same on a second machine.
    """
    ports = home.server(server.name).ports
    if connection_id in ports:
        return ports[connection_id]
    taken = {port for other in home.servers().values() for port in other.ports.values()}
    digest = hashlib.sha256(f"{server.name} {connection_id}".encode()).digest()
    span = LAST - FIRST + 1
    start = int.from_bytes(digest[:8], "big") % span
    for step in range(span):
        port = FIRST + (start + step) % span
        if port not in taken and _is_free(port):
            home.set_port(server.name, connection_id, port)
            return port
    raise AgentError(f"no local port between {FIRST} and {LAST} is free. Choose one: --port N")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
