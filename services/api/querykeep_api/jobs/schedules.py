"""The schedule of each job as rows of django-celery-beat, which beat reads again as they change."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from querykeep_api.jobs.registry import Daily, Every, Job, jobs
from querykeep_api.jobs.running import TASK
from querykeep_api.kernel import clock

PREFIX = "querykeep: "


def sync_schedules() -> None:
    """Make the missing schedules and remove those of jobs that are no more; keep people's own."""
    for job in jobs().values():
        schedule_of(job)
    gone = PeriodicTask.objects.filter(name__startswith=PREFIX)
    gone.exclude(name__in=[PREFIX + name for name in jobs()]).delete()


def schedule_of(job: Job) -> PeriodicTask:
    """Return the schedule row of a job, made from its default when it is missing."""
    existing = PeriodicTask.objects.filter(name=PREFIX + job.name).first()
    if existing is not None:
        return existing
    with transaction.atomic():
        task, _ = PeriodicTask.objects.get_or_create(
            name=PREFIX + job.name,
            defaults={
                "task": TASK,
                "kwargs": json.dumps({"name": job.name}),
                "enabled": job.is_enabled,
                "description": job.description.en,
                **_timing(job.schedule),
            },
        )
    return task


def set_enabled(job: Job, is_enabled: bool) -> None:
    """Switch a schedule on or off; saving the row tells beat."""
    task = schedule_of(job)
    if task.enabled != is_enabled:
        task.enabled = is_enabled
        task.save()


def described(task: PeriodicTask | None, job: Job) -> str:
    """Return the schedule as text: ``every 60 s`` or ``daily at 03:30 UTC``, or cron fields."""
    match _present(task, job):
        case Every(seconds):
            return f"every {seconds} s"
        case Daily(hour, minute):
            return f"daily at {hour:02}:{minute:02} UTC"
    cron = task.crontab if task is not None else None
    return f"{cron}"


def next_run(
    task: PeriodicTask | None, job: Job, last: datetime | None, now: datetime
) -> datetime | None:
    """Return when the schedule next starts the job, as far as can be told; None when it is off."""
    if not (task.enabled if task is not None else job.is_enabled):
        return None
    match _present(task, job):
        case Every(seconds):
            return max(now, last + timedelta(seconds=seconds)) if last is not None else now
        case Daily(hour, minute):
            today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return today if today > now else today + timedelta(days=1)
    return None


def _present(task: PeriodicTask | None, job: Job) -> Every | Daily | None:
    if task is None:
        return job.schedule
    if task.interval is not None:
        period = timedelta(**{task.interval.period: task.interval.every})
        return Every(int(period.total_seconds()))
    cron = task.crontab
    if cron is not None and cron.minute.isdigit() and cron.hour.isdigit():
        days = (cron.day_of_week, cron.day_of_month, cron.month_of_year)
        if days == ("*", "*", "*"):
            return Daily(int(cron.hour), int(cron.minute))
    return None


def _timing(schedule: Every | Daily) -> dict[str, object]:
    match schedule:
        case Every(seconds):
            interval, _ = IntervalSchedule.objects.get_or_create(
                every=seconds, period=IntervalSchedule.SECONDS
            )
            # As if it had just been due: a new installation need not wait a period for its first.
            return {"interval": interval, "last_run_at": clock.now() - timedelta(seconds=seconds)}
        case Daily(hour, minute):
            crontab, _ = CrontabSchedule.objects.get_or_create(
                hour=str(hour),
                minute=str(minute),
                day_of_week="*",
                day_of_month="*",
                month_of_year="*",
                timezone="UTC",
            )
            return {"crontab": crontab}
