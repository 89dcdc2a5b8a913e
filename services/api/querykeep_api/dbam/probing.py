"""Reaches targets: *Test*, health and crawl, each in a thread with a time limit."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import cache

import structlog
from django.db import transaction

from querykeep_api.dbam.catalogs import do_store_catalog
from querykeep_api.dbam.models import Connection
from querykeep_api.dbam.targets import target_of
from querykeep_api.kernel import clock
from querykeep_api.kernel.secrets import SealError
from querykeep_engines.kit.driver import DriverError, ProbeReport, ProbeStep
from querykeep_engines.registry import UnknownEngineError, engine
from querykeep_guard.contracts.session import Target

PROBE_TIMEOUT_S = 20.0
_THREADS = 8

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CrawlResult:
    """What a crawl found. ``changed``: the catalog's fingerprint is another than before."""

    ok: bool
    changed: bool
    relations: int
    message: str


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="probe")


def probe(target: Target, *, timeout_s: float = PROBE_TIMEOUT_S) -> ProbeReport:
    """Reach a target and tell the failing step apart; never raises, never longer than the limit
    (a driver that hangs is left behind in its thread until its own timeouts end it)."""
    try:
        driver = engine(target.engine).driver()
    except UnknownEngineError as error:
        return _failed("engine", str(error))
    try:
        return _pool().submit(driver.probe, target).result(timeout_s)
    except FutureTimeout:
        return _failed("timeout", f"No end of the test within {timeout_s:.0f} s.")
    except Exception as error:
        log.exception("probe broke", engine=target.engine, error=type(error).__name__)
        return _failed("internal", f"The test itself broke: {type(error).__name__}.")


def _failed(step: str, message: str) -> ProbeReport:
    return ProbeReport(False, (ProbeStep(step, "failed", message, 0.0),))


def probe_connection(connection: Connection) -> ProbeReport:
    """Test a stored connection and note the outcome as its health."""
    try:
        report = probe(target_of(connection))
    except SealError as error:
        report = _failed("secret", str(error))
    failed = next((step for step in report.steps if step.state == "failed"), None)
    changes: dict[str, object] = {
        "health_state": "ok" if report.ok else "failed",
        "health_checked_at": clock.now(),
        "health_message": f"{failed.name}: {failed.message}" if failed is not None else "",
    }
    if report.server_version:
        changes["server_version"] = report.server_version
        changes["flavour"] = report.flavour or connection.flavour
    Connection.everything.filter(pk=connection.pk).update(**changes)
    return report


def crawl_connection(connection: Connection) -> CrawlResult:
    """Read a connection's catalog from its target and store it; an error is noted, not raised."""
    from querykeep_api.dbam.catalogs import latest

    before = latest(connection.pk)
    try:
        catalog = engine(connection.engine).driver().crawl(target_of(connection))
    except (DriverError, SealError, UnknownEngineError) as error:
        stage = f"{error.stage}: " if isinstance(error, DriverError) else ""
        message = f"{stage}{error}"
        Connection.everything.filter(pk=connection.pk).update(
            catalog_state="failed", catalog_error=message, catalog_checked_at=clock.now()
        )
        return CrawlResult(False, False, 0, message)
    with transaction.atomic():
        stored = do_store_catalog(connection, catalog)
    changed = before is None or before.fingerprint != stored.fingerprint
    notes = "; ".join(catalog.notes)
    return CrawlResult(True, changed, stored.relations, notes)


def report_json(report: ProbeReport) -> dict[str, object]:
    """Return a report as the API shows it."""
    return dataclasses.asdict(report)
