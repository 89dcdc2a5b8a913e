"""Runs of jobs, the leases that keep them apart, and who is alive to run them."""

from __future__ import annotations

from django.db import models

from querykeep_api.kernel.ids import ID_LENGTH, new_id


class RunState(models.TextChoices):
    """Where a run stands. ``SKIPPED``: another run of the same job was under way."""

    QUEUED = "queued"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class JobRun(models.Model):
    """One run. ``changes`` is a list of ``{kind, subject, detail}``; ``error`` is for people."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    job = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.QUEUED)
    trigger = models.CharField(max_length=20, default="schedule")
    requested_by = models.CharField(max_length=200, blank=True)
    arguments = models.JSONField(default=dict)
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=200, blank=True)
    summary = models.TextField(blank=True)
    changes = models.JSONField(default=list)
    error = models.TextField(blank=True)

    class Meta:
        indexes = (
            models.Index(fields=["job", "id"], name="job_run_job"),
            models.Index(fields=["state"], name="job_run_state"),
        )

    def __str__(self) -> str:
        return f"{self.job} {self.id}: {self.state}"


class JobLease(models.Model):
    """Who may run one job at present. ``owner`` is empty when nobody does; past ``lease_until`` (by
    the database's clock) the owner counts as dead."""

    key = models.CharField(primary_key=True, max_length=200)
    owner = models.CharField(max_length=64, blank=True)
    run_id = models.CharField(max_length=ID_LENGTH, blank=True)
    lease_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.key


class ProcessHeartbeat(models.Model):
    """A worker or beat process that was alive at ``at``."""

    instance = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=20, db_index=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.instance}"


class JobReport(models.Model):
    """What another service reports of its part in a run (the middleware cleans its own disk)."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    run_id = models.CharField(max_length=ID_LENGTH)
    service = models.CharField(max_length=64)
    ep = models.CharField(max_length=200)
    at = models.DateTimeField()
    ok = models.BooleanField()
    summary = models.TextField()
    changes = models.JSONField(default=list)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("run_id", "ep"), name="job_report_once"),)

    def __str__(self) -> str:
        return f"{self.run_id} {self.ep}"
