"""Removes what has run out: credentials, delivered outbox rows, waiting runs."""

from __future__ import annotations

from datetime import timedelta

from querykeep_api.dbam.facade import do_clean_up_sessions
from querykeep_api.iam.facade import clean_up_expired
from querykeep_api.jobs.models import JobReport
from querykeep_api.jobs.registry import Every, JobContext, Text, job
from querykeep_api.jobs.running import mark_lost_in_queue
from querykeep_api.kernel import clock
from querykeep_api.kernel.models import OutboxEvent, PolicyChange

_OUTBOX_KEPT = timedelta(days=7)
_REPORTS_KEPT = timedelta(days=30)
_POLICY_CHANGES_KEPT = timedelta(days=1)


@job(
    "session_token_cleanup",
    title=Text("Expired sessions and tokens", "만료된 세션과 토큰 정리"),
    description=Text(
        "Deletes web sessions, tickets, agent sign-ins and tokens that have run out, and closes "
        "live sessions whose enforcement point is gone.",
        "만료된 웹 세션, 티켓, 에이전트 로그인, 토큰을 삭제하고 "
        "처리 지점이 사라진 세션을 닫습니다.",
    ),
    schedule=Every(600),
)
def session_token_cleanup(context: JobContext) -> str:
    """Delete what has run out and say how much."""
    counts = {**clean_up_expired(), **do_clean_up_sessions()}
    context.check()
    now = clock.now()
    delivered = OutboxEvent.objects.filter(delivered_at__lt=now - _OUTBOX_KEPT)
    counts["delivered_events"] = delivered.delete()[0]
    # An enforcement point that asks from before the oldest kept change is told "all".
    old = PolicyChange.objects.filter(at__lt=now - _POLICY_CHANGES_KEPT)
    counts["policy_changes"] = old.delete()[0]
    counts["job_reports"] = JobReport.objects.filter(at__lt=now - _REPORTS_KEPT).delete()[0]
    counts["lost_job_runs"] = mark_lost_in_queue()
    removed = {name: count for name, count in counts.items() if count}
    for name, count in removed.items():
        context.changed("removed", name.replace("_", " "), str(count))
    return f"{sum(removed.values())} rows removed."
