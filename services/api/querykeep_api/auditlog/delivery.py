"""Moves admin events from the metadata database's outbox into the chain ``api``.

At least once: rows are marked only after the audit database has committed, and the chain passes
over ids that it holds already, so several deliverers may run at once. A thread of the API process
delivers within a moment of the commit; a job does it too, should that thread be gone.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any

import structlog
from django.db import close_old_connections, connections, transaction
from django.db.models.signals import post_save

from querykeep_api.auditlog.events import ApiEvent
from querykeep_api.auditlog.ingest import append
from querykeep_api.kernel import clock
from querykeep_api.kernel.models import OutboxEvent

_BATCH = 200
POLL_S = 0.5
"""How often the thread looks for rows that other processes wrote; its own process wakes it."""
_RETRY_S = 2.0

log = structlog.get_logger(__name__)


def deliver_outbox(now: datetime) -> int:
    """Deliver everything that waits, oldest first, and return how many events were new."""
    delivered = 0
    while True:
        rows = list(OutboxEvent.objects.filter(delivered_at=None).order_by("id")[:_BATCH])
        if not rows:
            return delivered
        delivered += append([(row.id, _event(row)) for row in rows], now=now)
        OutboxEvent.objects.filter(pk__in=[row.pk for row in rows]).update(delivered_at=now)


def _event(row: OutboxEvent) -> ApiEvent:
    is_connection = row.subject_kind == "connection"
    return ApiEvent(
        at=row.at,
        kind=row.kind,
        summary=row.summary,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        connection_id=row.connection_id or (row.subject_id if is_connection else ""),
        connection_name=row.subject_name if is_connection else "",
        address=row.address,
        before=_text(row.before),
        after=_text(row.after),
    )


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


class DeliveryThread:
    """Delivers in the background until stopped; one per process."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to deliver, and to be woken by commits of this process."""
        post_save.connect(self._saved, sender=OutboxEvent, weak=False, dispatch_uid=id(self))
        self._thread.start()

    def stop(self) -> None:
        """End after the present batch; returns when the thread has ended."""
        post_save.disconnect(sender=OutboxEvent, dispatch_uid=id(self))
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _saved(self, **_kwargs: Any) -> None:
        transaction.on_commit(self._wake.set)

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping:
            self._wake.wait(wait_s)
            self._wake.clear()
            try:
                deliver_outbox(clock.now())
                wait_s = POLL_S
            except Exception:
                # Whatever failed, the rows stay and the next round tries again.
                log.exception("admin events wait in the outbox: the audit store did not take them")
                wait_s = _RETRY_S
                close_old_connections()
        connections.close_all()
