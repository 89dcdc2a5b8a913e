"""Runs and leases in one process: states, overlap, takeover, old runs, errors."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import pytest
from django.db import connections
from tests.api.jobs.outcomes import carried_out

from querykeep_api.jobs.leases import BusyError, Lease, LeaseLostError
from querykeep_api.jobs.models import JobLease, JobRun, RunState
from querykeep_api.jobs.registry import Job, jobs
from querykeep_api.jobs.running import (
    CHANGES_KEPT,
    QUEUE_LIMIT,
    JobFailedError,
    carry_out,
    mark_lost_in_queue,
    start,
)
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict, Unavailable

NAME = "test_job"
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def test_run_that_ends_well(work) -> None:
    def body(context) -> str:
        context.check()
        context.changed("added", "public.t", "table")
        return "One thing."

    work.body = body
    run = carried_out(NAME)
    stored = JobRun.objects.get(pk=run.pk)
    assert (stored.state, stored.summary, stored.error) == ("ok", "One thing.", "")
    assert stored.changes == [{"kind": "added", "subject": "public.t", "detail": "table"}]
    assert stored.started_at is not None
    assert stored.finished_at is not None
    assert stored.started_at <= stored.finished_at
    assert JobLease.objects.get(key=NAME).owner == ""


def test_failure_is_told_and_a_defect_does_not_leak(work) -> None:
    def fail(context) -> str:
        raise JobFailedError("The disk is full: make room.")

    work.body = fail
    assert JobRun.objects.get(pk=carried_out(NAME).pk).error == "The disk is full: make room."

    def defect(context) -> str:
        raise KeyError("password=secret")

    work.body = defect
    run = JobRun.objects.get(pk=carried_out(NAME).pk)
    assert (run.state, "secret" in run.error) == ("failed", False)
    assert "KeyError" in run.error
    work.body = lambda context: "fine again"
    assert carried_out(NAME).state == RunState.OK


def test_second_run_while_one_is_under_way(work) -> None:
    inside, leave = threading.Event(), threading.Event()

    def body(context) -> str:
        inside.set()
        assert leave.wait(60)
        return "slow"

    def run() -> None:
        carry_out(NAME)
        connections.close_all()

    work.body = body
    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(60)
    assert carry_out(NAME) is None
    with pytest.raises(Conflict, match="running already"):
        start(NAME, requested_by="admin")
    queued = JobRun.objects.create(job=NAME, queued_at=clock.now())
    carry_out(NAME, queued.pk)
    queued.refresh_from_db()
    assert (queued.state, "under way" in queued.error) == ("skipped", True)
    leave.set()
    thread.join()
    assert work.runs == 1


def test_message_delivered_twice_runs_once(work) -> None:
    queued = JobRun.objects.create(job=NAME, queued_at=clock.now())
    assert carried_out(NAME, queued.pk).state == RunState.OK
    assert carry_out(NAME, queued.pk) is None
    assert work.runs == 1


def test_takeover_after_death_and_the_late_owner_stops(work) -> None:
    late = JobRun.objects.create(
        job=NAME, queued_at=clock.now(), state=RunState.RUNNING, started_at=clock.now()
    )
    with Lease(NAME, late.pk, lease_s=0.4) as lease:
        lease.check()
        with pytest.raises(BusyError):
            Lease(NAME, "other").__enter__()
        # As if this process had been frozen: the lease ran out, another took it.
        JobLease.objects.filter(key=NAME).update(lease_until=clock.now() - timedelta(minutes=1))
        JobLease.objects.filter(key=NAME).update(owner="")
        assert carried_out(NAME).state == RunState.OK
        assert lease._lost.wait(60)
        with pytest.raises(LeaseLostError):
            lease.check()
        assert not lease.holds()
    late.refresh_from_db()
    assert late.state == RunState.FAILED
    assert "died" in late.error


def lease_until() -> datetime:
    until = JobLease.objects.get(key=NAME).lease_until
    assert until is not None
    return until


def test_lease_is_renewed_while_the_run_lives(work) -> None:
    with Lease(NAME, "run", lease_s=1.0) as lease:
        first = lease_until()
        pause = threading.Event()
        deadline = time.monotonic() + 60
        while lease_until() == first:
            assert time.monotonic() < deadline, "the lease was never renewed"
            pause.wait(0.05)
        assert lease_until() > first
        lease.check()


def test_changes_are_bounded(work) -> None:
    def body(context) -> str:
        for number in range(CHANGES_KEPT + 5):
            context.changed("added", str(number))
        return "Many."

    work.body = body
    run = JobRun.objects.get(pk=carried_out(NAME).pk)
    assert len(run.changes) == CHANGES_KEPT
    assert run.summary == "Many. 5 further changes are not listed."


def test_start_without_a_queue_says_so(work, settings) -> None:
    with pytest.raises(Unavailable, match="queue"):
        start(NAME, requested_by="admin")
    assert JobRun.objects.get(job=NAME).state == RunState.FAILED


def test_run_that_no_worker_took(work) -> None:
    run = JobRun.objects.create(job=NAME, queued_at=clock.now() - QUEUE_LIMIT * 2)
    fresh = JobRun.objects.create(job=NAME, queued_at=clock.now())
    assert mark_lost_in_queue() == 1
    run.refresh_from_db()
    fresh.refresh_from_db()
    assert (run.state, fresh.state) == ("failed", "queued")


def test_every_job_speaks_both_languages() -> None:
    wanted = {
        "schema_crawl",
        "grant_expiry",
        "dormant_grant_report",
        "session_token_cleanup",
        "result_store_cleanup",
        "target_health_probe",
        "audit_chain_verify",
        "audit_checkpoint",
        "audit_retention",
    }
    assert wanted <= set(jobs())
    for job in jobs().values():
        assert isinstance(job, Job)
        for text in (job.title, job.description):
            assert text.en.isascii()
            assert not text.ko.isascii()
    assert jobs()["audit_retention"].is_enabled is False
