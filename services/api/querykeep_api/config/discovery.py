"""Finds the service's Django apps: every folder of ``querykeep_api`` with an ``apps.py``.

An app may also bring ``rest/urls.py`` (mounted at ``/api/v1/``), ``rest/internal_urls.py`` (mounted
at ``/internal/v1/``), ``tasks.py`` (Celery) and ``commands.py`` (the ``querykeep`` command line).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGE = "querykeep_api"


def local_apps() -> tuple[str, ...]:
    """Return the dotted names of the service's apps, ``kernel`` first, then by name."""
    root = Path(__file__).parent.parent
    names = sorted(path.parent.name for path in root.glob("*/apps.py"))
    names.sort(key=lambda name: name != "kernel")
    return tuple(f"{PACKAGE}.{name}" for name in names)


def modules_of_apps(suffix: str) -> tuple[str, ...]:
    """Return the dotted names of ``<app>.<suffix>`` for each app that has such a module."""
    found = []
    for app in local_apps():
        dotted = f"{app}.{suffix}"
        relative = Path(__file__).parent.parent / app.rsplit(".", 1)[1] / suffix.replace(".", "/")
        if relative.with_suffix(".py").exists() and find_spec(dotted) is not None:
            found.append(dotted)
    return tuple(found)
