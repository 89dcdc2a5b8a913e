"""Every error of the API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from querykeep_api.kernel.context import current_request
from querykeep_api.kernel.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotSignedIn,
    Unavailable,
)

PROBLEM_TYPE = "application/problem+json"
# PostgreSQL: serialization failure, deadlock detected.
_LOST_RACES = frozenset({"40001", "40P01"})

log = structlog.get_logger(__name__)


def problem_body(error: ApiError) -> dict[str, Any]:
    """Return the body of a problem."""
    return {
        "type": f"urn:querykeep:problem:{error.code}",
        "status": error.status,
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
        "fields": error.fields,
        "request_id": current_request().request_id,
    }


def problem_response(raised: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem for what a view raised, or None for a defect (500, logged by Django)."""
    error = as_api_error(raised)
    if error is None:
        return None
    set_rollback()
    body = problem_body(error)
    extra: Mapping[str, Any] = getattr(error, "extra", {})
    headers = {"WWW-Authenticate": 'Bearer realm="querykeep"'} if error.status == 401 else {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(int(retry_after_s))
    return Response(
        {**body, **extra}, status=error.status, headers=headers, content_type=PROBLEM_TYPE
    )


def as_api_error(raised: Exception) -> ApiError | None:
    """Return the ApiError that stands for an exception of DRF or Django, or None."""
    if isinstance(raised, ApiError):
        return raised
    if isinstance(raised, exceptions.ValidationError):
        fields = _flatten(raised.detail)
        first = next((f"{name}: {texts[0]}" for name, texts in fields.items() if texts), "")
        return InvalidInput(first or "The body is not valid.", fields=fields)
    if isinstance(raised, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return NotSignedIn(str(raised.detail))
    if isinstance(raised, exceptions.NotFound | Http404):
        return NotFound("There is nothing here, or it is out of your reach.")
    if isinstance(raised, exceptions.PermissionDenied | PermissionDenied):
        return Forbidden(str(getattr(raised, "detail", raised)) or "Not allowed.")
    if isinstance(raised, exceptions.APIException):
        error = ApiError(str(raised.detail), code=str(raised.default_code))
        error.status = raised.status_code
        return error
    if isinstance(raised, RecursionError):
        return InvalidInput("The body is nested too deeply.", code="too_deep")
    if isinstance(raised, IntegrityError) or _sqlstate(raised) in _LOST_RACES:
        # Two writers met; the other one's change stands, and this one was rolled back whole.
        log.warning("a write lost against another one", exc_info=raised)
        return Conflict(
            "Someone else changed the same at this moment. Read it again, then repeat your change.",
            code="changed_meanwhile",
        )
    if isinstance(raised, OperationalError):
        log.error("metadata database failed", exc_info=raised)
        return Unavailable("The metadata database does not answer; try again in a moment.")
    return None


def _sqlstate(raised: Exception) -> str:
    return str(getattr(raised.__cause__, "sqlstate", "") or "")


def _flatten(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """Return field paths (``objects.0.schema``) with their texts."""
    if isinstance(detail, Mapping):
        found: dict[str, list[str]] = {}
        for key, value in detail.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            found.update(_flatten(value, name))
        return found
    if isinstance(detail, list):
        if all(not isinstance(item, Mapping | list) for item in detail):
            return {prefix or "body": [str(item) for item in detail]}
        found = {}
        for index, item in enumerate(detail):
            if item:
                found.update(_flatten(item, f"{prefix}.{index}" if prefix else str(index)))
        return found
    return {prefix or "body": [str(detail)]}


def problem(error: ApiError) -> HttpResponse:
    """Return an error as Django's own response, for what no view of REST framework answers."""
    return JsonResponse(problem_body(error), status=error.status, content_type=PROBLEM_TYPE)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for a path that does not exist."""
    return problem(NotFound("No such path. Paths have no trailing slash; see /api/docs/."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for a request that Django itself refuses (host name, size)."""
    return problem(ApiError("The request cannot be read (host name or size).", code="bad_request"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for a defect: the log has the rest, under the request id."""
    error = ApiError(
        "Something broke on our side. The log names it under the request id.", code="internal"
    )
    error.status = 500
    error.title = "Internal error"
    return problem(error)
