"""Redis and the API of a whole system are killed under load: live sessions do not notice, new ones
are told, nothing is lost, and everything clears when the part is back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pymysql
import pytest
from tests.fix_system import DemoConnection, System, read_system, start_system, temporary_home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def own_system() -> Iterator[System]:
    """A system that only this test uses."""
    with temporary_home() as home:
        yield start_system(home)


def connect(connection: DemoConnection):
    token = connection.tokens["analyst"]
    if connection.engine == "postgresql":
        return psycopg.connect(
            host=connection.host, port=connection.port, user=token.username,
            password=token.password, dbname=connection.database, autocommit=True,
            connect_timeout=60,
        )  # fmt: skip
    return pymysql.connect(
        host=connection.host, port=connection.port, user=token.username,
        password=token.password, database=connection.database, connect_timeout=60,
        ssl_disabled=True,
    )  # fmt: skip


class SteadyClient:
    """One session that asks marked statements until it is stopped; any error is kept."""

    def __init__(self, connection: DemoConnection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._over = threading.Event()
        self.asked = 0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with closing(connect(self._connection)) as session, session.cursor() as cursor:
                while not self._over.wait(0.05):
                    cursor.execute(f"select '{self._prefix}-{self.asked}', 1")
                    cursor.fetchall()
                    self.asked += 1
        except Exception as error:
            self.error = error

    def goes_on(self) -> None:
        """Wait until it has asked some more."""
        goal = self.asked + 10
        wait_until(lambda: self.asked >= goal or self.error is not None)
        assert self.error is None, self.error

    def stop(self) -> None:
        self._over.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "a client hangs"


def wait_until(condition: Callable[[], bool], limit_s: float = 180.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def redis_pid(home: Path) -> int:
    (found,) = (path for path in home.rglob("server.pid") if "redis" in str(path).lower())
    return int(json.loads(found.read_text())["pid"])


def audited(system: System, prefix: str) -> list[str]:
    """Return the texts of all recorded statements with this mark, through every page."""
    token = system.accounts["auditor"].api_token
    url: str | None = f"{system.api}/api/v1/audit/statements?search={prefix}"
    texts: list[str] = []
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        while url:
            page = http.get(url).json()
            texts += [entry["statement"] for entry in page["results"] if entry["outcome"] == "ok"]
            url = page["next"]
    return texts


def test_redis_and_the_api_are_killed_under_load(own_system: System) -> None:
    prefix = f"mark{uuid.uuid4().hex[:12]}"
    clients = {
        name: SteadyClient(connection, f"{prefix}-{connection.engine}")
        for name, connection in own_system.connections.items()
    }
    try:
        for client in clients.values():
            client.goes_on()
        os.kill(redis_pid(own_system.home), signal.SIGKILL)
        for name, client in clients.items():
            client.goes_on()
            connect(own_system.connections[name]).close()  # signing in needs no Redis
        os.kill(own_system.pids["api"], signal.SIGKILL)
        for client in clients.values():
            client.goes_on()
        start_system(own_system.home)  # brings back what died
        now = read_system(own_system.home)
        for name, client in clients.items():
            client.goes_on()
            connect(now.connections[name]).close()
        wait_until(lambda: httpx.get(f"{now.health}/readyz").status_code == 200)
    finally:
        for client in clients.values():
            client.stop()
    for name, client in clients.items():
        mine = f"{prefix}-{own_system.connections[name].engine}"
        wanted = sorted(f"select '{mine}-{number}', 1" for number in range(client.asked))
        wait_until(partial(all_there, now, mine, len(wanted)))
        assert sorted(audited(now, mine)) == wanted


def all_there(system: System, prefix: str, count: int) -> bool:
    return len(audited(system, prefix)) >= count
