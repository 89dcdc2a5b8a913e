"""The catalogs of the connections that have live sessions here.

Per connection: loaded from the API, its fingerprint compared with the target's every second or two
while sessions live, re-crawled through the engine's driver when it moved or when a session says so
(DDL ran through us, a name was missing), handed to the API. A decision waits for a re-read that was
asked for before it. A catalog whose fingerprint could not be confirmed for too long is stale, and
every statement is refused until it can (DESIGN rule 1).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from querykeep_engines.kit.driver import CatalogWatch, Driver, DriverError
from querykeep_engines.kit.engine import Engine
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.codec import ContractError
from querykeep_guard.contracts.session import SessionGrant, Target
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)

_A = TypeVar("_A")
_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_CRAWL_TIMEOUT_S = 120.0
_FINGERPRINT_TIMEOUT_S = 15.0
_RETRY_S = 1.0
_LINGER_S = 30.0
"""How long a catalog is kept fresh after its last session: tools reconnect at once."""
_CRAWL_THREADS = 8


class StaleCatalogError(Exception):
    """No current catalog is at hand; the text says why, for the refusal."""


@dataclass(slots=True)
class _Watched:
    engine: Engine
    connection_id: str
    target: Target
    sessions: int = 0
    catalog: Catalog | None = None
    confirmed_at: float = float("-inf")
    wanted: int = 1
    done: int = 0
    error: str = ""
    idle_since: float = 0.0
    watch: CatalogWatch | None = None
    wake: trio.Event = field(default_factory=trio.Event)
    progressed: trio.Event = field(default_factory=trio.Event)

    def poke(self) -> None:
        """Let the watching task look at once."""
        self.wake.set()

    def progress(self) -> None:
        """Tell those who wait that something is known now."""
        self.progressed.set()
        self.progressed = trio.Event()


class Catalogs:
    """One per process; ``nursery`` carries the watching tasks."""

    def __init__(
        self,
        api: ApiClient,
        nursery: trio.Nursery,
        *,
        poll_s: float,
        stale_after_s: float,
        wait_s: float = 30.0,
    ) -> None:
        """``wait_s`` bounds how long one decision waits for a re-read."""
        self._api = api
        self._nursery = nursery
        self._poll_s = poll_s
        self._stale_after_s = stale_after_s
        self._wait_s = wait_s
        self._watched: dict[str, _Watched] = {}
        self._limiter = trio.CapacityLimiter(_CRAWL_THREADS)

    def hold(self, engine: Engine, grant: SessionGrant) -> None:
        """A session on the grant's connection lives: keep its catalog current."""
        connection_id = grant.policy.connection_id
        entry = self._watched.get(connection_id)
        if entry is None:
            entry = _Watched(engine, connection_id, grant.target)
            self._watched[connection_id] = entry
            self._nursery.start_soon(self._watch, entry)
        if entry.target != grant.target:
            entry.target = grant.target
            self._drop_watch(entry)
            entry.wanted += 1
            entry.poke()
        entry.sessions += 1

    def release(self, connection_id: str) -> None:
        """A session on the connection has ended."""
        entry = self._watched.get(connection_id)
        if entry is None:
            return
        entry.sessions -= 1
        if entry.sessions == 0:
            entry.idle_since = trio.current_time()
            entry.poke()

    def changed(self, connection_id: str) -> None:
        """The next decision on the connection must see a catalog read from now on."""
        entry = self._watched.get(connection_id)
        if entry is not None:
            entry.wanted += 1
            entry.poke()

    def current_nowait(self, connection_id: str) -> Catalog | None:
        """Return the catalog if it is current this instant, else None (then await ``current``)."""
        entry = self._watched.get(connection_id)
        if entry is None or entry.catalog is None or entry.done < entry.wanted:
            return None
        if trio.current_time() - entry.confirmed_at > self._stale_after_s:
            return None
        return entry.catalog

    def latest(self, connection_id: str) -> Catalog | None:
        """Return the last catalog that was read, current or not: never to decide what may run."""
        entry = self._watched.get(connection_id)
        return entry.catalog if entry is not None else None

    async def current(self, connection_id: str) -> Catalog:
        """Return a catalog that is confirmed and at least as new as the last ``changed``.

        Raises:
            StaleCatalogError: There is none within the waiting time.
        """
        entry = self._watched.get(connection_id)
        if entry is None:
            raise StaleCatalogError("no session holds it")
        with trio.move_on_after(self._wait_s):
            while True:
                catalog = self.current_nowait(connection_id)
                if catalog is not None:
                    return catalog
                progressed = entry.progressed
                entry.poke()
                failing = bool(entry.error)
                await progressed.wait()
                if failing and entry.error:
                    break
        raise StaleCatalogError(entry.error or "reading it takes too long")

    async def _watch(self, entry: _Watched) -> None:
        try:
            while not self._is_over(entry):
                entry.wake = trio.Event()
                goal = entry.wanted
                worked = await self._refresh(entry, goal)
                entry.progress()
                if entry.wanted > goal:
                    continue
                with trio.move_on_after(self._poll_s if worked else _RETRY_S):
                    await entry.wake.wait()
        finally:
            self._drop_watch(entry)
            self._watched.pop(entry.connection_id, None)
            entry.progress()

    def _is_over(self, entry: _Watched) -> bool:
        return entry.sessions == 0 and trio.current_time() - entry.idle_since > _LINGER_S

    async def _refresh(self, entry: _Watched, goal: int) -> bool:
        """Confirm or re-read; True when the catalog is current as of ``goal``."""
        asked_at = trio.current_time()
        try:
            if entry.catalog is None:
                entry.catalog = await self._stored(entry)
            driver = await trio.to_thread.run_sync(entry.engine.driver)
            fingerprint = await self._fingerprint(entry, driver)
            if entry.catalog is None or entry.catalog.fingerprint != fingerprint:
                entry.catalog = await self._crawl(entry, driver)
        except DriverError as error:
            entry.error = f"the target answered at stage {error.stage}: {error.message}"
            await self._renew_target(entry, error)
            return False
        except trio.TooSlowError:
            entry.error = "the target took too long to describe its schema"
            return False
        except Exception as error:
            _LOG.exception("catalog of connection %s cannot be read", entry.connection_id)
            entry.error = f"reading it failed ({type(error).__name__})"
            return False
        entry.error = ""
        entry.confirmed_at = asked_at
        entry.done = max(entry.done, goal)
        return True

    async def _fingerprint(self, entry: _Watched, driver: Driver) -> str:
        """Ask over the kept connection; one that fails once is not asked again, but one that had
        merely gone stale is replaced at once."""
        kept = entry.watch
        try:
            if kept is not None:
                try:
                    return await self._in_thread(_FINGERPRINT_TIMEOUT_S, _ask, kept)
                except DriverError:
                    self._drop_watch(entry)
            watch = await self._in_thread(_FINGERPRINT_TIMEOUT_S, driver.watch, entry.target)
            entry.watch = watch
            return await self._in_thread(_FINGERPRINT_TIMEOUT_S, _ask, watch)
        except BaseException:
            self._drop_watch(entry)
            raise

    def _drop_watch(self, entry: _Watched) -> None:
        if entry.watch is not None:
            watch, entry.watch = entry.watch, None
            self._nursery.start_soon(self._close, watch)

    async def _close(self, watch: CatalogWatch) -> None:
        """Closing may wait for a server that does not answer: never in anyone's way."""
        with trio.move_on_after(_FINGERPRINT_TIMEOUT_S, shield=True):
            await trio.to_thread.run_sync(watch.close, abandon_on_cancel=True)

    async def _stored(self, entry: _Watched) -> Catalog | None:
        """Return the API's copy. Without one (or without the API) it is crawled here."""
        try:
            return await self._api.catalog(entry.connection_id)
        except (ApiUnavailableError, ApiProblemError, ApiRefusedError, ContractError) as error:
            _LOG.warning("stored catalog of connection %s: %s", entry.connection_id, error)
            return None

    async def _crawl(self, entry: _Watched, driver: Driver) -> Catalog:
        catalog = await self._in_thread(_CRAWL_TIMEOUT_S, driver.crawl, entry.target)
        self._nursery.start_soon(self._hand_in, entry.connection_id, catalog)
        return catalog

    async def _hand_in(self, connection_id: str, catalog: Catalog) -> None:
        """The API's copy is for people and for the next process: its failure stops nothing."""
        try:
            await self._api.put_catalog(connection_id, catalog)
        except (ApiUnavailableError, ApiProblemError, ApiRefusedError) as error:
            _LOG.warning("catalog of connection %s was not handed in: %s", connection_id, error)

    async def _renew_target(self, entry: _Watched, error: DriverError) -> None:
        """The stored account's password may have been changed since the session opened."""
        if error.stage != "authentication":
            return
        try:
            entry.target = await self._api.target(entry.connection_id)
        except (ApiUnavailableError, ApiProblemError, ApiRefusedError, ContractError) as problem:
            _LOG.warning("target of connection %s: %s", entry.connection_id, problem)

    async def _in_thread(self, timeout_s: float, work: Callable[[_A], _T], about: _A) -> _T:
        with trio.fail_after(timeout_s):
            return await trio.to_thread.run_sync(
                work, about, abandon_on_cancel=True, limiter=self._limiter
            )


def _ask(watch: CatalogWatch) -> str:
    return watch.fingerprint()
