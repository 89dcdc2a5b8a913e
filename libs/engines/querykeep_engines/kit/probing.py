"""The part of *Test* that no engine differs in: the list of steps, name resolution, TCP."""

from __future__ import annotations

import socket
import time

from querykeep_engines.kit.driver import ProbeReport, ProbeStep
from querykeep_guard.contracts.session import Target

STEPS = ("dns", "tcp", "tls", "authentication", "database", "permission")


class ProbeLog:
    """Collects the steps of one *Test* with their durations; what was not reached is skipped."""

    def __init__(self, flavour: str) -> None:
        self._flavour = flavour
        self._steps: list[ProbeStep] = []
        self._started = time.monotonic()

    def add(self, name: str, state: str, message: str) -> None:
        """Add a step; its duration counts from the one before."""
        now = time.monotonic()
        self._steps.append(ProbeStep(name, state, message, (now - self._started) * 1000))
        self._started = now

    def finish(self, version: str = "", flavour: str = "") -> ProbeReport:
        """Return the report."""
        done = {step.name for step in self._steps}
        for name in STEPS:
            if name not in done:
                self.add(name, "skipped", "not reached")
        failed = any(step.state == "failed" for step in self._steps)
        return ProbeReport(not failed, tuple(self._steps), version, flavour or self._flavour)


def reach(target: Target, log: ProbeLog) -> socket.socket | None:
    """Resolve and connect, logging ``dns`` and ``tcp``; None when either failed."""
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        log.add("dns", "failed", f"host name {target.host!r} cannot be resolved: {error}")
        return None
    found = sorted({str(address[4][0]) for address in addresses})
    log.add("dns", "ok", f"{target.host} is {', '.join(found)}")
    address = (target.host, target.port)
    try:
        raw = socket.create_connection(address, timeout=target.connect_timeout_s)
    except TimeoutError:
        log.add("tcp", "failed", f"{target.host}:{target.port} did not answer in time")
    except OSError as error:
        reason = error.strerror or error
        log.add("tcp", "failed", f"{target.host}:{target.port} cannot be reached: {reason}")
    else:
        log.add("tcp", "ok", f"{target.host}:{target.port} answers")
        return raw
    return None
