"""How jobs and runs look in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask
from rest_framework import serializers

from querykeep_api.jobs.models import JobRun
from querykeep_api.jobs.registry import Every, Job
from querykeep_api.jobs.schedules import described, next_run
from querykeep_guard.contracts.codec import to_json


def run_entry(run: JobRun) -> dict[str, Any]:
    """Return a run."""
    return {
        "id": run.pk,
        "job": run.job,
        "state": run.state,
        "trigger": run.trigger,
        "requested_by": run.requested_by,
        "arguments": run.arguments,
        "queued_at": to_json(run.queued_at),
        "started_at": to_json(run.started_at),
        "finished_at": to_json(run.finished_at),
        "worker": run.worker,
        "summary": run.summary,
        "changes": run.changes,
        "error": run.error,
    }


def job_entry(
    job: Job,
    task: PeriodicTask | None,
    last: JobRun | None,
    *,
    is_running: bool,
    language: str,
    now: datetime,
) -> dict[str, Any]:
    """Return a job with its schedule and last run; texts in the reader's language."""
    is_enabled = task.enabled if task is not None else job.is_enabled
    started = last.started_at if last is not None else None
    return {
        "id": job.name,
        "name": job.name,
        "title": job.title.in_language(language),
        "titles": {"en": job.title.en, "ko": job.title.ko},
        "description": job.description.in_language(language),
        "descriptions": {"en": job.description.en, "ko": job.description.ko},
        "schedule": described(task, job),
        "every_s": job.schedule.seconds if isinstance(job.schedule, Every) else None,
        "next_run_at": to_json(next_run(task, job, started, now)),
        "is_enabled": is_enabled,
        "can_run_now": job.is_safe_to_run_now,
        "running": is_running,
        "last_run": run_entry(last) if last is not None else None,
        "etag": f"{'on' if is_enabled else 'off'}-{last.pk if last else 'never'}",
    }


class RunSchema(serializers.Serializer[JobRun]):
    """A run; made by ``run_entry``, described here for the schema."""

    id = serializers.CharField()
    job = serializers.CharField()
    state = serializers.CharField()
    trigger = serializers.CharField()
    requested_by = serializers.CharField()
    arguments = serializers.DictField()
    queued_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    worker = serializers.CharField()
    summary = serializers.CharField()
    changes = serializers.ListField(child=serializers.DictField())
    error = serializers.CharField()

    def to_representation(self, instance: JobRun) -> dict[str, Any]:
        """Return the entry."""
        return run_entry(instance)


class JobSchema(serializers.Serializer[Any]):
    """A job; made by ``job_entry``, described here for the schema."""

    id = serializers.CharField(help_text="The job's name.")
    name = serializers.CharField()
    title = serializers.CharField()
    titles = serializers.DictField()
    description = serializers.CharField()
    descriptions = serializers.DictField()
    schedule = serializers.CharField()
    every_s = serializers.IntegerField(allow_null=True)
    next_run_at = serializers.DateTimeField(allow_null=True)
    is_enabled = serializers.BooleanField()
    can_run_now = serializers.BooleanField()
    running = serializers.BooleanField()
    last_run = RunSchema(allow_null=True)
    etag = serializers.CharField()


class JobChangeSchema(serializers.Serializer[Any]):
    """What PATCH may change; read-only fields that come along are ignored."""

    is_enabled = serializers.BooleanField(required=False)
