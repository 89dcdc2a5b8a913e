"""The two databases: ``default`` holds metadata, ``audit`` holds the app ``auditlog`` alone."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from querykeep_api.config.environment import DatabaseAddress

AUDIT_APP = "auditlog"
AUDIT = "audit"
DEFAULT = "default"

# A writer waits this long for another's transaction before SQLite says "database is locked".
SQLITE_BUSY_TIMEOUT_S = 20


def django_database(address: DatabaseAddress) -> dict[str, Any]:
    """Return the Django ``DATABASES`` entry of an address."""
    if address.engine == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": address.name,
            "OPTIONS": {
                # IMMEDIATE: a transaction that will write takes the lock at its start; a deferred
                # one would fail with SQLITE_BUSY when it upgrades, which no timeout cures.
                "transaction_mode": "IMMEDIATE",
                "timeout": SQLITE_BUSY_TIMEOUT_S,
                "init_command": (
                    "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                    "PRAGMA foreign_keys=ON;PRAGMA temp_store=MEMORY;"
                ),
            },
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": False,
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.name,
        "HOST": address.host,
        "PORT": str(address.port or ""),
        "USER": address.user,
        "PASSWORD": address.password,
        "OPTIONS": dict(address.options),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


class AuditRouter:
    """Sends ``auditlog`` to the audit database and everything else to the metadata database."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the database that holds ``model``."""
        return AUDIT if model._meta.app_label == AUDIT_APP else DEFAULT

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Return the database that holds ``model``."""
        return self.db_for_read(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        """Allow relations within one database only."""
        return self.db_for_read(type(first)) == self.db_for_read(type(second))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """Make each table in its own database only."""
        return (db == AUDIT) == (app_label == AUDIT_APP)
