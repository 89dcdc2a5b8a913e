"""What every session of a process shares, opened and closed as one."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import trio

from querykeep_engines import registry
from querykeep_engines.kit.engine import Engine
from querykeep_guard.contracts.session import EndReason
from querykeep_relay.api_client import ApiClient, open_api_client
from querykeep_relay.catalogs import Catalogs
from querykeep_relay.decider import Decider
from querykeep_relay.feed import PolicyFeed
from querykeep_relay.hints import HintSubscriber
from querykeep_relay.left_running import stop_left_running
from querykeep_relay.live import LiveSessions
from querykeep_relay.policy_handle import PolicyHandles
from querykeep_relay.readiness import Readiness
from querykeep_relay.recovery import adopt_spools
from querykeep_relay.segments import SpoolFolder
from querykeep_relay.settings import RelaySettings
from querykeep_relay.shipper import Shipper
from querykeep_relay.spool import Spool
from querykeep_relay.timers import Timers

_LOG = logging.getLogger(__name__)
_CANCEL_THREADS = 16


@dataclass(slots=True)
class RelayServices:
    """The parts of the relay in one process. ``background`` carries tasks that outlive a session
    (a cancel at the target); ``engine`` finds an engine by name."""

    settings: RelaySettings
    api: ApiClient
    live: LiveSessions
    feed: PolicyFeed
    catalogs: Catalogs
    decider: Decider
    policies: PolicyHandles
    spool: Spool
    shipper: Shipper
    timers: Timers
    readiness: Readiness
    background: trio.Nursery
    engine: Callable[[str], Engine]
    hints: HintSubscriber | None = None
    cancel_limiter: trio.CapacityLimiter = field(
        default_factory=lambda: trio.CapacityLimiter(_CANCEL_THREADS)
    )

    def now(self) -> datetime:
        """UTC wall clock: for audit, grants and hours, never for waiting."""
        return datetime.now(UTC)

    def clocks(self) -> tuple[datetime, float]:
        """Return (UTC, monotonic seconds), as sessions are given them."""
        return datetime.now(UTC), time.monotonic()

    def new_id(self) -> str:
        """Return an id that is unique for ever."""
        return _new_id()

    def random_bytes(self, count: int) -> bytes:
        """Return unpredictable bytes."""
        return secrets.token_bytes(count)

    async def drain(self, *, limit_s: float, message: str) -> None:
        """End idle sessions now and busy ones as they become idle, all of them by the limit.

        The caller has stopped accepting. Ends when no session is left.
        """
        deadline = trio.current_time() + limit_s
        while len(self.live):
            over = trio.current_time() >= deadline
            for session in self.live:
                if over or session.is_idle:
                    session.end(EndReason.DRAINED, message)
            await trio.sleep(0.05)

    def health(self) -> dict[str, dict[str, object]]:
        """Return the state of each part, for ``/readyz``."""
        parts: dict[str, dict[str, object]] = {
            "api": {"ok": self.feed.reachable, "policy_version": self.feed.version},
            "spool": {
                "ok": not self.spool.is_full,
                "bytes": self.spool.size_bytes,
                "waiting_records": self.shipper.waiting,
            },
        }
        if self.hints is not None:
            # Without hints the heartbeat still brings every change within 500 ms.
            parts["redis"] = {"ok": True, "connected": self.hints.connected}
        return parts


@asynccontextmanager
async def open_services(
    settings: RelaySettings, *, engine: Callable[[str], Engine] = registry.engine
) -> AsyncIterator[RelayServices]:
    """Open everything, recover the spools of dead processes, and run it until the block ends.

    At the end the spool is handed in for up to a few seconds; what the API could not take stays on
    disk for the next process.

    Raises:
        OSError: The spool folder cannot be made, or a certificate not read.
    """
    settings.spool_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    adopted = await trio.to_thread.run_sync(_adopt, settings)
    spool_id = _new_id()
    spool = Spool(
        SpoolFolder(settings.spool_dir / spool_id),
        spool_id,
        now=_utc_now,
        new_id=_new_id,
        limit_bytes=settings.spool_limit_bytes,
        segment_bytes=settings.segment_bytes,
    )
    try:
        async with open_api_client(settings) as api, trio.open_nursery() as nursery:
            services = _make(settings, api, nursery, spool, engine)
            for dead in adopted:
                nursery.start_soon(_hand_in, dead, services)
                nursery.start_soon(dead.run_sync)
            for task in (
                spool.run_sync,
                services.shipper.run,
                services.timers.run,
                services.readiness.run,
            ):
                nursery.start_soon(task)
            nursery.start_soon(services.feed.run)
            if services.hints is not None:
                nursery.start_soon(services.hints.run)
            try:
                yield services
            finally:
                with trio.move_on_after(settings.flush_s) as scope:
                    scope.shield = True
                    await services.feed.finish()
                    await services.shipper.flushed()
                nursery.cancel_scope.cancel()
    finally:
        # Only now has every session written its end.
        for one in (spool, *adopted):
            _close_spool(one)


async def _hand_in(dead: Spool, services: RelayServices) -> None:
    """Stop what a dead process left running, then hand in its records: once the API has them, its
    sessions are over, and the account at the target is not given out for them any more."""
    await stop_left_running(dead.left_running, services.api, services.engine)
    await Shipper(dead, services.api, adopted=True).run()


def _make(
    settings: RelaySettings,
    api: ApiClient,
    nursery: trio.Nursery,
    spool: Spool,
    engine: Callable[[str], Engine],
) -> RelayServices:
    live = LiveSessions()
    feed = PolicyFeed(
        api, live, kind=settings.kind, address=settings.address, heartbeat_s=settings.heartbeat_s
    )
    return RelayServices(
        settings=settings,
        api=api,
        live=live,
        feed=feed,
        catalogs=Catalogs(
            api, nursery, poll_s=settings.catalog_poll_s, stale_after_s=settings.stale_after_s
        ),
        decider=Decider(_utc_now),
        policies=PolicyHandles(),
        spool=spool,
        shipper=Shipper(spool, api, adopted=False),
        timers=Timers(),
        readiness=Readiness(),
        background=nursery,
        engine=engine,
        hints=HintSubscriber(settings.redis_url, feed.wake) if settings.redis_url else None,
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)


_IDS_AT_ONCE = 256
_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)


def _new_id() -> str:
    """128 random bits in hexadecimal; drawn in blocks, since three are needed per statement."""
    try:
        return _ids.pop()
    except IndexError:
        block = secrets.token_hex(16 * _IDS_AT_ONCE)
        _ids.extend(block[at : at + 32] for at in range(32, len(block), 32))
        return block[:32]


def _adopt(settings: RelaySettings) -> list[Spool]:
    return adopt_spools(
        settings.spool_dir, now=_utc_now, new_id=_new_id, segment_bytes=settings.segment_bytes
    )


def _close_spool(spool: Spool) -> None:
    """An empty spool leaves nothing behind; one that waits is adopted by the next process."""
    spool.close()
    waiting = spool.sequence - spool.state.acknowledged
    if waiting:
        _LOG.warning("%d audit records stay in spool %s", waiting, spool.spool_id)
    elif spool.folder.path.exists():
        spool.folder.delete()
