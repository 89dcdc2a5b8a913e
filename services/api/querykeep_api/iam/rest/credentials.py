"""``api-tokens``, ``agents``, ``agent-logins`` and one's own web sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.iam import access, agent_tokens, agents, tokens, web_sessions
from querykeep_api.iam.models import Agent, ApiToken, User, WebSession
from querykeep_api.iam.rest.serializers import (
    AgentLoginSerializer,
    AgentSerializer,
    ApiTokenSerializer,
    DeviceCodeSerializer,
    DeviceLoginSerializer,
    MadeApiTokenSerializer,
    RedirectSerializer,
    WebSessionSerializer,
)
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Forbidden, NotFound
from querykeep_api.kernel.permissions import ANYONE_SIGNED_IN, Declared
from querykeep_api.kernel.principal import CredentialKind, principal_of
from querykeep_api.kernel.rest.filters import Condition, by
from querykeep_api.kernel.rest.schema import whole_list
from querykeep_api.kernel.rest.views import ResourceView


@extend_schema_view(create=extend_schema(responses={201: MadeApiTokenSerializer}))
class ApiTokenView(ResourceView):
    """API tokens: everyone's own; an owner sees all."""

    serializer_class = ApiTokenSerializer
    queryset = ApiToken.everything.none()
    permissions: ClassVar[Declared] = {"read": "own.view", "write": "own.tokens"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "user": by("user_id", "user__username"),
        "name": by("name"),
    }
    search_fields = ("name", "prefix", "user__username")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the tokens in reach."""
        return ApiToken.objects.visible_to(self.principal).select_related("user")

    def on_create(self, data: Mapping[str, Any]) -> ApiToken:
        """Make a token for oneself, with no scope beyond one's present permissions."""
        scopes = data.get("scopes", [])
        access.access_confer(self.principal, scopes, "The token")
        access.access_lifetime(self.principal, data.get("expires_at"))
        token, self._secret = tokens.do_create_api_token(
            self.principal.user,
            name=data["name"],
            scopes=scopes,
            expires_at=data.get("expires_at"),
            acting_user=self.principal.user,
        )
        return token

    def once(self, made: Any) -> Mapping[str, Any]:
        """Show the secret."""
        return {"secret": self._secret}

    def on_update(self, record: ApiToken, data: Mapping[str, Any]) -> None:
        """Change name, scopes or expiry of one's own token."""
        if record.user_id != self.principal.user.pk:
            raise Forbidden("Another person's token can be revoked, not changed.")
        if self.principal.kind is CredentialKind.API_TOKEN:
            access.access_confer(self.principal, record.scopes, "The token")
        scopes = data.get("scopes", record.scopes)
        access.access_confer(self.principal, set(scopes) - set(record.scopes), "The token")
        access.access_lifetime(self.principal, data.get("expires_at", record.expires_at))
        tokens.do_change_api_token(
            record,
            name=data.get("name", record.name),
            scopes=scopes,
            expires_at=data.get("expires_at", record.expires_at),
            acting_user=self.principal.user,
        )

    def on_delete(self, record: ApiToken) -> None:
        """Revoke a token."""
        tokens.do_delete_api_token(record, acting_user=self.principal.user)


class AgentView(ResourceView):
    """Signed-in agents: everyone's own; an owner sees all. DELETE revokes."""

    serializer_class = AgentSerializer
    queryset = Agent.everything.none()
    permissions: ClassVar[Declared] = {"read": "own.view", "write": "own.change"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "user": by("user_id", "user__username"),
        "machine": by("machine"),
    }
    search_fields = ("machine", "address", "user__username")
    ordering_fields = ("machine", "created_at")
    http_method_names = ["get", "delete", "head"]  # noqa: RUF012 - Django's own form

    def get_queryset(self) -> QuerySet[Agent]:
        """Return the agents in reach."""
        return Agent.objects.visible_to(self.principal).select_related("user")

    def on_delete(self, record: Agent) -> None:
        """Revoke an agent."""
        agent_tokens.do_revoke_agent(record, acting_user=self.principal.user)


class AgentLoginView(APIView):
    """The page that confirms an agent's sign-in."""

    permissions: ClassVar[Declared] = {"read": ANYONE_SIGNED_IN}

    @extend_schema(responses=AgentLoginSerializer)
    def get(self, request: Request, login_id: str) -> Response:
        """Return what the page names."""
        login = agents.access_login(login_id, _person(request))
        return Response(
            AgentLoginSerializer(
                {
                    "machine": login.machine,
                    "address": login.address,
                    "requested_at": login.requested_at,
                    "mode": login.mode,
                    "state": agents.login_state(login),
                }
            ).data
        )


class AgentLoginConfirmView(APIView):
    """Confirms an agent's sign-in."""

    permissions: ClassVar[Declared] = {"write": ANYONE_SIGNED_IN}

    @extend_schema(request=None, responses=RedirectSerializer)
    def post(self, request: Request, login_id: str) -> Response:
        """Confirm; the answer names the agent's loopback address with the browser half."""
        person = _person(request)
        login = agents.access_login(login_id, person)
        agents.do_confirm_login(login, acting_user=person)
        half = agents.browser_half(login)
        port = login.redirect_port
        redirect = f"http://127.0.0.1:{port}/callback?half={half}" if half else ""
        return Response({"redirect": redirect})


class AgentLoginDenyView(APIView):
    """Turns an agent's sign-in down."""

    permissions: ClassVar[Declared] = {"write": ANYONE_SIGNED_IN}

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, login_id: str) -> Response:
        """Deny."""
        person = _person(request)
        agents.do_deny_login(agents.access_login(login_id, person), acting_user=person)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeviceLoginView(APIView):
    """Finds the login of a short code that a person typed."""

    permissions: ClassVar[Declared] = {"write": ANYONE_SIGNED_IN}

    @extend_schema(request=DeviceCodeSerializer, responses=DeviceLoginSerializer)
    def post(self, request: Request) -> Response:
        """Return the login id; five wrong codes in five minutes block."""
        person = _person(request)
        serializer = DeviceCodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        login = agents.do_find_device_login(
            serializer.validated_data["user_code"], acting_user=person
        )
        return Response({"login_id": login.login_id})


def _person(request: Request) -> User:
    """Return the person in front of the web UI; an API token is none."""
    principal = principal_of(request)
    if principal.kind is not CredentialKind.WEB_SESSION:
        raise Forbidden(
            "An agent's sign-in is answered by a person in the web UI, not with an API token.",
            code="person_needed",
        )
    return principal.user


class WebSessionsView(APIView):
    """My signed-in browsers."""

    permissions: ClassVar[Declared] = {"read": "own.view"}

    @extend_schema(
        responses=whole_list("WebSessionList", WebSessionSerializer),
        operation_id="web_sessions_list",
    )
    def get(self, request: Request) -> Response:
        """List my live web sessions."""
        principal = principal_of(request)
        now = clock.now()
        sessions = [
            session
            for session in WebSession.objects.filter(user=principal.user, ended_at=None).order_by(
                "-last_seen_at"
            )
            if web_sessions.is_live(session, now)
        ]
        rows = [
            {
                "id": session.pk,
                "created_at": session.created_at,
                "last_seen_at": session.last_seen_at,
                "expires_at": web_sessions.ends_at(session),
                "address": session.address,
                "program": session.program,
                "is_current": session.pk == principal.credential_id,
            }
            for session in sessions
        ]
        results = WebSessionSerializer(rows, many=True).data
        return Response({"results": results, "next": None, "previous": None})


class WebSessionView(APIView):
    """One of my signed-in browsers."""

    permissions: ClassVar[Declared] = {"write": "own.change"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        """End one of my web sessions."""
        with transaction.atomic():
            ended = web_sessions.end_sessions(principal_of(request).user, only_id=session_id)
        if not ended:
            raise NotFound("There is no such session, or it ended already.")
        return Response(status=status.HTTP_204_NO_CONTENT)
