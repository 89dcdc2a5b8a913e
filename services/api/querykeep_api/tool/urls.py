"""URLs of Tool."""

from __future__ import annotations

from django.urls import path

from querykeep_api.tool import views

urlpatterns = [
    path("", views.page, name="tool"),
    path("tool.css", views.style, name="tool-style"),
    path("healthz", views.healthz, name="tool-healthz"),
    path("readyz", views.readyz, name="tool-readyz"),
    path("sign-in", views.sign_in_view, name="tool-sign-in"),
    path("sign-out", views.sign_out, name="tool-sign-out"),
    path("migrations", views.migrations, name="tool-migrations"),
    path("backup.zip", views.backup, name="tool-backup"),
    path("diagnostics.zip", views.diagnostics, name="tool-diagnostics"),
]
