"""Internal URLs of the audit log."""

from __future__ import annotations

from django.urls import path

from querykeep_api.auditlog.rest.internal import RecordsView

urlpatterns = [path("audit/records", RecordsView.as_view(), name="internal-audit-records")]
