"""Jobs over HTTP: who may, what is shown, switching, running, reports of the middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django_celery_beat.models import PeriodicTask
from tests.api.jobs.outcomes import carried_out
from tests.fix_api import ApiCaller

from querykeep_api.jobs import running
from querykeep_api.jobs.models import JobReport, JobRun
from querykeep_api.jobs.registry import jobs
from querykeep_api.jobs.running import carry_out
from querykeep_api.jobs.schedules import PREFIX, sync_schedules
from querykeep_api.kernel import clock
from querykeep_api.kernel.models import OutboxEvent

NAME = "test_job"
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


@pytest.fixture
def admin(new_user: Callable[..., Any], as_user: Callable[..., Any]) -> ApiCaller:
    return as_user(new_user("admin", "jobs.view", "jobs.run"))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[JobRun]:
    """Stands for the broker: runs that were sent."""
    sent: list[JobRun] = []
    monkeypatch.setattr(running, "_enqueue", sent.append)
    return sent


def test_permissions(work, queue, anonymous, admin, new_user, as_user) -> None:
    viewer = as_user(new_user("viewer", "jobs.view"))
    other = as_user(new_user("other", "audit.view", "connections.change"))
    run = carried_out(NAME)
    reads = ("jobs", f"jobs/{NAME}", f"jobs/{NAME}/runs", f"jobs/{NAME}/runs/{run.pk}")
    for path in reads:
        assert anonymous.get(path).status_code == 401
        assert other.get(path).status_code == 403
        assert viewer.get(path).status_code == 200
    for caller, expected in ((anonymous, 401), (other, 403), (viewer, 403), (admin, 202)):
        assert caller.post(f"jobs/{NAME}/run").status_code == expected
    for caller, expected in ((anonymous, 401), (viewer, 403), (admin, 200)):
        assert caller.patch(f"jobs/{NAME}", {"is_enabled": True}).status_code == expected


def test_list_shows_schedule_and_last_run(work, admin) -> None:
    run = carried_out(NAME)
    page = admin.get("jobs").json()
    assert [entry["name"] for entry in page["results"]] == list(jobs())
    entry = next(e for e in page["results"] if e["name"] == NAME)
    assert (entry["title"], entry["schedule"], entry["every_s"]) == ("Test", "every 60 s", 60)
    assert entry["last_run"]["id"] == run.pk
    assert entry["last_run"]["state"] == "ok"
    assert entry["running"] is False
    assert entry["next_run_at"] > entry["last_run"]["started_at"]
    assert [e["name"] for e in admin.get("jobs?search=시험").json()["results"]] == [NAME]


def test_texts_follow_the_readers_language(work, new_user, as_user) -> None:
    user = new_user("korean", "jobs.view")
    user.language = "ko"
    user.save()
    assert as_user(user).get(f"jobs/{NAME}").json()["title"] == "시험"


def test_switching_a_schedule(work, admin) -> None:
    sync_schedules()
    assert PeriodicTask.objects.get(name=PREFIX + NAME).enabled is True
    entry = admin.patch(f"jobs/{NAME}", {"is_enabled": False, "title": "ignored"}).json()
    assert (entry["is_enabled"], entry["next_run_at"]) == (False, None)
    assert PeriodicTask.objects.get(name=PREFIX + NAME).enabled is False
    sync_schedules()
    assert PeriodicTask.objects.get(name=PREFIX + NAME).enabled is False
    assert OutboxEvent.objects.filter(kind="job.switched").count() == 1
    assert admin.patch(f"jobs/{NAME}", {"is_enabled": "perhaps"}).status_code == 400


def test_run_now(work, queue, admin) -> None:
    answer = admin.post(f"jobs/{NAME}/run")
    assert answer.status_code == 202
    run = answer.json()
    assert (run["state"], run["requested_by"], run["trigger"]) == ("queued", "admin", "person")
    assert [sent.pk for sent in queue] == [run["id"]]
    carry_out(NAME, run["id"])
    assert admin.get(f"jobs/{NAME}/runs/{run['id']}").json()["state"] == "ok"
    assert admin.post("jobs/no_such_job/run").status_code == 404
    assert admin.post("jobs/audit_retention/run").status_code == 409


def test_run_now_while_it_runs(work, queue, admin) -> None:
    def body(context) -> str:
        answer = admin.post(f"jobs/{NAME}/run")
        assert (answer.status_code, answer.json()["code"]) == (409, "already_running")
        assert admin.get(f"jobs/{NAME}").json()["running"] is True
        return "told"

    work.body = body
    assert carried_out(NAME).summary == "told"


def test_schedules_of_jobs_that_are_no_more_go(work) -> None:
    sync_schedules()
    PeriodicTask.objects.filter(name=PREFIX + NAME).update(name=f"{PREFIX}gone")
    PeriodicTask.objects.create(
        name="somebody's own",
        task="other",
        interval=PeriodicTask.objects.exclude(interval=None).first().interval,
    )
    sync_schedules()
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert names == {PREFIX + name for name in jobs()} | {"somebody's own"}


def test_report_of_the_middleware(internal_urls, service_key, db) -> None:
    run = JobRun.objects.create(job="result_store_cleanup", queued_at=clock.now())
    path = "/internal/v1/jobs/report"
    body = {"run_id": run.pk, "ep": "m-1", "ok": True, "summary": "3 removed", "changes": []}
    assert ApiCaller({}).post(path, body).status_code == 401
    assert ApiCaller({"Authorization": service_key("proxy")}).post(path, body).status_code == 403
    middleware = ApiCaller({"Authorization": service_key("middleware")})
    for _ in range(2):
        assert middleware.post(path, body).status_code == 204
    assert JobReport.objects.get().summary == "3 removed"
    assert middleware.post(path, {**body, "run_id": "none"}).status_code == 404
    for bad in ({"ep": ""}, {"ok": "yes"}, {"changes": "x"}, {"changes": ["x"]}):
        assert middleware.post(path, {**body, **bad}).status_code == 400
