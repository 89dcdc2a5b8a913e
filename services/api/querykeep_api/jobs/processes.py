"""``querykeep worker`` and ``querykeep beat``: Celery, with a heartbeat row that Tool reads."""

from __future__ import annotations

import os
import socket
import threading
import warnings
from datetime import timedelta

import structlog
from celery.platforms import SecurityWarning
from celery.signals import beat_init, worker_ready
from django.db import DatabaseError, connections

from querykeep_api.config.celery import app
from querykeep_api.jobs.models import ProcessHeartbeat
from querykeep_api.jobs.schedules import sync_schedules
from querykeep_api.kernel import clock

HEARTBEAT_S = 5.0
ALIVE_FOR = timedelta(seconds=20)
_FORGET_AFTER = timedelta(hours=1)
CONCURRENCY = 4

log = structlog.get_logger(__name__)


def run_worker() -> int:
    """Run a worker until SIGTERM; its threads run several jobs at once."""
    worker_ready.connect(lambda **_: _start_heartbeat("worker"), weak=False)
    # The service accepts JSON only, so the danger that Celery warns of does not exist here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.start(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={CONCURRENCY}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--hostname=querykeep-{os.getpid()}@%h",
            "--loglevel=INFO",
        ]
    )
    return 0


def run_beat() -> int:
    """Run the scheduler until SIGTERM."""
    sync_schedules()
    beat_init.connect(lambda **_: _start_heartbeat("beat"), weak=False)
    app.start(["--quiet", "beat", "--max-interval=5", "--pidfile=", "--loglevel=INFO"])
    return 0


def is_alive(kind: str) -> bool:
    """Return whether any process of this kind (``worker``, ``beat``) beat lately."""
    since = clock.now() - ALIVE_FOR
    return ProcessHeartbeat.objects.filter(kind=kind, at__gte=since).exists()


def beat_once(kind: str) -> None:
    """Write that this process is alive, and forget those long gone."""
    now = clock.now()
    instance = f"{kind}@{socket.gethostname()}:{os.getpid()}"
    ProcessHeartbeat.objects.update_or_create(instance=instance, defaults={"kind": kind, "at": now})
    ProcessHeartbeat.objects.filter(at__lt=now - _FORGET_AFTER).delete()


def _start_heartbeat(kind: str) -> None:
    threading.Thread(target=_beat, args=(kind,), name="heartbeat", daemon=True).start()


def _beat(kind: str) -> None:
    pause = threading.Event()
    while True:
        try:
            beat_once(kind)
        except DatabaseError as error:
            log.warning("heartbeat not written", kind=kind, error=str(error))
            connections.close_all()
        pause.wait(HEARTBEAT_S)
