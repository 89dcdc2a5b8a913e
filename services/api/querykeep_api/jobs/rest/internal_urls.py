"""Internal URLs of the jobs."""

from __future__ import annotations

from django.urls import path

from querykeep_api.jobs.rest.views import ReportView

urlpatterns = [path("jobs/report", ReportView.as_view(), name="internal-job-report")]
