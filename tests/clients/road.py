"""A governed road to one server: ``querykeep-proxy`` as a process, before a fake internal API.

What clients get there is an account without masks that may run every kind of statement, so that a
client's own tests must end as they do on the bare server.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.proxy.fix_proxy import Certificate
from tests.relay.fix_internal_api import KEY, FakeApi, make_policy, serving

from querykeep_guard.contracts.policy import GrantScope, SessionPolicy, StatementKind
from querykeep_guard.contracts.session import ConnectionInfo, Target, TlsMode

PROGRAM = Path(sys.executable).parent / "querykeep-proxy"
START_S = 120
EVERY_KIND = frozenset(StatementKind) - {StatementKind.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Address:
    """Where and as whom a client connects; `version` is what the server calls itself."""

    engine: str
    flavour: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    version: str


@dataclass(frozen=True, slots=True)
class Road:
    """The same database twice: bare and governed."""

    direct: Address
    governed: Address
    api: FakeApi
    ca_file: Path


def open_policy(engine: str, database: str) -> SessionPolicy:
    """Return a policy without masks, under which every kind of statement may run."""
    grant = GrantScope("g1", "owner", EVERY_KIND)
    return make_policy(engine=engine, database=database, grants=(grant,))


@contextmanager
def open_road(
    direct: Address, folder: Path, certificate: Certificate, *, tls_mode: TlsMode = TlsMode.PREFER
) -> Iterator[Road]:
    """Start a proxy before this server and end it with the block.

    The person's name and password are those of the direct account: some suites compare the name
    that they signed in with to ``current_user``.
    """
    with serving() as api:
        port, health = free_port(), free_port()
        api.connections = [
            ConnectionInfo(
                "c1", "road", direct.engine, direct.flavour, direct.database, port, direct.version
            )
        ]
        api.passwords = {direct.user: direct.password}
        api.policy = open_policy(direct.engine, direct.database)
        api.target = Target(
            direct.engine,
            direct.flavour,
            direct.host,
            direct.port,
            direct.database,
            direct.user,
            direct.password,
            tls_mode=tls_mode,
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key").write_text(KEY)
        environment = {
            "PATH": os.environ["PATH"],
            "QUERYKEEP_INTERNAL_URL": api.url,
            "QUERYKEEP_INTERNAL_KEY_FILE": str(folder / "key"),
            "QUERYKEEP_SPOOL_DIR": str(folder / "spool"),
            "QUERYKEEP_PORTS": "1024-65535",
            "QUERYKEEP_ESTABLISH_BIND": "127.0.0.1:0",
            "QUERYKEEP_DATA_BIND": "127.0.0.1:0",
            "QUERYKEEP_PROXY_HEALTH_BIND": f"127.0.0.1:{health}",
            "QUERYKEEP_TLS_CERT_FILE": str(certificate.cert_file),
            "QUERYKEEP_TLS_KEY_FILE": str(certificate.key_file),
        }
        with (folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen([str(PROGRAM)], env=environment, stdout=log, stderr=log)
        try:
            _wait_until_ready(process, health, folder / "proxy.log")
            governed = Address(
                direct.engine,
                direct.flavour,
                "127.0.0.1",
                port,
                direct.user,
                direct.password,
                direct.database,
                direct.version,
            )
            yield Road(direct, governed, api, certificate.cert_file)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], health: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{health}/readyz") as answer:
                json.load(answer)
                return
        except (urllib.error.URLError, ConnectionError):
            threading.Event().wait(0.05)
    raise AssertionError(f"the proxy did not become ready:\n{log.read_text()[-4000:]}")


def shown_version(text: str) -> str:
    """Return a version without its distribution's suffix, as tables show it."""
    found = re.match(r"[0-9.]+", text)
    return found[0] if found else text
