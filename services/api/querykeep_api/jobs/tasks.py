"""The one Celery task: it names a job, and the job's lease decides whether it runs."""

from __future__ import annotations

from celery import shared_task

from querykeep_api.jobs.running import TASK, carry_out


@shared_task(name=TASK)  # type: ignore[untyped-decorator]  # celery has no types
def run_job(name: str, run_id: str | None = None) -> None:
    """Carry a run out (see ``carry_out``)."""
    carry_out(name, run_id)
