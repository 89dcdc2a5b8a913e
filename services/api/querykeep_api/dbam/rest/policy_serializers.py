"""Shapes of privileges, grants and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from querykeep_api.dbam.models import (
    EVERYTHING,
    AccessRule,
    Grant,
    MaskingRule,
    Privilege,
    Rule,
    StatementRule,
)
from querykeep_api.dbam.patterns import checked_masker
from querykeep_api.dbam.rest.shapes import (
    MAX_PATTERNS,
    AppliesToSerializer,
    ColumnPatternSerializer,
    ExemptSerializer,
    HoursSerializer,
    TablePatternSerializer,
    connection_reference,
)
from querykeep_api.iam.rest.facade import group_reference, user_reference
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import InvalidInput
from querykeep_api.kernel.rest.fields import EtagField, ReferenceField
from querykeep_guard.contracts.policy import RuleEffect, StatementCheck, StatementKind
from querykeep_guard.policy.pattern_check import pattern_problem

KINDS = sorted(kind.value for kind in StatementKind if kind is not StatementKind.UNKNOWN)
FUNCTIONS = ("copy", "export", "import")
RELAXATIONS = (
    "where", "join", "group", "order", "distinct", "aggregate", "function", "write",
)  # fmt: skip
MAX_PATTERN_CHARS = 1000
# Any: the stubs do not know that a many=True serializer takes max_length.
_PATTERNS: Any = {"many": True, "source": "objects_json", "max_length": MAX_PATTERNS}


class PrivilegeSerializer(serializers.ModelSerializer[Privilege]):
    """A privilege."""

    etag = EtagField()
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(allow_blank=True, required=False, max_length=2000)
    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS), min_length=1)
    functions = serializers.ListField(child=serializers.ChoiceField(FUNCTIONS), required=False)

    class Meta:
        model = Privilege
        fields = (
            "id", "name", "description", "kinds", "functions", "is_builtin", "created_at", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "is_builtin", "created_at")

    def validate_kinds(self, value: list[str]) -> list[str]:
        """Sort, each once."""
        return sorted(set(value))

    def validate_functions(self, value: list[str]) -> list[str]:
        """Sort, each once."""
        return sorted(set(value))


class GrantSerializer(serializers.ModelSerializer[Grant]):
    """A grant to one person or one group."""

    etag = EtagField()
    user = user_reference(required=False, allow_null=True)
    group = group_reference(required=False, allow_null=True)
    connection = connection_reference()
    privilege = ReferenceField(model=Privilege)
    objects = TablePatternSerializer(required=False, **_PATTERNS)
    hours = HoursSerializer(required=False, allow_null=True)
    state = serializers.SerializerMethodField()
    created_by = user_reference(read_only=True, allow_null=True)

    class Meta:
        model = Grant
        fields = (
            "id", "user", "group", "connection", "privilege", "objects", "valid_from",
            "valid_until", "hours", "state", "is_asleep", "last_used_at", "created_at",
            "created_by", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "is_asleep", "last_used_at", "created_at")

    def validate_objects(self, value: list[dict[str, str]]) -> list[dict[str, str]]:
        """Say everything in words: an empty list could be read as nothing."""
        return value or [dict(EVERYTHING)]

    def get_state(self, grant: Grant) -> str:
        """Return active, scheduled, expired or dormant."""
        return grant.state(clock.now())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one holder, and for dates in order."""
        if self.instance is None:
            holders = [name for name in ("user", "group") if attrs.get(name) is not None]
            if len(holders) != 1:
                raise serializers.ValidationError({"user": "Name exactly one of user and group."})
        begins = attrs.get("valid_from", getattr(self.instance, "valid_from", None))
        ends = attrs.get("valid_until", getattr(self.instance, "valid_until", None))
        if begins is not None and ends is not None and ends <= begins:
            raise serializers.ValidationError({"valid_until": "It must be after valid_from."})
        return attrs


class RuleSerializer(serializers.ModelSerializer[Any]):
    """What the three kinds of rules share."""

    etag = EtagField()
    name = serializers.CharField(max_length=200)
    connections = connection_reference(many=True, required=False)
    applies_to = AppliesToSerializer(required=False)
    exempt = ExemptSerializer(required=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the names of the model's fields."""
        values = dict(super().to_internal_value(data))
        applies = values.pop("applies_to", None)
        if applies is not None:
            values.update(
                everyone=applies["everyone"], users=applies["users"], groups=applies["groups"]
            )
        exempt = values.pop("exempt", None)
        if exempt is not None:
            values.update(exempt_users=exempt["users"], exempt_groups=exempt["groups"])
        return values

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A new rule must say whom it is for: nobody at all is surely a slip."""
        if self.instance is None and not (
            attrs.get("everyone") or attrs.get("users") or attrs.get("groups")
        ):
            raise serializers.ValidationError(
                {"applies_to": "Say whom the rule is for: everyone, users or groups."}
            )
        return attrs

    def to_representation(self, instance: Rule) -> dict[str, Any]:
        """Show who the rule is for and who is exempt."""
        data = super().to_representation(instance)
        data["applies_to"] = {
            "everyone": instance.everyone,
            "users": _references(instance.users.all(), "username"),
            "groups": _references(instance.groups.all(), "name"),
        }
        data["exempt"] = {
            "users": _references(instance.exempt_users.all(), "username"),
            "groups": _references(instance.exempt_groups.all(), "name"),
        }
        return data

    def get_fields(self) -> dict[str, Any]:
        """Leave the nested shapes to ``to_representation``: they span several columns."""
        fields: dict[str, Any] = super().get_fields()
        return fields

    @property
    def _readable_fields(self) -> Any:
        for field in super()._readable_fields:
            if field.field_name not in ("applies_to", "exempt"):
                yield field


_RULE_HEAD = ("id", "code", "name", "connections", "objects", "applies_to", "exempt", "is_enabled")
_RULE_TAIL = ("created_at", "etag")
_READ_ONLY = ("id", "code", "created_at")


class AccessRuleSerializer(RuleSerializer):
    """Refuses tables (``column`` is ``*``) or columns; not both in one rule."""

    objects = ColumnPatternSerializer(**_PATTERNS)

    class Meta:
        model = AccessRule
        fields = (*_RULE_HEAD, *_RULE_TAIL)
        read_only_fields = _READ_ONLY

    def validate_objects(self, value: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """Ask for one kind of objects."""
        if not value:
            raise serializers.ValidationError("Name at least one table or column.")
        if len({item["column"] == "*" for item in value}) > 1:
            raise serializers.ValidationError(
                "Tables and columns do not go together in one rule: make two rules."
            )
        return value


class MaskingRuleSerializer(RuleSerializer):
    """Masks columns."""

    objects = ColumnPatternSerializer(**_PATTERNS)
    masker = serializers.DictField()
    relaxations = serializers.ListField(child=serializers.ChoiceField(RELAXATIONS), required=False)

    class Meta:
        model = MaskingRule
        fields = (*_RULE_HEAD, "masker", "relaxations", *_RULE_TAIL)
        read_only_fields = _READ_ONLY

    def validate_objects(self, value: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """Ask for at least one column."""
        if not value:
            raise serializers.ValidationError("Name at least one column.")
        return value

    def validate_masker(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Check the masker with the guard's own registry."""
        return masker_or_error(value)


class StatementRuleSerializer(RuleSerializer):
    """Refuses or allows statements by shape."""

    objects = TablePatternSerializer(required=False, **_PATTERNS)
    check = serializers.ChoiceField([check.value for check in StatementCheck], source="check_kind")
    effect = serializers.ChoiceField([effect.value for effect in RuleEffect], required=False)
    values = serializers.ListField(
        child=serializers.CharField(max_length=MAX_PATTERN_CHARS, trim_whitespace=False),
        required=False,
        max_length=MAX_PATTERNS,
    )
    priority = serializers.IntegerField(min_value=0, max_value=100_000, required=False)

    class Meta:
        model = StatementRule
        fields = (*_RULE_HEAD, "check", "effect", "values", "priority", *_RULE_TAIL)
        read_only_fields = _READ_ONLY

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check the values as the check reads them."""
        attrs = super().validate(attrs)
        check = attrs.get("check_kind", getattr(self.instance, "check_kind", ""))
        values = attrs.get("values", getattr(self.instance, "values", []))
        problem = _values_problem(check, values)
        if problem:
            raise serializers.ValidationError({"values": problem})
        return attrs


class MaskerParamSerializer(serializers.Serializer[Any]):
    """A parameter of a masker."""

    name = serializers.CharField()
    kind = serializers.CharField()
    default = serializers.CharField(allow_blank=True)
    minimum = serializers.IntegerField()
    maximum = serializers.IntegerField()


class MaskerSerializer(serializers.Serializer[Any]):
    """A masker that rules may use."""

    kind = serializers.CharField()
    label_en = serializers.CharField()
    label_ko = serializers.CharField()
    params = MaskerParamSerializer(many=True)
    fits = serializers.ListField(
        child=serializers.CharField(),
        help_text="Kinds of column that it masks; any other is hidden whole.",
    )
    example = serializers.DictField(child=serializers.CharField())


class PreviewSerializer(serializers.Serializer[Any]):
    """Values to mask, to see what a masker does."""

    masker = serializers.DictField()
    values = serializers.ListField(
        child=serializers.CharField(max_length=4000, allow_blank=True, trim_whitespace=False),
        max_length=100,
    )


class PreviewAnswerSerializer(serializers.Serializer[Any]):
    """The masked values; null is NULL."""

    values = serializers.ListField(child=serializers.CharField(allow_null=True))


def masker_or_error(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked masker; raises DRF's ValidationError."""
    try:
        return checked_masker(value)
    except InvalidInput as error:
        raise serializers.ValidationError(error.detail) from error


def _references(rows: Any, label: str) -> list[dict[str, str]]:
    return [{"id": row.pk, "name": getattr(row, label)} for row in rows]


def _values_problem(check: str, values: list[str]) -> str:
    match check:
        case StatementCheck.WRITE_WITHOUT_WHERE.value:
            return "This check takes no values." if values else ""
        case StatementCheck.KIND.value:
            unknown = sorted(set(values) - set(KINDS))
            if unknown or not values:
                return f"Expected kinds of statements; unknown: {', '.join(unknown) or '(none)'}."
        case StatementCheck.PATTERN.value:
            for value in values:
                problem = pattern_problem(value)
                if problem:
                    return f"{value!r} {problem}."
            return "" if values else "Name at least one pattern."
        case StatementCheck.DIGEST.value:
            return "" if values else "Name at least one digest."
    return ""
