"""``/api/schema/`` (OpenAPI 3.1) and ``/api/docs/``, a page without any foreign asset."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView

_ASSETS = Path(__file__).parent / "docs_page"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class SchemaView(SpectacularAPIView):
    """The schema, JSON first; ``?format=yaml`` for YAML."""

    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]  # noqa: RUF012 - DRF's own form


def docs_page(request: HttpRequest) -> HttpResponseBase:
    """Return the page that shows the schema."""
    return _asset("index.html")


def docs_asset(request: HttpRequest, name: str) -> HttpResponseBase:
    """Return a script or style sheet of the page."""
    return _asset(name)


def _asset(name: str) -> HttpResponseBase:
    path = _ASSETS / name
    if name not in {entry.name for entry in _ASSETS.iterdir()}:
        raise Http404
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    response: HttpResponse | FileResponse = HttpResponse(
        path.read_bytes(), content_type=f"{kind}; charset=utf-8"
    )
    response.headers["Content-Security-Policy"] = _POLICY
    return response
