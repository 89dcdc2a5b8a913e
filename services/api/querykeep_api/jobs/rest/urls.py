"""Public URLs of the jobs."""

from __future__ import annotations

from django.urls import path

from querykeep_api.jobs.rest.views import JobsView, JobView, RunNowView, RunsView, RunView

urlpatterns = [
    path("jobs", JobsView.as_view(), name="jobs"),
    path("jobs/<str:name>", JobView.as_view(), name="job"),
    path("jobs/<str:name>/run", RunNowView.as_view(), name="job-run-now"),
    path("jobs/<str:name>/runs", RunsView.as_view(), name="job-runs"),
    path("jobs/<str:name>/runs/<str:run_id>", RunView.as_view(), name="job-run"),
]
