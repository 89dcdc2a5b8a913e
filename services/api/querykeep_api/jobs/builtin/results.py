"""Asks every middleware to clean its own result store, and collects what they report."""

from __future__ import annotations

import json
import threading
import time

import redis
from django.conf import settings

from querykeep_api.jobs.models import JobReport
from querykeep_api.jobs.registry import Every, JobContext, Text, job
from querykeep_api.jobs.running import JobFailedError
from querykeep_api.kernel import hints

CHANNEL = "querykeep:jobs"
ANSWER_TIMEOUT_S = 120.0
_POLL_S = 0.5


@job(
    "result_store_cleanup",
    title=Text("Result store clean-up", "결과 저장소 정리"),
    description=Text(
        "Has each middleware delete stored query results that are past their time.",
        "각 미들웨어가 보관 기간이 지난 쿼리 결과를 삭제하도록 합니다.",
    ),
    schedule=Every(3600),
)
def result_store_cleanup(context: JobContext) -> str:
    """Send the request and wait until each listening middleware has reported."""
    listeners = _ask(context.run_id)
    if not listeners:
        raise JobFailedError(
            f"No middleware listens on the Redis channel {CHANNEL}. "
            "Is querykeep-middleware running?"
        )
    reports = _collect(context, listeners)
    for report in reports:
        context.changed("cleaned" if report.ok else "failed", report.ep, report.summary)
        for change in report.changes:
            context.changed(change["kind"], change["subject"], change["detail"])
    failed = [report.ep for report in reports if not report.ok]
    if failed or len(reports) < listeners:
        silent = listeners - len(reports)
        raise JobFailedError(
            f"{len(failed)} of {listeners} result stores could not be cleaned, {silent} did not "
            f"report within {ANSWER_TIMEOUT_S:.0f} s."
        )
    return f"{len(reports)} result stores cleaned."


def _ask(run_id: str) -> int:
    message = json.dumps({"job": "result_store_cleanup", "run_id": run_id})
    try:
        client = hints.client(settings.QUERYKEEP.redis_url)
        return client.publish(CHANNEL, message)
    except (redis.RedisError, ValueError) as error:
        raise JobFailedError(f"Redis does not answer ({type(error).__name__}).") from error


def _collect(context: JobContext, wanted: int) -> list[JobReport]:
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    pause = threading.Event()
    while True:
        context.check()
        reports = list(JobReport.objects.filter(run_id=context.run_id).order_by("ep"))
        if len(reports) >= wanted or time.monotonic() > deadline:
            return reports
        pause.wait(_POLL_S)
