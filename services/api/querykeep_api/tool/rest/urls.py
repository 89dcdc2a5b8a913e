"""Paths of Tool below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from querykeep_api.tool.rest import health_views

urlpatterns = [path("health", health_views.HealthView.as_view())]
