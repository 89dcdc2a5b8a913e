"""What other apps may use of the audit store."""

from __future__ import annotations

from querykeep_api.auditlog.checkpoints import make_checkpoint
from querykeep_api.auditlog.delivery import DeliveryThread, deliver_outbox
from querykeep_api.auditlog.events import ApiEvent
from querykeep_api.auditlog.ingest import append
from querykeep_api.auditlog.models import Event, SpoolState
from querykeep_api.auditlog.retention import trim
from querykeep_api.auditlog.verification import verify

__all__ = [
    "ApiEvent",
    "DeliveryThread",
    "Event",
    "SpoolState",
    "append",
    "deliver_outbox",
    "make_checkpoint",
    "trim",
    "verify",
]
