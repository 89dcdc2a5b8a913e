"""Paths of dbam below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from querykeep_api.dbam.rest import (
    connection_views,
    engine_views,
    policy_views,
    session_views,
)

router = SimpleRouter(trailing_slash=False)
router.register("connections", connection_views.ConnectionView, basename="connections")
router.register("privileges", policy_views.PrivilegeView, basename="privileges")
router.register("grants", policy_views.GrantView, basename="grants")
router.register("access-rules", policy_views.AccessRuleView, basename="access-rules")
router.register("masking-rules", policy_views.MaskingRuleView, basename="masking-rules")
router.register("statement-rules", policy_views.StatementRuleView, basename="statement-rules")
router.register("proxy-tokens", session_views.ProxyTokenView, basename="proxy-tokens")
router.register("sessions", session_views.SessionView, basename="sessions")

urlpatterns = [
    path("engines", engine_views.EnginesView.as_view()),
    path("explain", session_views.ExplainView.as_view()),
    path("overview", session_views.OverviewView.as_view()),
    *router.urls,
]
