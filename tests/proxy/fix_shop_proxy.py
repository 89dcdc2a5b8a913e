"""A proxy before the demo databases: real engines, real servers, the fake internal API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from tests.polling import until
from tests.ports import free_port
from tests.proxy.fix_proxy import Certificate
from tests.relay.fix_internal_api import KEY, FakeApi, make_policy

from querykeep_demo.shop import Shop
from querykeep_guard.contracts.policy import (
    AccessRule,
    GrantScope,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    StatementKind,
)
from querykeep_guard.contracts.session import ConnectionInfo, Target, TlsMode
from querykeep_proxy.main import Proxy
from querykeep_proxy.settings import ProxySettings
from querykeep_relay.services import RelayServices, open_services
from querykeep_relay.settings import RelaySettings


def only_value(cursor: psycopg.Cursor[Any]) -> Any:
    """Return the one value of a result that has one row of one column."""
    ((value,),) = cursor.fetchall()
    return value


@dataclass
class ShopProxy:
    """Where clients connect, and what stands around."""

    port: int
    user: str
    password: str
    database: str
    api: FakeApi
    services: RelayServices
    proxy: Proxy
    shop: Shop
    ports: dict[str, int]


def shop_policy(shop: Shop, **changes):
    schema = "public" if shop.engine == "postgresql" else shop.database
    return make_policy(
        engine=shop.engine,
        database=shop.database,
        grants=(
            GrantScope(
                "g1",
                "read-write",
                frozenset(StatementKind)
                - {StatementKind.UNKNOWN, StatementKind.DROP, StatementKind.ALTER},
            ),
        ),
        access_rules=(
            AccessRule("A-1", "pay", (ObjectPattern(schema, "payroll"),), columns_only=False),
        ),
        masking_rules=(
            MaskingRule(
                "M-1",
                "e-mail",
                (ObjectPattern(schema, "customers", "email"),),
                MaskerSpec("email"),
            ),
        ),
        **changes,
    )


@asynccontextmanager
async def open_shop_proxy(
    shop: Shop, api: FakeApi, tmp_path: Path, certificate: Certificate, **options: Any
) -> AsyncIterator[ShopProxy]:
    """``options`` are the relay's own settings where they differ from the usual ones."""
    port = free_port()
    version = "15.0" if shop.engine == "postgresql" else "10.11.0-MariaDB"
    api.connections = [
        ConnectionInfo(
            "c1", "shop", shop.engine, shop.engine, shop.database, port, version, enabled=True
        )
    ]
    api.passwords = {"ann": "pw-of-ann"}
    api.policy = shop_policy(shop)
    api.target = Target(
        shop.engine,
        shop.engine,
        shop.host,
        shop.port,
        shop.database,
        shop.account_user,
        shop.account_password,
        tls_mode=TlsMode.PREFER,
    )
    relay = RelaySettings(
        kind="proxy",
        ep="proxy-test",
        address="here",
        internal_url=api.url,
        internal_key=KEY,
        **{"spool_dir": tmp_path / "spool", **options},
    )
    settings = ProxySettings(
        relay=relay,
        establish=("127.0.0.1", 0),
        data=("127.0.0.1", 0),
        health=("127.0.0.1", 0),
        ports_host="127.0.0.1",
        ports=(1024, 65535),
        public_data="127.0.0.1:9000",
        tls_cert_file=str(certificate.cert_file),
        tls_key_file=str(certificate.key_file),
        unauthenticated_per_address=200,
        drain_s=2,
    )
    async with open_services(relay) as services, trio.open_nursery() as nursery:
        proxy = Proxy(settings, services)
        bound = await nursery.start(proxy.run)

        def listens() -> bool:
            import socket

            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        await until(listens)
        yield ShopProxy(port, "ann", "pw-of-ann", shop.database, api, services, proxy, shop, bound)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def pg_proxy(
    shop_postgresql, internal_api, tmp_path, tls_certificate
) -> AsyncIterator[ShopProxy]:
    async with open_shop_proxy(shop_postgresql, internal_api, tmp_path, tls_certificate) as opened:
        yield opened


@pytest.fixture
async def mariadb_proxy(
    shop_mariadb, internal_api, tmp_path, tls_certificate
) -> AsyncIterator[ShopProxy]:
    async with open_shop_proxy(shop_mariadb, internal_api, tmp_path, tls_certificate) as opened:
        yield opened
