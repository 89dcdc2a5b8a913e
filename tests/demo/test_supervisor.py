"""`make run` brings everything up, brings back what died, and ends whole."""

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator

import psycopg
import pymysql
import pytest
from tests.fix_system import System, demo_command, read_system, start_system, temporary_home

from querykeep_demo.processes import ProcessIdentity, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SERVICES = {"api", "tool", "worker", "beat", "middleware", "proxy"}


@pytest.fixture(scope="module")
def own_system() -> Iterator[System]:
    """A system that these tests may break."""
    with temporary_home() as home:
        yield start_system(home)


def get(url: str, token: str) -> dict[str, object]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        content = json.loads(answer.read())
    assert isinstance(content, dict)
    return content


def test_demo_document_is_private_and_has_its_shape(own_system: System) -> None:
    path = own_system.home / "demo.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(own_system.pids) == SERVICES
    assert set(own_system.accounts) == {"admin", "dba", "analyst", "developer", "auditor"}
    for connection in own_system.connections.values():
        assert set(connection.tokens) == {"dba", "analyst", "developer"}


def test_every_account_has_a_working_api_token(own_system: System) -> None:
    for name, account in own_system.accounts.items():
        assert get(f"{own_system.api}/api/v1/me", account.api_token)["username"] == name


def test_direct_road_is_the_superuser(own_system: System) -> None:
    direct = own_system.postgresql.direct
    with psycopg.connect(
        host=direct.host,
        port=direct.port,
        user=direct.user,
        password=direct.password,
        dbname=direct.database,
    ) as connection:
        row = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (True,)
    direct = own_system.mariadb.direct
    with (
        pymysql.connect(
            host=direct.host,
            port=direct.port,
            user=direct.user,
            password=direct.password,
            database=direct.database,
        ) as mariadb,
        mariadb.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM payroll")
        assert cursor.fetchone() == (2_400,)


def test_services_are_detached(own_system: System) -> None:
    for pid in own_system.pids.values():
        assert os.getsid(pid) == pid
        for descriptor in (0, 1, 2):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            assert target == "/dev/null" or target.startswith(str(own_system.home / "log"))


def test_second_run_changes_nothing(own_system: System) -> None:
    assert start_system(own_system.home) == own_system


def test_killed_processes_come_back_with_all_data(own_system: System) -> None:
    home = own_system.home
    before = {name: (home / name).read_bytes() for name in ("ports.json", "secrets/seeded.json")}
    killed = [ProcessIdentity.of(own_system.pids[name]) for name in sorted(SERVICES)]
    killed += [
        ProcessIdentity.read(path)
        for path in (home / "redis/server.pid", *home.glob("*/server.pid"))
    ]
    for identity in killed:
        assert identity is not None
        os.kill(identity.pid, signal.SIGKILL)
    assert wait_for(
        lambda: not any(identity is not None and identity.is_running() for identity in killed),
        timeout_s=60,
    )
    again = start_system(home)
    assert set(again.pids) == SERVICES
    assert not set(again.pids.values()) & set(own_system.pids.values())
    assert again.accounts == own_system.accounts
    assert again.connections == own_system.connections
    assert before == {name: (home / name).read_bytes() for name in before}
    assert get(f"{again.api}/api/v1/me", again.accounts["admin"].api_token)["username"] == "admin"


def test_stopped_system_is_down_and_starts_again_once_its_ports_are_free(
    own_system: System,
) -> None:
    home = own_system.home
    pids = [ProcessIdentity.of(pid) for pid in read_system(home).pids.values()]
    assert demo_command(home, "stop").returncode == 0
    assert not any(identity is not None and identity.is_running() for identity in pids)
    status = demo_command(home, "status")
    assert status.returncode == 1
    assert status.stdout.count("down") == len(SERVICES) + 3

    port = json.loads((home / "ports.json").read_text())["web"]
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        done = demo_command(home, "run")
        assert done.returncode == 1
        assert f"port {port} (QUERYKEEP_WEB_BIND) of middleware is taken" in done.stderr
    assert start_system(home).accounts == own_system.accounts
    assert demo_command(home, "status").returncode == 0
