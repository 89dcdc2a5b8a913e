"""A governed road to one server: ``querykeep-proxy`` as a process, before a fake internal API.

What clients get there is an account without masks that may run every kind of statement, so that a
client's own tests must end as they do on the bare server.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.proxy.fix_proxy import Certificate
from tests.proxy.program import Program, program_environment
from tests.relay.fix_internal_api import FakeApi, make_policy, serving

from querykeep_guard.contracts.policy import GrantScope, SessionPolicy, StatementKind
from querykeep_guard.contracts.session import ConnectionInfo, Target, TlsMode

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
        port = free_port()
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
        environment = program_environment(folder, api.url, free_port(), certificate)
        proxy = Program(environment, folder / "proxy.log")
        try:
            proxy.ready()
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
            try:
                proxy.stop()
            except subprocess.TimeoutExpired:
                proxy.kill()


def shown_version(text: str) -> str:
    """Return a version without its distribution's suffix, as tables show it."""
    found = re.match(r"[0-9.]+", text)
    return found[0] if found else text
