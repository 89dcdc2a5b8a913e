"""Django application of the audit store; its tables live in the database ``audit``."""

from __future__ import annotations

from django.apps import AppConfig


class AuditLogConfig(AppConfig):
    """Registers the models under the label ``auditlog``, which the database router sends away from
    the metadata database."""

    name = "querykeep_api.auditlog"
    label = "auditlog"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Audit log"
