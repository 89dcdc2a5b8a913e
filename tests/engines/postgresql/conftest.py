"""A governed shop, and the direct way to it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.engines.postgresql.clients import Connection
from tests.engines.postgresql.harness import (
    Governed,
    governed_by,
    plain_target,
)

from querykeep_demo.shop import Shop
from querykeep_guard.contracts.session import Target


@pytest.fixture
def target(shop_postgresql: Shop) -> Target:
    shop = shop_postgresql
    return plain_target(
        shop.host, shop.port, shop.account_user, shop.account_password, shop.database
    )


@pytest.fixture
def direct(target: Target) -> Iterator[Connection]:
    with psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database,
        autocommit=True,
    ) as connection:
        yield connection


@pytest.fixture
def governed(target: Target) -> Iterator[Governed]:
    with governed_by(target) as server:
        yield server
