"""``auth/…`` and ``me``: signing in and out, the password, who I am."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.middleware.csrf import get_token, rotate_token
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.iam import actions, sign_in, web_sessions
from querykeep_api.iam.authentication import check_csrf
from querykeep_api.iam.facade import groups_of
from querykeep_api.iam.models import User, WebSession
from querykeep_api.iam.permissions_of import permissions_of
from querykeep_api.iam.rest.serializers import (
    CsrfSerializer,
    MeSerializer,
    OwnerLinkSerializer,
    PasswordSerializer,
    SignInSerializer,
)
from querykeep_api.kernel.context import current_request
from querykeep_api.kernel.errors import Forbidden, InvalidInput
from querykeep_api.kernel.permissions import ANYONE_SIGNED_IN, PERMISSIONS, Declared, OpenToAll
from querykeep_api.kernel.principal import CredentialKind, Principal, principal_of
from querykeep_api.kernel.rest.parsing import STRANGER_LIMIT_BYTES


def me(user: User, permissions: frozenset[str], session: WebSession | None) -> dict[str, Any]:
    """Return the body of ``me``."""
    expires_at = web_sessions.ends_at(session) if session is not None else None
    return dict(
        MeSerializer(
            {
                "id": user.pk,
                "username": user.username,
                "display_name": user.display_name,
                "email": user.email,
                "language": user.language,
                "theme": user.theme,
                "permissions": sorted(permissions & PERMISSIONS.keys()),
                "scopes": sorted(permissions),
                "groups": [{"id": group.id, "name": group.name} for group in groups_of(user)],
                "must_change_password": user.must_change_password,
                "session_expires_at": expires_at,
            }
        ).data
    )


def set_session_cookie(response: Response, key: str) -> None:
    """Give the browser its session key: HttpOnly, SameSite=Lax, Secure over HTTPS."""
    response.set_cookie(
        settings.WEB_SESSION_COOKIE,
        key,
        max_age=settings.QUERYKEEP.session_absolute_s,
        httponly=True,
        samesite="Lax",
        secure=settings.QUERYKEEP.https,
        path="/",
    )


def _signed_in(request: Request, session: WebSession, key: str) -> Response:
    rotate_token(request._request)
    response = Response(me(session.user, permissions_of(session.user), session))
    set_session_cookie(response, key)
    _send_csrf_cookie(request, response)
    return response


def _send_csrf_cookie(request: Request, response: Response) -> None:
    """Set the CSRF cookie as Django's middleware would; it does not run here."""
    response.set_cookie(
        settings.CSRF_COOKIE_NAME,
        request._request.META["CSRF_COOKIE"],
        max_age=settings.CSRF_COOKIE_AGE,
        path="/",
        secure=settings.CSRF_COOKIE_SECURE,
        httponly=settings.CSRF_COOKIE_HTTPONLY,
        samesite="Lax",
    )


def _program(request: Request) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))


class CsrfView(APIView):
    """The CSRF token of this browser."""

    authentication_classes = ()
    permission_classes = (OpenToAll,)

    @extend_schema(responses=CsrfSerializer)
    def get(self, request: Request) -> Response:
        """Return the token to send as ``X-CSRFToken``, and its cookie."""
        plain = request._request
        secret = plain.COOKIES.get(settings.CSRF_COOKIE_NAME)
        if secret and len(secret) in (32, 64) and secret.isalnum():
            plain.META["CSRF_COOKIE"] = secret
        response = Response({"token": get_token(plain)})
        _send_csrf_cookie(request, response)
        return response


class SignInView(APIView):
    """Sign in with a password."""

    authentication_classes = ()
    permission_classes = (OpenToAll,)
    body_limit_bytes = STRANGER_LIMIT_BYTES

    @extend_schema(request=SignInSerializer, responses=MeSerializer)
    def post(self, request: Request) -> Response:
        """Sign in: sets the session cookie and returns ``me``. Needs the CSRF token, so that
        nobody is signed in to a foreign account unawares."""
        check_csrf(request)
        serializer = SignInSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        session, key = sign_in.do_sign_in(
            serializer.validated_data["username"],
            serializer.validated_data["password"],
            address=current_request().address,
            program=_program(request),
        )
        return _signed_in(request, session, key)


class OwnerLinkView(APIView):
    """Make the first owner by a one-time link."""

    authentication_classes = ()
    permission_classes = (OpenToAll,)
    body_limit_bytes = STRANGER_LIMIT_BYTES

    @extend_schema(request=OwnerLinkSerializer, responses=MeSerializer)
    def post(self, request: Request) -> Response:
        """Make an owner account, sign it in and return ``me``."""
        check_csrf(request)
        serializer = OwnerLinkSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        session, key = sign_in.do_use_owner_link(
            data["link"],
            username=data["username"],
            display_name=data["display_name"],
            password=data["password"],
            address=current_request().address,
            program=_program(request),
        )
        return _signed_in(request, session, key)


class SignOutView(APIView):
    """Sign out."""

    permissions: ClassVar[Declared] = {"write": ANYONE_SIGNED_IN}
    before_password_change = True

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End this web session and drop its cookie."""
        principal = _web(request)
        sign_in.do_sign_out(principal.credential_id, acting_user=principal.user)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        response.delete_cookie(settings.WEB_SESSION_COOKIE, path="/", samesite="Lax")
        return response


class PasswordView(APIView):
    """Change one's own password."""

    permissions: ClassVar[Declared] = {"write": ANYONE_SIGNED_IN}
    before_password_change = True

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Change it; every other web session of mine ends."""
        principal = _web(request)
        serializer = PasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        sign_in.do_change_password(
            principal.user,
            current=serializer.validated_data["current"],
            new=serializer.validated_data["new"],
            keep_session_id=principal.credential_id,
            acting_user=principal.user,
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """Who I am."""

    permissions: ClassVar[Declared] = {"read": ANYONE_SIGNED_IN, "write": "own.change"}
    before_password_change = True

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Return my account, permissions and groups."""
        return Response(self._me(request))

    @extend_schema(request=MeSerializer, responses=MeSerializer)
    def patch(self, request: Request) -> Response:
        """Change my language, theme or display name."""
        principal = principal_of(request)
        serializer = MeSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        if not isinstance(request.data, dict):
            raise InvalidInput("Expected an object.")
        actions.do_change_user(
            principal.user, serializer.validated_data, acting_user=principal.user
        )
        return Response(self._me(request))

    def _me(self, request: Request) -> dict[str, Any]:
        principal = principal_of(request)
        session = None
        if principal.kind is CredentialKind.WEB_SESSION:
            session = WebSession.objects.get(pk=principal.credential_id)
        return me(principal.user, principal.permissions, session)


def _web(request: Request) -> Principal:
    principal = principal_of(request)
    if principal.kind is not CredentialKind.WEB_SESSION:
        raise Forbidden("This is for people signed in to the web UI, not for API tokens.")
    return principal
