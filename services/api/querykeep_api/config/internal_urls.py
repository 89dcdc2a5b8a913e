"""Internal URLs (``/internal/v1/``) for the other services, served on a port of their own."""

from __future__ import annotations

from django.urls import include, path

from querykeep_api.config.discovery import modules_of_apps

urlpatterns = [
    path("internal/v1/", include(module)) for module in modules_of_apps("rest.internal_urls")
]
handler404 = "querykeep_api.kernel.rest.handler.not_found"
handler500 = "querykeep_api.kernel.rest.handler.server_error"
handler400 = "querykeep_api.kernel.rest.handler.bad_request"
