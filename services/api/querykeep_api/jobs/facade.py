"""What other apps may use of the jobs."""

from __future__ import annotations

from querykeep_api.jobs.models import JobRun
from querykeep_api.jobs.processes import is_alive
from querykeep_api.jobs.rest.shapes import run_entry
from querykeep_api.jobs.running import start as start_job

__all__ = ["JobRun", "is_alive", "run_entry", "start_job"]
