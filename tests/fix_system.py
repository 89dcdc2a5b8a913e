"""The whole system with its demo, as `make run` starts it, in a folder and on ports of its own.

Session-scoped; end-to-end tests share it and leave it as they found it (rows, grants, rules). Tests
that break it on purpose start one of their own with `start_system`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest
from tests.ports import free_ports

from querykeep_demo.ports import CONNECTIONS_SPAN, Ports

PROGRAM = Path(sys.executable).parent / "querykeep-demo"
START_TIMEOUT_S = 360


@dataclass(frozen=True, slots=True)
class Account:
    """One demo account."""

    username: str
    password: str = field(repr=False)
    api_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Direct:
    """The bare road to a demo database, as superuser."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str


@dataclass(frozen=True, slots=True)
class Token:
    """A proxy token: user name and password for one person and one connection."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DemoConnection:
    """One demo connection and the roads to it."""

    id: str
    name: str
    engine: str
    host: str
    port: int
    database: str
    direct: Direct
    tokens: dict[str, Token]


@dataclass(frozen=True, slots=True)
class System:
    """A running system, read from its `demo.json`."""

    home: Path
    web: str
    api: str
    tool: str
    agent_signin: str
    establish: str
    data: str
    health: str
    ca_file: Path
    pids: dict[str, int]
    accounts: dict[str, Account]
    connections: dict[str, DemoConnection]

    @property
    def postgresql(self) -> DemoConnection:
        """The demo connection to PostgreSQL."""
        return self.connections["shop-postgresql"]

    @property
    def mariadb(self) -> DemoConnection:
        """The demo connection to MariaDB."""
        return self.connections["shop-mariadb"]


def demo_command(
    home: Path, command: str, *, timeout_s: float = START_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run `querykeep-demo` on an installation to its end."""
    return subprocess.run(
        [PROGRAM, command, "--home", home],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start_system(home: Path) -> System:
    """Start (or repair) a system in a folder and return what its `demo.json` says."""
    home.mkdir(exist_ok=True)
    if not (home / "ports.json").exists():
        random_ports().write(home / "ports.json")
    done = demo_command(home, "run")
    assert done.returncode == 0, done.stderr
    return read_system(home)


def read_system(home: Path) -> System:
    """Read `demo.json`."""
    document = json.loads((home / "demo.json").read_text())
    assert document["version"] == 1
    return System(
        home=home,
        web=document["web"],
        api=document["api"],
        tool=document["tool"],
        agent_signin=document["agent_signin"],
        **document["proxy"],
        ca_file=Path(document["ca_file"]),
        pids=document["pids"],
        accounts={name: Account(**account) for name, account in document["accounts"].items()},
        connections={
            name: DemoConnection(
                id=entry["id"],
                name=name,
                engine=entry["engine"],
                host=entry["proxy"]["host"],
                port=entry["proxy"]["port"],
                database=entry["database"],
                direct=Direct(**entry["direct"]),
                tokens={user: Token(**token) for user, token in entry["tokens"].items()},
            )
            for name, entry in document["connections"].items()
        },
    )


def random_ports() -> Ports:
    """Return ports far from the documented ones, on which a developer's own demo may run."""
    spans = {"connections": CONNECTIONS_SPAN}
    names = [entry.name for entry in fields(Ports)]
    return Ports(**{name: free_ports(spans.get(name, 1)) for name in names})


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Give a folder for one installation, ended and deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="qk-system-"))
    folder.chmod(0o755)
    try:
        yield folder / "run"
    finally:
        done = demo_command(folder / "run", "reset")
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The whole system with its demo."""
    with temporary_home() as home:
        yield start_system(home)
