"""Public URLs: ``/api/v1/``, the schema and its page. No internal path is ever mounted here."""

from __future__ import annotations

from django.urls import include, path

from querykeep_api.config.discovery import modules_of_apps
from querykeep_api.kernel.rest.docs import SchemaView, docs_asset, docs_page

urlpatterns = [
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", docs_page, name="docs"),
    path("api/docs/<str:name>", docs_asset, name="docs-asset"),
    *(path("api/v1/", include(module)) for module in modules_of_apps("rest.urls")),
]
handler404 = "querykeep_api.kernel.rest.handler.not_found"
handler500 = "querykeep_api.kernel.rest.handler.server_error"
handler400 = "querykeep_api.kernel.rest.handler.bad_request"
