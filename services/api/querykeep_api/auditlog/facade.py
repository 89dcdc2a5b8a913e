"""What other apps may use of the audit store."""

from __future__ import annotations

from querykeep_api.auditlog.delivery import DeliveryThread, deliver_outbox
from querykeep_api.auditlog.events import ApiEvent
from querykeep_api.auditlog.ingest import append

__all__ = ["ApiEvent", "DeliveryThread", "append", "deliver_outbox"]
