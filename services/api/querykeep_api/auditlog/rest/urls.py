"""Public URLs of the audit log."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from querykeep_api.auditlog.rest.views import EventView, StatementView, SummaryView, VerifyView

router = SimpleRouter(trailing_slash=False)
router.register("audit/statements", StatementView, basename="audit-statements")
router.register("audit/events", EventView, basename="audit-events")

urlpatterns = [
    path("audit/summary", SummaryView.as_view(), name="audit-summary"),
    path("audit/verify", VerifyView.as_view(), name="audit-verify"),
    *router.urls,
]
