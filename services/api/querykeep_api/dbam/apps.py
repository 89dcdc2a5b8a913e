"""dbam as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DbamConfig(AppConfig):
    """Connections, grants, rules, proxy tokens, tickets, live sessions."""

    name = "querykeep_api.dbam"
    label = "dbam"
