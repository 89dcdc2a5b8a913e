"""People in front of the web UI, the administrator's API, and a middleware that may be broken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fix_system import DemoConnection, System
from tests.middleware.browser import Editor, Person

from querykeep_demo.servers import free_port

PROGRAM = Path(sys.executable).parent / "querykeep-middleware"
READY_TIMEOUT_S = 60.0
ENGINES = ("shop-postgresql", "shop-mariadb")


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Poll a condition that announces itself to nobody."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


class Admin:
    """The administrator, over the public API with his token."""

    def __init__(self, system: System) -> None:
        token = system.accounts["admin"].api_token
        self.http = httpx.Client(
            base_url=f"{system.api}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=40,
            trust_env=False,
        )

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST and return what was made."""
        answer = self.http.post(path, json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        made: dict[str, Any] = answer.json()
        return made

    def list(self, path: str, **filters: str) -> list[dict[str, Any]]:
        """Return the first page of a list."""
        found: list[dict[str, Any]] = self.http.get(path, params=filters).json()["results"]
        return found

    def delete(self, path: str) -> None:
        """DELETE."""
        answer = self.http.delete(path)
        assert answer.status_code in (204, 404), answer.text

    @contextmanager
    def grant(
        self, username: str, connection: DemoConnection, privilege: str = "read-only"
    ) -> Iterator[str]:
        """Give a grant for the block; yields its path."""
        (user,) = (one for one in self.list("/users", search=username))
        (level,) = (one for one in self.list("/privileges") if one["name"] == privilege)
        made = self.make(
            "/grants", {"user": user["id"], "connection": connection.id, "privilege": level["id"]}
        )
        path = f"/grants/{made['id']}"
        try:
            yield path
        finally:
            self.delete(path)


@pytest.fixture(scope="session")
def admin(system: System) -> Iterator[Admin]:
    """The administrator."""
    made = Admin(system)
    yield made
    made.http.close()


@pytest.fixture(scope="session")
def analyst(system: System) -> Iterator[Person]:
    """The analyst, signed in: reads, masked."""
    person = Person(system.web, system.accounts["analyst"])
    yield person
    person.close()


@pytest.fixture(scope="session")
def developer(system: System) -> Iterator[Person]:
    """The developer, signed in: reads and writes, masked."""
    person = Person(system.web, system.accounts["developer"])
    yield person
    person.close()


@pytest.fixture
def auditor(system: System) -> Iterator[Person]:
    """The auditor, signed in anew: holds no grant, and may sign out."""
    person = Person(system.web, system.accounts["auditor"])
    yield person
    person.close()


@pytest.fixture(params=ENGINES)
def connection(request: pytest.FixtureRequest, system: System) -> DemoConnection:
    """Each demo connection in turn."""
    found: DemoConnection = system.connections[request.param]
    return found


@pytest.fixture
def editor(analyst: Person, connection: DemoConnection) -> Iterator[Editor]:
    """A new window of the analyst with tab ``t`` connected."""
    with analyst.editor() as opened:
        opened.connect(connection.id)
        yield opened


@dataclass(slots=True)
class OwnMiddleware:
    """A second middleware of the same installation, for tests that break it."""

    process: subprocess.Popen[bytes]
    environ: dict[str, str]
    web: str
    agent: str
    home: Path

    @property
    def runner_pid(self) -> int:
        """The runner's process id; waits until there is one."""
        found: list[int] = []

        def look() -> bool:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            # The watching thread starts it: its children stand under that thread.
            for task in children.parent.parent.iterdir():
                with contextlib.suppress(OSError):
                    found[:] = [int(pid) for pid in (task / "children").read_text().split()]
                    if found:
                        return True
            return False

        wait_until(look)
        return found[0]

    def is_ready(self) -> bool:
        """True when every part answers."""
        try:
            return httpx.get(f"{self.web}/readyz", timeout=10, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def start(self) -> None:
        """Start it (again)."""
        self.process = _start(self.environ, self.home)

    def stop(self) -> int:
        """End it politely; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def _start(environ: dict[str, str], home: Path) -> subprocess.Popen[bytes]:
    with (home / "log").open("ab") as log:
        return subprocess.Popen([PROGRAM], env=environ, stdin=subprocess.DEVNULL, stderr=log)


@contextmanager
def own_middleware(
    system: System, home: Path, *, wait: bool = True, **changes: str
) -> Iterator[OwnMiddleware]:
    """Run a second middleware beside the system's, with its own ports, store and spool."""
    raw = Path(f"/proc/{system.pids['middleware']}/environ").read_bytes().decode()
    environ = dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)
    web, agent = free_port(), free_port()
    environ |= {
        "QUERYKEEP_WEB_BIND": f"127.0.0.1:{web}",
        "QUERYKEEP_AGENT_SIGNIN_BIND": f"127.0.0.1:{agent}",
        "QUERYKEEP_RESULTS_DIR": str(home / "results"),
        "QUERYKEEP_SPOOL_DIR": str(home / "spool"),
        "QUERYKEEP_EP_ADDRESS": f"127.0.0.1:{web}",
        **changes,
    }
    own = OwnMiddleware(
        _start(environ, home),
        environ,
        f"http://127.0.0.1:{web}",
        f"http://127.0.0.1:{agent}",
        home,
    )
    try:
        if wait:
            wait_until(own.is_ready, READY_TIMEOUT_S)
        yield own
    finally:
        if own.process.poll() is None:
            own.stop()


@pytest.fixture
def second(system: System, tmp_path: Path) -> Iterator[OwnMiddleware]:
    """A second middleware that a test may break."""
    with own_middleware(system, tmp_path) as own:
        yield own


def is_alive(pid: int) -> bool:
    """True while a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int) -> None:
    """End a process without warning."""
    os.kill(pid, signal.SIGKILL)


def shape(text: str) -> Any:
    """Read JSON."""
    return json.loads(text)
