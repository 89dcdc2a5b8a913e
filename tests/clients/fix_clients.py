"""Roads and client programs for `make test-clients`, and the table that it prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
import pytest
from tests.clients.road import Address, Road, open_road
from tests.proxy.fix_proxy import Certificate

from querykeep_demo.shop import Shop

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
NODE = ROOT / ".venv" / "bin" / "node"
TIMEOUT_S = 600

_rows: list[tuple[str, str, str, str]] = []


@dataclass(frozen=True, slots=True)
class Told:
    """What a program wrote, and how it ended."""

    text: str
    returncode: int


def run_program(command: list[str], address: Address) -> Told:
    """Run a client program in its folder with the address in its environment."""
    fields = ("host", "port", "user", "password", "database", "engine")
    environment = {f"ROAD_{name.upper()}": str(getattr(address, name)) for name in fields}
    libpq = {
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGUSER": address.user,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
    }
    done = subprocess.run(
        command,
        cwd=PROGRAMS,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
        | environment
        | libpq,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    return Told(text.replace(str(address.port), "PORT"), done.returncode)


def command_of(program: str) -> list[str]:
    """Return how a program is run: ``name.py``, ``name.sh`` or ``node.js part``."""
    file, *arguments = program.split()
    match Path(file).suffix:
        case ".py":
            assert PYTHON.exists(), "the drivers are not installed: run `make test-clients`"
            return [str(PYTHON), file, *arguments]
        case ".js":
            return [str(NODE) if NODE.exists() else str(shutil.which("node")), file, *arguments]
        case _:
            return ["sh", file, *arguments]


def note(client: str, server: str, result: str, remark: str) -> None:
    """Add a row to the table."""
    _rows.append((client, server, result, remark))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of clients."""
    if not _rows:
        return
    terminalreporter.write_line("\n| client | server | governed against direct | differences |")
    terminalreporter.write_line("|---|---|---|---|")
    for row in _rows:
        terminalreporter.write_line("| " + " | ".join(row) + " |")


def _address(shop: Shop, flavour: str, version: str) -> Address:
    return Address(
        shop.engine, flavour, shop.host, shop.port, shop.user, shop.password, shop.database, version
    )


@pytest.fixture(scope="session")
def postgresql_road(
    shop_postgresql: Shop, tls_certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    """The demo database in PostgreSQL, bare and governed, as the server's superuser."""
    folder = tmp_path_factory.mktemp("road-postgresql")
    with psycopg.connect(
        host=shop_postgresql.host,
        port=shop_postgresql.port,
        user=shop_postgresql.user,
        password=shop_postgresql.password,
        dbname=shop_postgresql.database,
    ) as connection:
        version = connection.info.parameter_status("server_version") or ""
    address = _address(shop_postgresql, "postgresql", version)
    with open_road(address, folder, tls_certificate) as road:
        yield road


@pytest.fixture(scope="session")
def mariadb_road(
    shop_mariadb: Shop, tls_certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    """The demo database in MariaDB, bare and governed, as root."""
    folder = tmp_path_factory.mktemp("road-mariadb")
    version = _server_version(shop_mariadb)
    with open_road(_address(shop_mariadb, "mariadb", version), folder, tls_certificate) as road:
        yield road


def _server_version(shop: Shop) -> str:
    connection = pymysql.connect(
        host=shop.host, port=shop.port, user=shop.user, password=shop.password
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            ((version,),) = cursor.fetchall()
            return str(version)
    finally:
        connection.close()
