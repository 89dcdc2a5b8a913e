"""The two ways to authenticate, as the OpenAPI document names them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # upstream
    """``Authorization: Bearer <api token>``."""

    target_class = "querykeep_api.iam.authentication.BearerAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer"}


class WebSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # upstream
    """The session cookie; writes send ``X-CSRFToken`` too."""

    target_class = "querykeep_api.iam.authentication.WebSessionAuthentication"
    name = "webSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        return {"type": "apiKey", "in": "cookie", "name": "querykeep_session"}
