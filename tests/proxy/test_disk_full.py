"""The spool's disk is full: what cannot be recorded does not run, and work goes on afterwards.

As root on a file system of its own, of a few hundred KiB; else on the spool's own limit, which the
session meets at the same place.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.polling import until
from tests.proxy.fix_shop_proxy import ShopProxy, only_value, open_shop_proxy
from tests.proxy.test_real_servers import in_thread, pg_conninfo
from tests.proxy.test_target_log import MARK, postgresql_road

from querykeep_guard.audit.chain import verify_records

DISK_BYTES = 512 * 1024
SEGMENT_BYTES = 64 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        yield folder
        return
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True
    )
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def options(small_disk: Path) -> dict[str, object]:
    limit = 1 << 30 if os.geteuid() == 0 else DISK_BYTES
    return {
        "spool_dir": small_disk / "spool",
        "segment_bytes": SEGMENT_BYTES,
        "spool_limit_bytes": limit,
    }


def mark() -> str:
    return f"mark_{uuid.uuid4().hex[:16]}"


def ask(proxy: ShopProxy, statement: str) -> object:
    with closing(psycopg.connect(pg_conninfo(proxy), autocommit=True)) as connection:
        return only_value(connection.execute(statement))


def fill(proxy: ShopProxy) -> str | None:
    """Run statements until one is refused; return its SQLSTATE."""
    with closing(psycopg.connect(pg_conninfo(proxy), autocommit=True)) as connection:
        try:
            while True:
                connection.execute(f"select '{mark()}', '{'x' * 2000}'")
        except psycopg.Error as error:
            return error.sqlstate


async def test_a_disk_that_the_spool_filled_serves_again_when_the_api_is_back(
    shop_postgresql, postgresql_server, internal_api, tmp_path, tls_certificate, small_disk
):
    road = postgresql_road(shop_postgresql, postgresql_server)
    try:
        async with open_shop_proxy(
            shop_postgresql, internal_api, tmp_path, tls_certificate, **options(small_disk)
        ) as proxy:
            internal_api.accept_records = False
            assert await in_thread(fill, proxy) == "53100"
            await until(lambda: len(proxy.services.live) == 0)
            assert proxy.services.health()["spool"]["ok"] is False
            with pytest.raises(psycopg.OperationalError):
                await in_thread(ask, proxy, "select 1")
            internal_api.accept_records = True

            async def serves() -> bool:
                try:
                    return await in_thread(ask, proxy, f"select '{mark()}'") != ""
                except psycopg.OperationalError:
                    return False

            await until(serves)
            assert proxy.services.health()["spool"]["ok"] is True
            await proxy.services.shipper.flushed()
        ran = road.logged()
    finally:
        road.stop_logging()
    audited = {
        found
        for event in internal_api.events("StatementStarted")
        for found in MARK.findall(event["statement"])
    }
    assert len(ran) > 20
    assert ran - audited == set(), "the target ran what the audit lacks"
    begun = {e["statement_id"] for e in internal_api.events("StatementStarted")}
    assert {e["statement_id"] for e in internal_api.events("StatementCompleted")} == begun
    assert {e["reason"] for e in internal_api.events("SessionClosed")} == {
        "client_closed",
        "spool_full",
    }
    assert list(verify_records(internal_api.records)) == []
