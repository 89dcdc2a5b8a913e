"""The twin databases of PostgreSQL, made once for a test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.postgresql.twin_databases import PostgresqlTwins, twin_databases
from tests.fix_servers import start_private


@pytest.fixture(scope="session")
def postgresql_twins(servers_folder: Path) -> Iterator[PostgresqlTwins]:
    """Two databases that differ only in what the rules of the policy cases hide."""
    with twin_databases(start_private, servers_folder / "twins") as twins:
        yield twins
