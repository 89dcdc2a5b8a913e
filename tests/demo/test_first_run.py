"""First runs move out of the way of others, also of those that come in between."""

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from tests.fix_system import System, demo_command, random_ports, read_system, temporary_home

from querykeep_demo.ports import Ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def masked_mail(system: System) -> str:
    token = system.postgresql.tokens["analyst"]
    with psycopg.connect(
        host=system.postgresql.host,
        port=system.postgresql.port,
        user=token.username,
        password=token.password,
        dbname=system.postgresql.database,
    ) as connection:
        row = connection.execute("SELECT email FROM customers WHERE id = 1").fetchone()
        assert row is not None
        return str(row[0])


def test_two_first_runs_at_the_same_moment_do_not_meet() -> None:
    with ExitStack() as stack:
        homes = [stack.enter_context(temporary_home()) for _ in range(2)]

        def run(home: Path) -> "subprocess.CompletedProcess[str]":
            return demo_command(home, "run", timeout_s=800)

        with ThreadPoolExecutor() as pool:
            for done in pool.map(run, homes):
                assert done.returncode == 0, done.stderr
        ports = [Ports.read(home / "ports.json") for home in homes]
        assert ports[0] is not None
        assert ports[1] is not None
        assert not ports[0].all() & ports[1].all()
        for home in homes:
            assert "*****@" in masked_mail(read_system(home))


def test_first_run_chooses_again_when_ports_were_taken_meanwhile() -> None:
    with temporary_home() as home, ExitStack() as stack:
        home.mkdir()
        wanted = random_ports()
        wanted.write(home / "ports.json")
        for port in (wanted.postgresql, wanted.web, wanted.connections + 1):
            squatter = stack.enter_context(socket.socket())
            squatter.bind(("127.0.0.1", port))
            squatter.listen()
        done = demo_command(home, "run")
        assert done.returncode == 0, done.stderr
        assert "Choosing other ports" in done.stderr
        kept = json.loads((home / "ports.json").read_text())
        assert kept["web"] != wanted.web
        assert kept["postgresql"] != wanted.postgresql
        assert kept["connections"] >= wanted.connections + 11
        assert (kept["api"], kept["mariadb"]) == (wanted.api, wanted.mariadb)
        assert "*****@" in masked_mail(read_system(home))
