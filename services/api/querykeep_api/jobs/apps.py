"""Django application of the jobs."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Tables of runs, leases and process heartbeats."""

    name = "querykeep_api.jobs"
    label = "jobs"
    verbose_name = "Jobs"
