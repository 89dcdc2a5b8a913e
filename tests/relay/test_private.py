"""The editor's road: an ordinary driver on a governed session's private socket."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import trio

from querykeep_engines import registry
from querykeep_engines.kit.driver import ResultStarted, RowBatch, StatementFailed
from querykeep_guard.contracts.audit import Verdict
from querykeep_guard.contracts.session import ClientInfo, EndReason
from querykeep_relay.private import open_private_session
from querykeep_relay.signin import is_caching_proof, is_native_proof


class Watcher:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []
        self.ended: list[EndReason] = []

    def session_ready(self, grant) -> None:
        self.told.append(("ready",))

    def statement_started(self, event, decision) -> None:
        self.told.append(("started", event.statement, event.verdict, decision))

    def statement_completed(self, event) -> None:
        self.told.append(("completed", event.outcome.value, event.rows))

    def session_ended(self, reason, detail) -> None:
        self.ended.append(reason)


async def test_postgresql_driver_runs_governed(pg_proxy):
    await check_driver(pg_proxy)


async def test_mariadb_driver_runs_governed(mariadb_proxy):
    await check_driver(mariadb_proxy)


async def check_driver(proxy) -> None:
    """The driver gets masked rows and refusals, the observer the masks and rules behind them."""
    driver = registry.engine(proxy.shop.engine).driver()
    grant, watcher = proxy.api.grant("editor"), Watcher()

    def work(address) -> list:
        connection = driver.connect_governed(address, "shop")
        try:
            items = list(connection.stream("select id, email from customers where id <= 3"))
            items += list(connection.stream("select * from payroll"))
        finally:
            connection.close()
        return items

    async with open_private_session(
        grant,
        services=proxy.services,
        client=ClientInfo("10.1.1.1"),
        observer=watcher,
        server_version=proxy.api.connections[0].server_version,
    ) as private:
        folder = Path(private.address.unix_path).parent
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        items = await trio.to_thread.run_sync(work, private.address)
    assert not folder.exists()
    (started,) = [item for item in items if isinstance(item, ResultStarted)]
    assert [column.name for column in started.columns] == ["id", "email"]
    rows = [row for item in items if isinstance(item, RowBatch) for row in item.rows]
    assert len(rows) == 3
    assert all(value is None or "*****@" in value for _, value in rows)
    assert any(isinstance(item, StatementFailed) for item in items)
    masked = next(
        told for told in watcher.told if told[0] == "started" and told[2] is Verdict.MASKED
    )
    assert [mask.rule_names for mask in masked[3].plan.masks] == [("e-mail",)]
    denied = next(
        told for told in watcher.told if told[0] == "started" and told[2] is Verdict.DENIED
    )
    assert "payroll" in denied[3].message
    assert watcher.ended == [EndReason.CLIENT_CLOSED]
    await trio.to_thread.run_sync(proxy.api.wait_for, lambda: bool(proxy.api.ended))


async def test_leaving_the_block_ends_a_session_that_is_still_open(pg_proxy):
    driver = registry.engine("postgresql").driver()
    watcher = Watcher()
    async with open_private_session(
        pg_proxy.api.grant("editor"),
        services=pg_proxy.services,
        client=ClientInfo("10.1.1.1"),
        observer=watcher,
    ) as private:
        connection = await trio.to_thread.run_sync(driver.connect_governed, private.address, "shop")
    assert watcher.ended == [EndReason.CLIENT_CLOSED]
    assert len(pg_proxy.services.live) == 0
    connection.close()


async def test_a_driver_that_never_comes_leaves_nothing(pg_proxy):
    grant = pg_proxy.api.grant("editor")
    async with open_private_session(
        grant, services=pg_proxy.services, client=ClientInfo("10.1.1.1")
    ):
        pass
    await trio.to_thread.run_sync(
        pg_proxy.api.wait_for,
        lambda: [e["id"] for e in pg_proxy.api.ended] == [grant.session_id],
    )


def test_hash_proofs():
    import hashlib

    nonce = bytes(range(20))
    stage1 = hashlib.sha1(b"pw").digest()
    stage2 = hashlib.sha1(stage1).digest()
    mask = hashlib.sha1(nonce + stage2).digest()
    proof = bytes(a ^ b for a, b in zip(stage1, mask, strict=True))
    assert is_native_proof(proof, nonce, stage2)
    assert not is_native_proof(proof, nonce[::-1], stage2)
    assert not is_native_proof(b"", nonce, stage2)
    stage1 = hashlib.sha256(b"pw").digest()
    stage2 = hashlib.sha256(stage1).digest()
    mask = hashlib.sha256(stage2 + nonce).digest()
    proof = bytes(a ^ b for a, b in zip(stage1, mask, strict=True))
    assert is_caching_proof(proof, nonce, stage2)
    assert not is_caching_proof(proof[:-1] + b"x", nonce, stage2)
