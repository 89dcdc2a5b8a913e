"""Redis hints: "something changed". Never a verdict, never waited for, never needed."""

from __future__ import annotations

import json
from functools import lru_cache

import redis
import structlog
from django.conf import settings

POLICY_CHANNEL = "querykeep:policy"
_TIMEOUT_S = 0.5

log = structlog.get_logger(__name__)


def publish(version: int, kind: str, subject_id: str) -> None:
    """Publish a policy hint. A failure is logged only: heartbeats carry the change anyway."""
    url = settings.QUERYKEEP.redis_url
    if not url:
        return
    message = json.dumps({"version": version, "kind": kind, "id": subject_id})
    try:
        client(url).publish(POLICY_CHANNEL, message)
    except redis.RedisError as error:
        log.warning("hint not sent; heartbeats carry it", error=type(error).__name__)


@lru_cache(maxsize=4)
def client(url: str) -> redis.Redis:
    """Return the shared client of a Redis URL, with short timeouts."""
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
