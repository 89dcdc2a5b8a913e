"""The twin databases of MariaDB, made once for a test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.mysql.twin_databases import DATABASE, ENGINE, MysqlTwins
from tests.fix_servers import start_private
from tests.guard import policy_cases
from tests.guard.twin_runner import World

from querykeep_demo.servers import MariadbServer, new_password


@pytest.fixture(scope="session")
def mariadb_twins(servers_folder: Path) -> Iterator[MysqlTwins]:
    """Two databases that differ only in what the rules of the policy cases hide."""
    servers = {
        world: start_private(MariadbServer, servers_folder / f"twin-{world.value}")
        for world in World
    }
    rules = policy_cases.policy(ENGINE, DATABASE)
    twins = MysqlTwins("mariadb", {**servers}, new_password(), rules)
    yield twins
    twins.close()
    for server in servers.values():
        server.stop()
