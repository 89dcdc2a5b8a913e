"""Who may act on Tool: whoever can read its token file, or holds an owner's API token.

The file works without any database, so that migrations can run on a fresh or broken installation.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.core import signing
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.request import Request

from querykeep_api.iam.authentication import BearerAuthentication
from querykeep_api.iam.facade import is_owner
from querykeep_api.kernel.errors import ApiError

COOKIE = "querykeep_tool"
_SALT = "querykeep.tool.session"
SESSION_S = 3600


def token_file() -> Path:
    """Return where the token stands (mode 0600)."""
    home: Path = settings.QUERYKEEP.home
    return home / "tool" / "token"


def tool_token() -> str:
    """Return the token, made at random on first use."""
    path = token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token + "\n")
    return token


def is_token(given: str) -> bool:
    """Return whether a text is the token."""
    return hmac.compare_digest(given.strip().encode(), tool_token().encode())


def sign_in(response: HttpResponse, *, is_secure: bool) -> None:
    """Remember in a signed cookie that this browser knew the token."""
    response.set_cookie(
        COOKIE,
        signing.dumps("tool", salt=_SALT),
        max_age=SESSION_S,
        httponly=True,
        samesite="Strict",
        secure=is_secure,
    )


def may_act(request: HttpRequest) -> bool:
    """Return whether the caller may see details and act; a browser's write also needs its CSRF
    token (``has_csrf``)."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if header:
        return _is_bearer_allowed(request, header)
    cookie = request.COOKIES.get(COOKIE, "")
    if not cookie or not settings.SECRET_KEY:
        return False
    try:
        signing.loads(cookie, salt=_SALT, max_age=SESSION_S)
    except signing.BadSignature:
        return False
    return True


def has_csrf(request: HttpRequest) -> bool:
    """Return whether a write is meant: it carries a bearer token, or the page's CSRF token."""
    if request.META.get("HTTP_AUTHORIZATION"):
        return True
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    return check.process_view(request, lambda _: HttpResponse(), (), {}) is None


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        return HttpResponse(reason, status=403)


def _is_bearer_allowed(request: HttpRequest, header: str) -> bool:
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer":
        return False
    if is_token(secret):
        return True
    try:
        found = BearerAuthentication().authenticate(Request(request))
    except (ApiError, DatabaseError):
        # Without the database nobody's API token can be checked; the token file still works.
        return False
    return found is not None and is_owner(found[1])
