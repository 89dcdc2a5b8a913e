"""The Celery app: broker over ``QUERYKEEP_REDIS_URL`` (TCP or Unix socket, with password)."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "querykeep_api.config.settings")

from django.conf import settings


def broker_url(redis_url: str) -> str:
    """Return the Celery form of a Redis URL; ``unix://`` becomes ``redis+socket://``."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    secret = f":{quote(parts.password, safe='')}@" if parts.password else ""
    user = quote(parts.username or "", safe="")
    host = parts.path
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{user + secret if secret else ''}{host}?virtual_host={database}"


app = Celery("querykeep")
app.conf.update(
    broker_url=broker_url(settings.QUERYKEEP.redis_url) or None,
    result_backend=None,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="querykeep",
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 6 * 3600, "socket_timeout": 10},
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    timezone="UTC",
    enable_utc=True,
)
app.autodiscover_tasks()
