"""The OpenAPI 3.1 document of the public API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer


def openapi_yaml() -> str:
    """Return the document as YAML, steady from run to run."""
    generator: Any = SchemaGenerator  # untyped upstream
    renderer: Any = OpenApiYamlRenderer
    rendered: bytes = renderer().render(
        generator().get_schema(request=None, public=True), renderer_context={}
    )
    return rendered.decode()
