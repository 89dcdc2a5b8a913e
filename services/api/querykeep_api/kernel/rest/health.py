"""``GET /healthz`` (alive) and ``GET /readyz`` (ready, JSON by part), on each port, for anyone."""

from __future__ import annotations

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from querykeep_api.config.roots import RootKeyError, root_keys
from querykeep_api.kernel.hints import client


class HealthMiddleware:
    """Answers health checks before anything else, whatever Host a load balancer sends."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a health check, or pass the request on."""
        if request.path == "/healthz":
            return JsonResponse({"status": "ok"})
        if request.path == "/readyz":
            parts = readiness()
            ready = all(part["ok"] for part in parts.values())
            return JsonResponse(
                {"status": "ready" if ready else "not_ready", "parts": parts},
                status=200 if ready else 503,
            )
        return self._get_response(request)


def readiness() -> dict[str, dict[str, object]]:
    """Return each part that this service needs, with ``ok`` and a ``message`` for a person."""
    parts: dict[str, dict[str, object]] = {
        "metadata_database": _database("default"),
        "audit_database": _database("audit"),
        "root_key": _root_key(),
    }
    if settings.QUERYKEEP.redis_url:
        parts["redis"] = _redis()
    return parts


def _database(alias: str) -> dict[str, object]:
    try:
        connection = connections[alias]
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        mine = [step for step, _ in pending if _belongs(step.app_label, alias)]
    except DatabaseError as error:
        return {"ok": False, "message": f"{type(error).__name__}: {error}".splitlines()[0]}
    if mine:
        return {"ok": False, "message": f"{len(mine)} migrations pending: run 'querykeep migrate'"}
    return {"ok": True, "message": ""}


def _belongs(app_label: str, alias: str) -> bool:
    return (app_label == "auditlog") == (alias == "audit")


def _root_key() -> dict[str, object]:
    try:
        root_keys(settings.QUERYKEEP.secret_file)
    except RootKeyError as error:
        return {"ok": False, "message": str(error)}
    return {"ok": True, "message": ""}


def _redis() -> dict[str, object]:
    try:
        client(settings.QUERYKEEP.redis_url).ping()
    except redis.RedisError as error:
        return {"ok": False, "message": type(error).__name__}
    return {"ok": True, "message": ""}
