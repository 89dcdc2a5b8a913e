"""internal as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class InternalConfig(AppConfig):
    """No tables: views over the facades of other apps."""

    name = "querykeep_api.internal"
    label = "internal"
