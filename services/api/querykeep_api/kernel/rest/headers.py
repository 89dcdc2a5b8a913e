"""Response headers of the public API."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from querykeep_api.kernel.errors import LengthNeeded
from querykeep_api.kernel.rest.handler import problem


class HeadersMiddleware:
    """Answers are never cached, framed, or run as a page (the docs page sets its own policy)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve one request and set its headers."""
        if "CONTENT_LENGTH" not in request.META and "HTTP_TRANSFER_ENCODING" in request.META:
            # WSGI would show it as an empty body, and every field of it as missing.
            response = problem(
                LengthNeeded("Send the body whole, with Content-Length: one in chunks is not read.")
            )
        else:
            response = self._get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault(
            "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"
        )
        response.headers.setdefault("X-Frame-Options", "DENY")
        return response
