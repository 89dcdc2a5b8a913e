"""How a public request is authenticated: an API token, or the web session with CSRF."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from querykeep_api.iam import web_sessions
from querykeep_api.iam.models import ApiToken, User
from querykeep_api.iam.permissions_of import known, permissions_of
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Forbidden, NotSignedIn
from querykeep_api.kernel.permissions import SAFE_METHODS
from querykeep_api.kernel.principal import CredentialKind, Principal
from querykeep_api.kernel.secrets import token_hash

# "Last used" is for people: a minute's grain saves a write on each request.
_LAST_USED_GRAIN = timedelta(minutes=1)


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer <api token>``."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return the token's person, or None without the header; raises for a bad token."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise NotSignedIn("Send 'Authorization: Bearer <api token>'.", code="bad_token")
        token = (
            ApiToken.everything.select_related("user")
            .filter(secret_hash=token_hash(secret.strip()))
            .first()
        )
        now = clock.now()
        if token is None or not token.user.is_active:
            raise NotSignedIn("The API token is not known, or was revoked.", code="bad_token")
        if token.expires_at is not None and token.expires_at <= now:
            raise NotSignedIn("The API token has expired: make a new one.", code="token_expired")
        if token.last_used_at is None or now - token.last_used_at > _LAST_USED_GRAIN:
            ApiToken.everything.filter(pk=token.pk).update(last_used_at=now)
        permissions = permissions_of(token.user) & known(token.scopes)
        return token.user, Principal(token.user, permissions, CredentialKind.API_TOKEN, token.pk)

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme: missing credentials are 401."""
        return 'Bearer realm="querykeep"'


class WebSessionAuthentication(BaseAuthentication):
    """The cookie of a signed-in browser; writes need the CSRF token too."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return the session's person, or None without a live session."""
        key = request.COOKIES.get(settings.WEB_SESSION_COOKIE, "")
        session = web_sessions.resolve(key) if key else None
        if session is None:
            return None
        if request.method not in SAFE_METHODS:
            check_csrf(request)
        principal = Principal(
            session.user, permissions_of(session.user), CredentialKind.WEB_SESSION, session.pk
        )
        return session.user, principal

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme: missing credentials are 401."""
        return 'Bearer realm="querykeep"'


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def check_csrf(request: Request) -> None:
    """Raise Forbidden unless the request carries the CSRF token that its cookie names."""

    def no_response(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    check = _CsrfCheck(no_response)
    plain = request._request
    plain.csrf_processing_done = False  # type: ignore[attr-defined]  # DRF views are csrf_exempt
    check.process_request(plain)
    reason = check.process_view(plain, no_response, (), {})
    if reason:
        raise Forbidden(
            f"CSRF check failed: {reason} "
            "Fetch /api/v1/auth/csrf and send its token as X-CSRFToken.",
            code="csrf_failed",
        )
