"""Looks at every part of the installation, each within a short time, none trusting another."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import redis
from django.conf import settings
from django.db import DatabaseError, connections

from querykeep_api.auditlog.facade import SpoolState
from querykeep_api.config.migrate import pending_migrations
from querykeep_api.config.roots import RootKeyError, root_keys
from querykeep_api.jobs.facade import is_alive
from querykeep_api.kernel import clock, hints

TIMEOUT_S = 3.0
_DISK_LEAST_BYTES = 512 * 1024 * 1024
_DISK_LEAST_SHARE = 0.03
_SPOOL_SILENT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``ok``: it does its work; ``message`` says what is wrong, or what was seen."""

    name: str
    ok: bool
    message: str
    duration_ms: float
    details: object = None


def look(*, alive_only: bool) -> list[Part]:
    """Return every part: whether it is alive, or (``alive_only`` False) ready to work."""
    checks = _alive_checks() if alive_only else _ready_checks()
    with ThreadPoolExecutor(len(checks), thread_name_prefix="part") as pool:
        return list(pool.map(lambda item: _timed(*item), checks.items()))


Seen = tuple[bool, str, object]


def _alive_checks() -> dict[str, Callable[[], Seen]]:
    environment = settings.QUERYKEEP
    return {
        "api": partial(_http, f"{environment.api_url}/healthz"),
        "internal": partial(_http, f"{environment.internal_url}/healthz"),
        "worker": partial(_process, "worker"),
        "beat": partial(_process, "beat"),
        "middleware": partial(_http, f"{environment.middleware_url}/healthz"),
        "proxy": partial(_http, f"{environment.proxy_health_url}/healthz"),
        "redis": _redis,
        "metadata_database": partial(_database, "default"),
        "audit_database": partial(_database, "audit"),
    }


def _ready_checks() -> dict[str, Callable[[], Seen]]:
    environment = settings.QUERYKEEP
    return {
        **_alive_checks(),
        "api": partial(_http, f"{environment.api_url}/readyz"),
        "internal": partial(_http, f"{environment.internal_url}/readyz"),
        "middleware": partial(_http, f"{environment.middleware_url}/readyz"),
        "proxy": partial(_http, f"{environment.proxy_health_url}/readyz"),
        "root_key": _root_key,
        "migrations": _migrations,
        "disk": _disk,
        "spool": _spool,
    }


def _timed(name: str, check: Callable[[], Seen]) -> Part:
    began = time.monotonic()
    try:
        ok, message, details = check()
    except DatabaseError as error:
        ok, message, details = False, _first_line(error), None
    finally:
        connections.close_all()
    return Part(name, ok, message, round((time.monotonic() - began) * 1000, 1), details)


def _http(url: str) -> Seen:
    try:
        verify = _tls(url)
        answer = httpx.get(url, timeout=TIMEOUT_S, verify=verify, trust_env=False)
    except (httpx.HTTPError, OSError) as error:
        return False, f"{url}: {type(error).__name__}: {_first_line(error)}", None
    try:
        body = answer.json()
    except ValueError:
        body = None
    if answer.status_code != 200:
        return False, f"{url} answers {answer.status_code}: {_not_ok(body)}".rstrip(": "), body
    return True, "", body


def _not_ok(body: object) -> str:
    parts = body.get("parts") if isinstance(body, dict) else None
    if not isinstance(parts, dict):
        return ""
    bad = (
        f"{name} ({part.get('message', '')})"
        for name, part in parts.items()
        if isinstance(part, dict) and not part.get("ok", True)
    )
    return ", ".join(bad)


def _tls(url: str) -> ssl.SSLContext:
    environment = settings.QUERYKEEP
    is_internal = url.startswith(environment.internal_url)
    ca_file = environment.internal_ca_file if is_internal else environment.ca_file
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    if is_internal and environment.internal_cert_file is not None:
        context.load_cert_chain(environment.internal_cert_file, environment.internal_cert_key_file)
    return context


def _process(kind: str) -> Seen:
    if is_alive(kind):
        return True, "", None
    return False, f"no heartbeat: is 'querykeep {kind}' running?", None


def _redis() -> Seen:
    url = settings.QUERYKEEP.redis_url
    if not url:
        return False, "QUERYKEEP_REDIS_URL is not set", None
    try:
        hints.client(url).ping()
    except redis.RedisError as error:
        return False, type(error).__name__, None
    return True, "", None


def _database(alias: str) -> Seen:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return True, connections[alias].vendor, None


def _root_key() -> Seen:
    try:
        root_keys(settings.QUERYKEEP.secret_file)
    except RootKeyError as error:
        return False, str(error), None
    return True, "", None


def _migrations() -> Seen:
    pending = pending_migrations()
    if pending:
        return False, f"{len(pending)} pending", pending
    return True, "", []


def _disk() -> Seen:
    environment = settings.QUERYKEEP
    places = {str(_existing(path)) for path in (environment.home, environment.spool_dir)}
    places.add(str(_existing(environment.checkpoint_file.parent)))
    full, seen = [], {}
    for place in sorted(places):
        usage = shutil.disk_usage(place)
        seen[place] = {"free_bytes": str(usage.free), "total_bytes": str(usage.total)}
        if usage.free < min(_DISK_LEAST_BYTES, usage.total * _DISK_LEAST_SHARE):
            full.append(f"{place}: {usage.free // 2**20} MiB free")
    return not full, ", ".join(full), seen


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _spool() -> Seen:
    states = SpoolState.objects.order_by("-last_seen_at")
    newest = states.exclude(spool_id="api").first()
    gaps = [
        state.spool_id
        for state in states.only("spool_id", "acknowledged", "highest")
        if state.highest > state.acknowledged
    ]
    waiting = _bytes_under(settings.QUERYKEEP.spool_dir)
    details = {
        "spools": states.count(),
        "newest_record_at": newest.last_seen_at.isoformat() if newest is not None else None,
        "bytes_on_this_machine": str(waiting),
    }
    if gaps:
        return False, f"records are missing in {', '.join(gaps[:5])}: verify the audit log", details
    silent = newest is not None and clock.now() - newest.last_seen_at > _SPOOL_SILENT
    return True, "no record lately" if silent else "", details


def _bytes_under(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # trimmed meanwhile
    return total


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{lines[0]}" if lines else type(error).__name__
