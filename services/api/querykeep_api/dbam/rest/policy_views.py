"""``privileges``, ``grants`` and the three kinds of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from querykeep_api.dbam.access import access_exempt, access_grant, access_loosen, access_privilege
from querykeep_api.dbam.actions import grants as grant_actions
from querykeep_api.dbam.actions.rules import do_change_rule, do_create_rule, do_delete_rule
from querykeep_api.dbam.models import (
    AccessRule,
    Grant,
    MaskingRule,
    Privilege,
    Rule,
    StatementRule,
)
from querykeep_api.dbam.models.grants import UNUSED
from querykeep_api.dbam.patterns import masker_spec
from querykeep_api.dbam.rest.policy_serializers import (
    AccessRuleSerializer,
    GrantSerializer,
    MaskerSerializer,
    MaskingRuleSerializer,
    PreviewAnswerSerializer,
    PreviewSerializer,
    PrivilegeSerializer,
    StatementRuleSerializer,
    masker_or_error,
)
from querykeep_api.kernel import clock
from querykeep_api.kernel.rest.filters import Condition, by, flag
from querykeep_api.kernel.rest.schema import whole_list
from querykeep_api.kernel.rest.views import ResourceView
from querykeep_api.kernel.secrets import purpose_key
from querykeep_guard.masking import MASKERS, build

POLICY: Mapping[str, str] = {"read": "policy.view", "write": "policy.change"}


class PrivilegeView(ResourceView):
    """Named sets of statement kinds and editor functions."""

    serializer_class = PrivilegeSerializer
    queryset = Privilege.objects.none()
    permissions: ClassVar[Mapping[str, str]] = POLICY
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "name": by("name"),
        "is_builtin": flag("is_builtin"),
    }
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[Privilege]:
        """Return all."""
        return Privilege.objects.all()

    def on_create(self, data: Mapping[str, Any]) -> Privilege:
        """Add a privilege."""
        return grant_actions.do_create_privilege(data, acting_user=self.principal.user)

    def on_update(self, record: Privilege, data: Mapping[str, Any]) -> None:
        """Change a privilege."""
        access_privilege(self.principal, record, data)
        grant_actions.do_change_privilege(record, data, acting_user=self.principal.user)

    def on_delete(self, record: Privilege) -> None:
        """Delete a privilege."""
        grant_actions.do_delete_privilege(record, acting_user=self.principal.user)


def _state(value: str) -> Q:
    now = clock.now()
    over = Q(valid_until__isnull=False, valid_until__lte=now)
    later = Q(valid_from__isnull=False, valid_from__gt=now)
    match value:
        case "expired":
            return over
        case "dormant":
            return ~over & UNUSED
        case "scheduled":
            return ~over & ~UNUSED & later
        case "active":
            return ~over & ~UNUSED & ~later
    raise ValueError("active, expired, scheduled or dormant")


class GrantView(ResourceView):
    """Who may do what on which connection."""

    serializer_class = GrantSerializer
    queryset = Grant.everything.none()
    permissions: ClassVar[Mapping[str, str]] = POLICY
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "user": by("user_id", "user__username"),
        "group": by("group_id", "group__name"),
        "connection": by("connection_id", "connection__name"),
        "privilege": by("privilege_id", "privilege__name"),
        "state": _state,
    }
    search_fields = (
        "user__username", "user__display_name", "group__name", "connection__name",
        "privilege__name",
    )  # fmt: skip
    ordering_fields = ("created_at", "connection", "privilege")
    ordering_names: ClassVar[Mapping[str, str]] = {
        "connection": "connection__name_key",
        "privilege": "privilege__name",
    }

    def get_queryset(self) -> QuerySet[Grant]:
        """Return the grants in reach."""
        return Grant.objects.visible_to(self.principal).select_related(
            "user", "group", "connection", "privilege", "created_by"
        )

    def on_create(self, data: Mapping[str, Any]) -> Grant:
        """Give a grant."""
        access_grant(self.principal, data.get("user"), data.get("group"))
        return grant_actions.do_create_grant(
            user=data.get("user"),
            group=data.get("group"),
            connection=data["connection"],
            privilege=data["privilege"],
            data=data,
            acting_user=self.principal.user,
        )

    def on_update(self, record: Grant, data: Mapping[str, Any]) -> None:
        """Change a grant."""
        access_grant(self.principal, record.user, record.group)
        grant_actions.do_change_grant(record, data, acting_user=self.principal.user)

    def on_delete(self, record: Grant) -> None:
        """Revoke a grant."""
        grant_actions.do_delete_grant(record, acting_user=self.principal.user)


def _code(letter: str) -> Condition:
    def condition(value: str) -> Q:
        prefix, dash, number = value.upper().partition("-")
        if prefix != letter or not dash or not number.isascii() or not number.isdigit():
            raise ValueError(f"a code such as {letter}-3")
        return Q(number=int(number[:9]))

    return condition


class RuleView(ResourceView):
    """What the three kinds of rules share."""

    model: ClassVar[type[Rule]]
    permissions: ClassVar[Mapping[str, str]] = POLICY
    search_fields = ("name", "connections__name")
    ordering_fields = ("name", "code", "created_at")
    ordering_names: ClassVar[Mapping[str, str]] = {"code": "number"}

    def get_queryset(self) -> QuerySet[Any]:
        """Return all, with their links in one query each."""
        return self.model._base_manager.prefetch_related(
            "connections", "users", "groups", "exempt_users", "exempt_groups"
        ).distinct()

    def on_create(self, data: Mapping[str, Any]) -> Rule:
        """Add a rule."""
        access_exempt(self.principal, None, data)
        access_loosen(self.principal, None, data)
        return do_create_rule(self.model, data, acting_user=self.principal.user)

    def on_update(self, record: Rule, data: Mapping[str, Any]) -> None:
        """Change a rule."""
        access_exempt(self.principal, record, data)
        access_loosen(self.principal, record, data)
        do_change_rule(record, data, acting_user=self.principal.user)

    def on_delete(self, record: Rule) -> None:
        """Delete a rule."""
        access_loosen(self.principal, record, None)
        do_delete_rule(record, acting_user=self.principal.user)


def _rule_filters(letter: str) -> Mapping[str, Condition]:
    return {
        "name": by("name"),
        "code": _code(letter),
        "connection": by("connections__id", "connections__name"),
        "user": by("users__id", "users__username"),
        "group": by("groups__id", "groups__name"),
        "is_enabled": flag("is_enabled"),
    }


class AccessRuleView(RuleView):
    """Refused tables and columns."""

    model = AccessRule
    queryset = AccessRule.objects.none()
    serializer_class = AccessRuleSerializer
    filter_conditions: ClassVar[Mapping[str, Condition]] = _rule_filters("A")


class StatementRuleView(RuleView):
    """Statements refused or allowed by shape."""

    model = StatementRule
    queryset = StatementRule.objects.none()
    serializer_class = StatementRuleSerializer
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        **_rule_filters("S"),
        "check": by("check_kind"),
        "effect": by("effect"),
    }


class MaskingRuleView(RuleView):
    """Masked columns."""

    model = MaskingRule
    queryset = MaskingRule.objects.none()
    serializer_class = MaskingRuleSerializer
    permissions: ClassVar[Mapping[str, str]] = {**POLICY, "preview": "policy.view"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        **_rule_filters("M"),
        "masker": by("masker__kind"),
    }

    @extend_schema(
        responses=whole_list("MaskerList", MaskerSerializer),
        operation_id="masking_rules_maskers_list",
        filters=False,
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def maskers(self, request: Request) -> Response:
        """List the maskers with their parameters and an example."""
        entries = [
            {
                "kind": masker.kind,
                "label_en": masker.label_en,
                "label_ko": masker.label_ko,
                "params": [
                    {
                        "name": param.name,
                        "kind": param.kind,
                        "default": param.default,
                        "minimum": param.minimum,
                        "maximum": param.maximum,
                    }
                    for param in masker.params
                ],
                "fits": sorted(kind.value for kind in masker.fits),
                "example": {"value": masker.example[0], "masked": masker.example[1]},
            }
            for masker in MASKERS.values()
        ]
        return Response({"results": entries, "next": None, "previous": None})

    @extend_schema(request=PreviewSerializer, responses=PreviewAnswerSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Mask given values, to see what a masker does."""
        serializer = PreviewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        masker = masker_or_error(serializer.validated_data["masker"])
        mask = build(masker_spec(masker), key=purpose_key("masking"))
        return Response({"values": [mask(value) for value in serializer.validated_data["values"]]})
