"""Starts runs and carries them out: the only place that changes a run's state."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError

from querykeep_api.jobs.leases import BusyError, Lease, LeaseLostError, is_busy
from querykeep_api.jobs.models import JobRun, RunState
from querykeep_api.jobs.registry import Job, job_named
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict, Unavailable

CHANGES_KEPT = 2000
RUNS_KEPT = 200
QUEUE_LIMIT = timedelta(minutes=30)
TASK = "querykeep_api.jobs.tasks.run_job"

log = structlog.get_logger(__name__)


class JobFailedError(RuntimeError):
    """A job could not do its work; the text is shown to people as the run's error."""


class Running:
    """The JobContext of one run."""

    def __init__(self, run: JobRun, lease: Lease) -> None:
        self.run_id = run.pk
        self.arguments: Mapping[str, str] = {str(k): str(v) for k, v in run.arguments.items()}
        self.changes: list[dict[str, str]] = []
        self.left_out = 0
        self._lease = lease

    def check(self) -> None:
        """Raise LeaseLostError when another worker took over."""
        self._lease.check()

    def changed(self, kind: str, subject: str, detail: str = "") -> None:
        """Note a change; beyond the first thousands they are only counted."""
        if len(self.changes) >= CHANGES_KEPT:
            self.left_out += 1
            return
        self.changes.append({"kind": kind, "subject": subject, "detail": detail})


def start(name: str, *, requested_by: str, arguments: Mapping[str, str] | None = None) -> JobRun:
    """Queue a run now and return it.

    Raises:
        UnknownJobError: There is no such job.
        Conflict: The job is running already.
        Unavailable: The queue (Redis) does not answer.
    """
    job = job_named(name)
    given = dict(arguments or {})
    key = lease_key(job, given)
    if is_busy(key):
        raise Conflict(f"{job.title.en} is running already; see its runs.", code="already_running")
    run = JobRun.objects.create(
        job=name,
        trigger="person",
        requested_by=requested_by,
        arguments=given,
        queued_at=clock.now(),
    )
    transaction.on_commit(lambda: _enqueue(run))
    if run.state == RunState.FAILED:
        raise Unavailable("The job queue (Redis) does not answer; try again in a moment.")
    return run


def carry_out(name: str, run_id: str | None = None) -> JobRun | None:
    """Run a job here and now and return its run; None when the schedule met a run under way.

    A queued run that was started before (a message delivered twice) is left alone.
    """
    job = job_named(name)
    if run_id is None:
        run = JobRun(job=name, queued_at=clock.now())
    else:
        found = JobRun.objects.filter(pk=run_id, state=RunState.QUEUED).first()
        if found is None:
            return None
        run = found
    try:
        with Lease(lease_key(job, run.arguments), run.pk) as lease:
            if not _begin(run, is_new=run_id is None):
                return None
            _work(job, run, lease)
    except BusyError:
        if run_id is None:
            return None
        _close(run, RunState.SKIPPED, error="Another run of this job was under way.")
    _forget_old_runs(name)
    return run


def lease_key(job: Job, arguments: Mapping[str, str]) -> str:
    """Return what must not run twice at once: the job, or the job for one connection."""
    connection = arguments.get("connection", "")
    return f"{job.name}:{connection}" if connection else job.name


def mark_lost_in_queue() -> int:
    """Fail runs that have waited too long for a worker; return how many."""
    rows = JobRun.objects.filter(state=RunState.QUEUED, queued_at__lt=clock.now() - QUEUE_LIMIT)
    return rows.update(
        state=RunState.FAILED,
        finished_at=clock.now(),
        error="No worker took it. Is 'querykeep worker' running?",
    )


def _enqueue(run: JobRun) -> None:
    from querykeep_api.config.celery import app

    try:
        app.send_task(TASK, kwargs={"name": run.job, "run_id": run.pk}, retry=False)
    except (OperationalError, OSError) as error:
        log.error("job not queued", job=run.job, error=type(error).__name__)
        _close(run, RunState.FAILED, error="The job queue (Redis) did not answer.")


def _begin(run: JobRun, *, is_new: bool) -> bool:
    run.state, run.started_at, run.worker = RunState.RUNNING, clock.now(), worker_name()
    if is_new:
        run.save(force_insert=True)
        return True
    queued = JobRun.objects.filter(pk=run.pk, state=RunState.QUEUED)
    return bool(queued.update(state=run.state, started_at=run.started_at, worker=run.worker))


def _work(job: Job, run: JobRun, lease: Lease) -> None:
    context = Running(run, lease)
    state, error, summary = RunState.OK, "", ""
    try:
        summary = job.run(context)
        if not lease.holds():
            lease.check()
            raise LeaseLostError(f"job {lease.key}: another worker took over")
    except (JobFailedError, LeaseLostError) as failure:
        state, error = RunState.FAILED, str(failure)
    except Exception as failure:
        # Any defect of one job ends this run only; the worker and its schedule go on.
        log.exception("job failed", job=job.name, run=run.pk)
        state, error = RunState.FAILED, f"{type(failure).__name__}: see the worker's log"
    if context.left_out:
        summary = f"{summary} {context.left_out} further changes are not listed."
    run.changes = context.changes
    _close(run, state, summary=summary, error=error)


def _close(run: JobRun, state: RunState, *, summary: str = "", error: str = "") -> None:
    run.state, run.finished_at = state, clock.now()
    run.summary, run.error = summary, error
    # A run that another worker marked dead stays as that worker wrote it.
    JobRun.objects.filter(pk=run.pk, state__in=(RunState.QUEUED, RunState.RUNNING)).update(
        state=state,
        finished_at=run.finished_at,
        summary=summary,
        error=error,
        changes=run.changes,
    )


def _forget_old_runs(name: str) -> None:
    rows = JobRun.objects.filter(job=name).order_by("-id").values_list("pk", flat=True)
    oldest = rows[RUNS_KEPT : RUNS_KEPT + 1].first()
    if oldest is not None:
        JobRun.objects.filter(job=name, pk__lte=oldest).delete()


def worker_name() -> str:
    """Return host and process, for people."""
    return f"{socket.gethostname()}:{os.getpid()}"
