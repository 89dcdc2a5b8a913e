"""``/api/v1/jobs``: what runs when, what came of it, and *Run now*."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Max, QuerySet
from django_celery_beat.models import PeriodicTask
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.jobs.leases import is_busy
from querykeep_api.jobs.models import JobReport, JobRun
from querykeep_api.jobs.registry import Job, UnknownJobError, job_named, jobs
from querykeep_api.jobs.rest.shapes import (
    JobChangeSchema,
    JobSchema,
    RunSchema,
    job_entry,
    run_entry,
)
from querykeep_api.jobs.running import start
from querykeep_api.jobs.schedules import PREFIX, set_enabled
from querykeep_api.kernel import clock, outbox
from querykeep_api.kernel.errors import Conflict, InvalidInput, NotFound
from querykeep_api.kernel.principal import acting_user
from querykeep_api.kernel.rest.schema import whole_list
from querykeep_api.kernel.service_auth import IsService, Service, ServiceAuthentication

_REPORT_CHANGES = 500


def _job(name: str) -> Job:
    try:
        return job_named(name)
    except UnknownJobError as error:
        raise NotFound(f"{error}.") from error


def _entries(chosen: list[Job], language: str) -> list[dict[str, Any]]:
    names = [job.name for job in chosen]
    tasks = {
        task.name.removeprefix(PREFIX): task
        for task in PeriodicTask.objects.filter(
            name__in=[PREFIX + name for name in names]
        ).select_related("interval", "crontab")
    }
    latest = JobRun.objects.filter(job__in=names).values("job").annotate(last=Max("id"))
    runs = JobRun.objects.in_bulk([row["last"] for row in latest])
    last = {run.job: run for run in runs.values()}
    now = clock.now()
    return [
        job_entry(
            job,
            tasks.get(job.name),
            last.get(job.name),
            is_running=is_busy(job.name),
            language=language,
            now=now,
        )
        for job in chosen
    ]


class JobsView(APIView):
    """``jobs``."""

    permissions: ClassVar[dict[str, str]] = {"GET": "jobs.view"}

    @extend_schema(
        parameters=[OpenApiParameter("search", str, description="Stands in its name or title.")],
        responses=whole_list("JobList", JobSchema),
        operation_id="jobs_list",
    )
    def get(self, request: Request) -> Response:
        """Return every job; there are few, so one page holds them."""
        search = request.query_params.get("search", "").lower()
        found = [
            job
            for job in jobs().values()
            if search in f"{job.name}\n{job.title.en}\n{job.title.ko}".lower()
        ]
        results = _entries(found, acting_user(request).language)
        return Response({"results": results, "next": None, "previous": None})


class JobView(APIView):
    """``jobs/{name}``."""

    permissions: ClassVar[dict[str, str]] = {"GET": "jobs.view", "PATCH": "jobs.run"}

    @extend_schema(responses=JobSchema)
    def get(self, request: Request, name: str) -> Response:
        """Return one job."""
        return Response(_entries([_job(name)], acting_user(request).language)[0])

    @extend_schema(request=JobChangeSchema, responses=JobSchema)
    def patch(self, request: Request, name: str) -> Response:
        """Switch the schedule on or off."""
        job = _job(name)
        serializer = JobChangeSchema(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = serializer.validated_data.get("is_enabled")
        if wanted is not None:
            with transaction.atomic():
                set_enabled(job, wanted)
                outbox.record(
                    "job.switched",
                    actor=acting_user(request),
                    subject=outbox.SubjectRef("job", job.name, job.title.en),
                    summary=f"Job {job.title.en} switched {'on' if wanted else 'off'}.",
                    after={"is_enabled": wanted},
                )
        return Response(_entries([job], acting_user(request).language)[0])


class RunNowView(APIView):
    """``jobs/{name}/run``."""

    permissions: ClassVar[dict[str, str]] = {"POST": "jobs.run"}

    @extend_schema(request=None, responses={202: RunSchema})
    def post(self, request: Request, name: str) -> Response:
        """Queue a run now; 409 when one is under way."""
        job = _job(name)
        if not job.is_safe_to_run_now:
            raise Conflict(
                f"{job.title.en} runs on its schedule only; switch the schedule on instead.",
                code="schedule_only",
            )
        user = acting_user(request)
        run = start(name, requested_by=user.username)
        with transaction.atomic():
            outbox.record(
                "job.started",
                actor=user,
                subject=outbox.SubjectRef("job", job.name, job.title.en),
                summary=f"Job {job.title.en} started by hand.",
                after={"run": run.pk},
            )
        return Response(run_entry(run), status=status.HTTP_202_ACCEPTED)


class RunsView(GenericAPIView[JobRun]):
    """``jobs/{name}/runs``."""

    permissions: ClassVar[dict[str, str]] = {"GET": "jobs.view"}
    serializer_class = RunSchema
    filter_backends = ()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[JobRun]:
        """Return the job's runs."""
        return JobRun.objects.filter(job=self.kwargs.get("name", "")).order_by("-id")

    @extend_schema(operation_id="jobs_runs_list", responses=RunSchema(many=True))
    def get(self, request: Request, name: str) -> Response:
        """Return a page of runs, newest first."""
        _job(name)
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class RunView(APIView):
    """``jobs/{name}/runs/{id}``."""

    permissions: ClassVar[dict[str, str]] = {"GET": "jobs.view"}

    @extend_schema(responses=RunSchema)
    def get(self, request: Request, name: str, run_id: str) -> Response:
        """Return one run."""
        run = JobRun.objects.filter(job=_job(name).name, pk=run_id).first()
        if run is None:
            raise NotFound("There is no such run; only the latest are kept.")
        return Response(run_entry(run))


class ReportView(APIView):
    """``POST /internal/v1/jobs/report``: what a service did for a run."""

    authentication_classes = (ServiceAuthentication,)
    parser_classes = (JSONParser,)
    permission_classes = (IsService,)
    services: ClassVar[tuple[str, ...]] = ("middleware",)

    def post(self, request: Request) -> Response:
        """Store the report of one process; sending it again replaces it."""
        data = request.data if isinstance(request.data, dict) else {}
        run_id, ep, summary = (_text(data, name) for name in ("run_id", "ep", "summary"))
        ok, changes = data.get("ok", True), data.get("changes", [])
        if not isinstance(ok, bool) or not isinstance(changes, list):
            raise InvalidInput("ok is a boolean, changes a list of {kind, subject, detail}")
        if not JobRun.objects.filter(pk=run_id).exists():
            raise NotFound("There is no such run.")
        service = request.auth
        assert isinstance(service, Service)
        JobReport.objects.update_or_create(
            run_id=run_id,
            ep=ep,
            defaults={
                "service": service.name,
                "at": clock.now(),
                "ok": ok,
                "summary": summary,
                "changes": [_change(item) for item in changes[:_REPORT_CHANGES]],
            },
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


def _change(item: object) -> dict[str, str]:
    if not isinstance(item, dict):
        raise InvalidInput("changes: each is {kind, subject, detail}")
    return {name: str(item.get(name, "")) for name in ("kind", "subject", "detail")}


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value or "\x00" in value:
        raise InvalidInput(
            "expected {run_id, ep, ok, summary, changes}", fields={name: ["a text is needed"]}
        )
    return value
