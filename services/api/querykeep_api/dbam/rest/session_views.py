"""``proxy-tokens``, ``sessions``, ``explain`` and ``overview``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.dbam.actions.tokens import (
    do_change_proxy_token,
    do_create_proxy_token,
    do_delete_proxy_token,
)
from querykeep_api.dbam.explaining import explain
from querykeep_api.dbam.live import (
    do_cancel_statement,
    do_close_silent_sessions,
    do_end_session,
)
from querykeep_api.dbam.models import (
    AccessRule,
    Connection,
    Grant,
    LiveSession,
    MaskingRule,
    ProxyToken,
    StatementRule,
)
from querykeep_api.dbam.models.grants import UNUSED
from querykeep_api.dbam.rest.shapes import connection_reference
from querykeep_api.iam.facade import Group, User, access_lifetime
from querykeep_api.iam.rest.facade import user_reference
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict, Forbidden
from querykeep_api.kernel.permissions import ANYONE_SIGNED_IN, Declared
from querykeep_api.kernel.principal import principal_of
from querykeep_api.kernel.rest.fields import EtagField
from querykeep_api.kernel.rest.filters import Condition, by
from querykeep_api.kernel.rest.views import ResourceView
from querykeep_guard.contracts.codec import to_json
from querykeep_guard.policy.decision import Decision

_STRICTEST = ("denied", "needs_approval", "needs_reason", "masked", "allowed")


class ProxyTokenSerializer(serializers.ModelSerializer[ProxyToken]):
    """A proxy token; its password stands in the answer to POST only."""

    etag = EtagField()
    user = user_reference(read_only=True)
    connection = connection_reference()
    name = serializers.CharField(max_length=150)

    class Meta:
        model = ProxyToken
        fields: tuple[str, ...] = (
            "id", "name", "connection", "expires_at", "user", "username", "created_at",
            "last_used_at", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "username", "created_at", "last_used_at")


class MadeProxyTokenSerializer(ProxyTokenSerializer):
    """A new proxy token with its password."""

    password = serializers.CharField(read_only=True, help_text="Shown in this answer only.")

    class Meta(ProxyTokenSerializer.Meta):
        fields = (*ProxyTokenSerializer.Meta.fields, "password")


@extend_schema_view(create=extend_schema(responses={201: MadeProxyTokenSerializer}))
class ProxyTokenView(ResourceView):
    """One's own user names and passwords for the connections' own ports."""

    serializer_class = ProxyTokenSerializer
    queryset = ProxyToken.everything.none()
    permissions: ClassVar[Declared] = {"read": "own.view", "write": "own.tokens"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "connection": by("connection_id", "connection__name"),
        "name": by("name"),
        "username": by("username"),
    }
    search_fields = ("name", "username", "connection__name")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[ProxyToken]:
        """Return one's own tokens."""
        return ProxyToken.objects.visible_to(self.principal).select_related("user", "connection")

    def on_create(self, data: Mapping[str, Any]) -> ProxyToken:
        """Make a token on a connection that one holds a grant on."""
        me, connection = self.principal.user, data["connection"]
        if not Grant.holding(me.pk).filter(connection=connection).exists():
            raise Forbidden(
                f"You hold no grant on {connection.name}: ask for access first.", code="no_grant"
            )
        access_lifetime(self.principal, data.get("expires_at"))
        token, self._password = do_create_proxy_token(
            me,
            connection,
            name=data["name"],
            expires_at=data.get("expires_at"),
            acting_user=me,
        )
        return token

    def once(self, made: Any) -> Mapping[str, Any]:
        """Show the password."""
        return {"password": self._password}

    def on_update(self, record: ProxyToken, data: Mapping[str, Any]) -> None:
        """Change name or expiry."""
        if "connection" in data and data["connection"].pk != record.connection_id:
            raise Conflict("A token keeps its connection: make another one.", code="fixed_field")
        if data.get("expires_at", record.expires_at) != record.expires_at:
            access_lifetime(self.principal, data["expires_at"])
        do_change_proxy_token(record, data, acting_user=self.principal.user)

    def on_delete(self, record: ProxyToken) -> None:
        """Revoke a token."""
        do_delete_proxy_token(record, acting_user=self.principal.user)


class SessionSerializer(serializers.ModelSerializer[LiveSession]):
    """A live session."""

    user = user_reference(read_only=True)
    connection = connection_reference(read_only=True)
    client = serializers.SerializerMethodField()
    statement = serializers.SerializerMethodField()

    class Meta:
        model = LiveSession
        fields = (
            "id", "user", "connection", "route", "client", "opened_at", "state", "statement",
            "statement_since", "rows", "bytes", "ep",
        )  # fmt: skip
        read_only_fields = fields

    def get_client(self, session: LiveSession) -> dict[str, str]:
        """Return the client's address and program."""
        return {"address": session.client_address, "program": session.client_program}

    def get_statement(self, session: LiveSession) -> str | None:
        """Return what runs now, or null."""
        return session.statement or None


class EndSerializer(serializers.Serializer[Any]):
    """Why a session is ended."""

    reason = serializers.CharField(max_length=500, allow_blank=True, required=False, default="")


class SessionView(ResourceView):
    """Live sessions of all routes: everyone's own, all for those who may see sessions."""

    serializer_class = SessionSerializer
    queryset = LiveSession.everything.none()
    permissions: ClassVar[Declared] = {
        "read": ("own.view", "sessions.view"),
        "create": ANYONE_SIGNED_IN,
        "end": ("own.change", "sessions.end"),
        "cancel": ("own.change", "sessions.end"),
    }
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "user": by("user_id", "user__username"),
        "connection": by("connection_id", "connection__name"),
        "route": by("route"),
        "state": by("state"),
        "ep": by("ep"),
    }
    search_fields = (
        "user__username", "connection__name", "client_program", "client_address", "statement",
    )  # fmt: skip
    ordering_fields = ("opened_at",)
    http_method_names = ["get", "post", "head"]  # noqa: RUF012 - Django's own form

    def get_queryset(self) -> QuerySet[LiveSession]:
        """Return the live sessions in reach, those of silent enforcement points closed first."""
        do_close_silent_sessions()
        return LiveSession.objects.visible_to(self.principal).select_related("user", "connection")

    @extend_schema(exclude=True)
    def create(self, request: Request) -> Response:
        """Sessions are opened by enforcement points only."""
        raise Forbidden("Sessions are opened by connecting, not through the API.")

    @extend_schema(request=EndSerializer, responses={202: SessionSerializer})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End a session: one's own, or any with ``sessions.end``."""
        serializer = EndSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        reason = serializer.validated_data["reason"]

        def end(session: LiveSession) -> LiveSession:
            self._access_end(session)
            do_end_session(session, reason=reason, acting_user=self.principal.user)
            return session

        return self.entry(self.act(request, pk, end), 202)

    @extend_schema(request=None, responses={202: SessionSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel what a session runs: one's own, or any with ``sessions.end``."""

        def cancel(session: LiveSession) -> LiveSession:
            self._access_end(session)
            do_cancel_statement(session, acting_user=self.principal.user)
            return session

        return self.entry(self.act(request, pk, cancel), 202)

    def _access_end(self, session: LiveSession) -> None:
        is_own = session.user_id == self.principal.user.pk
        if not self.principal.may("sessions.end") and not (
            is_own and self.principal.may("own.change")
        ):
            raise Forbidden(
                "Ending another person's session needs the permission sessions.end.",
                code="permission_needed",
            )


class ExplainSerializer(serializers.Serializer[Any]):
    """A question to the policy."""

    user = user_reference()
    connection = connection_reference()
    statement = serializers.CharField(max_length=1_000_000, trim_whitespace=False)


class ExplainView(APIView):
    """What the policy would say of a statement; nothing runs."""

    permissions: ClassVar[Mapping[str, str]] = {"write": "explain.use"}

    @extend_schema(request=ExplainSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Return verdict, rules, masks and trace; for several statements the strictest, with
        each one's own under ``statements``."""
        serializer = ExplainSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        explained = explain(data["user"], data["connection"], data["statement"])
        entries = [_decision(decision) for decision in explained.decisions]
        if not entries:
            return Response(_nothing())
        strictest = min(entries, key=lambda entry: _STRICTEST.index(entry["verdict"]))
        return Response({**strictest, "statements": entries})


def _decision(decision: Decision) -> dict[str, Any]:
    facts = decision.facts
    return {
        "verdict": decision.verdict.value,
        "message": decision.message,
        "next_step": decision.next_step,
        "reason": to_json(decision.reason) if decision.reason is not None else None,
        "kind": facts.kind.value,
        "objects": list(facts.objects),
        "rules": to_json(decision.rules),
        "masks": [
            {
                "ordinal": mask.ordinal,
                "name": decision.plan.names[mask.ordinal]
                if mask.ordinal < len(decision.plan.names)
                else "",
                "masker": to_json(mask.masker),
                "rules": list(mask.rule_names),
                "sources": [str(source) for source in mask.sources],
            }
            for mask in decision.plan.masks
        ],
        "trace": to_json(decision.trace),
    }


def _nothing() -> dict[str, Any]:
    return {
        "verdict": "allowed",
        "message": "The text holds no statement.",
        "next_step": "",
        "reason": None,
        "kind": "empty",
        "objects": [],
        "rules": [],
        "masks": [],
        "trace": [],
        "statements": [],
    }


class OverviewView(APIView):
    """Counts for the first screen, each with the list behind it."""

    permissions: ClassVar[Declared] = {"read": "own.view"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Return the counts that this person may see."""
        principal = principal_of(request)
        now = clock.now()
        counts: list[tuple[str, QuerySet[Any], str]] = [
            ("connections", Connection.objects.visible_to(principal), "connections"),
            ("sessions", LiveSession.objects.visible_to(principal), "sessions"),
        ]
        if principal.may("connections.view"):
            failing = Connection.everything.filter(health_state="failed", is_enabled=True)
            counts.append(("failing_connections", failing, "connections?health=failed"))
        if principal.may("users.view"):
            active = User.everything.filter(is_active=True)
            counts += [
                ("users", active, "users?is_active=true"),
                ("groups", Group.everything.all(), "groups"),
            ]
        if principal.may("policy.view"):
            holding = Grant.everything.filter(
                Q(valid_until=None) | Q(valid_until__gt=now), is_asleep=False
            )
            counts += [
                ("grants", holding, "grants?state=active"),
                (
                    "dormant_grants",
                    Grant.everything.filter(UNUSED),
                    "grants?state=dormant",
                ),
                ("access_rules", AccessRule.objects.all(), "access-rules"),
                ("masking_rules", MaskingRule.objects.all(), "masking-rules"),
                ("statement_rules", StatementRule.objects.all(), "statement-rules"),
            ]
        return Response(
            {
                name: {"count": queryset.count(), "list": f"/api/v1/{path}"}
                for name, queryset, path in counts
            }
        )
