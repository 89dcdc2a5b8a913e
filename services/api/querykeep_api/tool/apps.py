"""Tool as a Django app, so that its command is found; it has no tables."""

from __future__ import annotations

from django.apps import AppConfig


class ToolConfig(AppConfig):
    """The installation console."""

    name = "querykeep_api.tool"
    label = "tool"
    verbose_name = "Tool"
