"""Private PostgreSQL, MariaDB and Redis servers, bare and with the demo database `shop`.

Session-scoped: each test process (each worker of pytest-xdist) has servers of its own on ports of
its own, started on first use and ended with the session, also when the test process is killed.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.ports import free_port

from querykeep_demo.processes import ProcessError
from querykeep_demo.servers import (
    MariadbServer,
    PostgresqlServer,
    PrivateServer,
    RedisServer,
    new_password,
)
from querykeep_demo.shop import Shop, load_mariadb, load_postgresql

ATTEMPTS = 3


Server = TypeVar("Server", bound=PrivateServer)


def start_private(kind: type[Server], folder: Path) -> Server:
    """Start a server of this kind; on another port when a neighbour took the chosen one."""
    for attempt in range(1, ATTEMPTS + 1):
        server = kind(
            folder / f"{kind.name.lower()}-{attempt}",
            port=free_port(),
            password=new_password(),
            keeps_data=False,
            dies_with_parent=True,
        )
        try:
            server.start()
        except ProcessError:
            if attempt == ATTEMPTS:
                raise
        else:
            return server
    raise AssertionError("unreachable: the last attempt returns or raises")


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A short folder that the servers' own users can reach; pytest's are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="qk-servers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server(servers_folder: Path) -> Iterator[PostgresqlServer]:
    """A bare PostgreSQL server; its user is the superuser."""
    server = start_private(PostgresqlServer, servers_folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_server(servers_folder: Path) -> Iterator[MariadbServer]:
    """A bare MariaDB server; its user is root."""
    server = start_private(MariadbServer, servers_folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Iterator[RedisServer]:
    """A Redis with a named user and password; `.url` holds both."""
    server = start_private(RedisServer, servers_folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shop_postgresql(postgresql_server: PostgresqlServer) -> Shop:
    """The demo database in PostgreSQL. Tests that change rows put them back (or roll back)."""
    return load_postgresql(postgresql_server, account_password=new_password())


@pytest.fixture(scope="session")
def shop_mariadb(mariadb_server: MariadbServer) -> Shop:
    """The demo database in MariaDB. Tests that change rows put them back (or roll back)."""
    return load_mariadb(mariadb_server, account_password=new_password())
