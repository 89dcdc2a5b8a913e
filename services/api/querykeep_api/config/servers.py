"""``querykeep api``: one parent, two gunicorn servers (public and internal), one fate."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

import structlog

from querykeep_api.config.environment import Environment

_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """One gunicorn to start."""

    name: str
    application: str
    bind: str
    options: tuple[str, ...] = ()


def serve_api(environment: Environment) -> int:
    """Start both servers and wait. SIGTERM or SIGINT stops both; when one dies, so does the other.

    Returns:
        0 after a requested stop, 1 when a server ended by itself.
    """
    servers = (
        Server("public", "querykeep_api.config.wsgi:application", environment.api_bind),
        Server(
            "internal",
            "querykeep_api.config.internal_wsgi:application",
            environment.internal_bind,
            internal_tls(environment),
        ),
    )
    return serve(
        [gunicorn_command(server, environment) for server in servers],
        [server.name for server in servers],
    )


def internal_tls(environment: Environment) -> tuple[str, ...]:
    """Return gunicorn's options for mutual TLS, or none when no certificate is set."""
    if environment.internal_cert_file is None:
        return ()
    options = ["--certfile", str(environment.internal_cert_file)]
    if environment.internal_cert_key_file is not None:
        options += ["--keyfile", str(environment.internal_cert_key_file)]
    if environment.internal_ca_file is not None:
        # 2 = ssl.CERT_REQUIRED: a service without a certificate of our CA does not get in.
        options += ["--ca-certs", str(environment.internal_ca_file), "--cert-reqs", "2"]
    return tuple(options)


def gunicorn_command(server: Server, environment: Environment) -> list[str]:
    """Return the command line of one server."""
    return [
        sys.executable, "-m", "gunicorn", server.application,
        "--bind", server.bind,
        "--name", f"querykeep-api-{server.name}",
        "--worker-class", "gthread",
        "--workers", str(environment.api_workers),
        "--threads", str(environment.api_threads),
        "--timeout", "120", "--graceful-timeout", "10", "--keep-alive", "75",
        "--limit-request-line", "8190",  # its most: a Korean sign takes 9 bytes there
        "--worker-tmp-dir", "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp",  # noqa: S108 - heartbeat files only
        "--logger-class", "querykeep_api.config.gunicorn_logs.JsonLogger",
        "--forwarded-allow-ips", "",
        "--no-control-socket",
        *server.options,
    ]  # fmt: skip


def serve(commands: Sequence[list[str]], names: Sequence[str]) -> int:
    """Run the commands as children until one ends or a stop is asked for."""
    children: list[subprocess.Popen[bytes]] = []
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for command in commands:
        children.append(subprocess.Popen(command, preexec_fn=_die_with_parent))
    pid, status = os.wait()
    ended = next((i for i, child in enumerate(children) if child.pid == pid), None)
    if ended is not None:
        children[ended].returncode = os.waitstatus_to_exitcode(status)
    if not stopping:
        name = names[ended] if ended is not None else "child"
        log.error("server ended by itself; stopping the rest", server=name)
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    return 0 if stopping else 1


def _die_with_parent() -> None:
    """Have the kernel end the child when the parent is killed, so that no port stays taken."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
