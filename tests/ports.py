"""Ports for servers that tests start, never given to two test processes at once.

Looking for a free port and listening on it later is a race between parallel workers. So each port
that is given out is also locked, for as long as the process that asked for it lives.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from pathlib import Path

from querykeep_demo.servers import port_is_free

# Below the range that kernels hand out to outgoing connections (32768 and up), so that no client
# takes a port in the moment between the look and the server's start.
LOWEST = 15_000
HIGHEST = 32_000
LOCKS = Path(tempfile.gettempdir()) / f"querykeep-test-ports-{os.getuid()}"


def free_port() -> int:
    """Return a random loopback port that nobody listens on and no other test process holds."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Return the first of consecutive free loopback ports, held by this process until it ends."""
    while True:
        first = LOWEST + secrets.randbelow(HIGHEST - LOWEST - count)
        ports = range(first, first + count)
        if all(map(port_is_free, ports)) and _lock(ports):
            return first


def _lock(ports: range) -> bool:
    """Lock all of these ports or none."""
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    held: list[int] = []
    for port in ports:
        descriptor = os.open(LOCKS / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        held.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for each in held:
                os.close(each)
            return False
    return True
