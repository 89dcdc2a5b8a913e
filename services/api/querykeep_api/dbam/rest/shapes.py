"""Small shapes that grants and rules share: objects, hours, who a rule applies to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from querykeep_api.dbam.models import Connection
from querykeep_api.dbam.patterns import check_zone, minute_of_day
from querykeep_api.iam.rest.facade import group_reference, user_reference
from querykeep_api.kernel.principal import principal_of
from querykeep_api.kernel.rest.fields import ReferenceField

MAX_PATTERNS = 500


def visible_connections(request: Any) -> QuerySet[Connection]:
    """Return the connections that the writer may name."""
    return Connection.objects.visible_to(principal_of(request))


def connection_reference(**kwargs: Any) -> ReferenceField:
    """Return a reference to a connection."""
    return ReferenceField(model=Connection, scope=visible_connections, **kwargs)


class _Glob(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=255, required=False, default="*", allow_blank=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data) or "*"


class WholeSerializer(serializers.Serializer[Any]):
    """A shape that is given whole or not at all.

    In a PATCH, REST framework skips defaults and required fields of nested shapes too; what is left
    out of one would then be missing where it is used.
    """

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the values, defaults filled in, whatever the request's method."""
        values = dict(super().to_internal_value(data))
        for name, field in self.fields.items():
            if field.source in values or field.read_only:
                continue
            if field.default is not serializers.empty:
                default = field.default() if callable(field.default) else field.default
                values[field.source] = default
            elif field.required:
                raise serializers.ValidationError({name: [field.error_messages["required"]]})
        return values


class TablePatternSerializer(WholeSerializer):
    """A set of tables, each part a glob."""

    schema = _Glob()
    table = _Glob()


class ColumnPatternSerializer(TablePatternSerializer):
    """A set of columns, or of whole tables where ``column`` is ``*``."""

    column = _Glob()


class HoursSerializer(WholeSerializer):
    """Weekdays (Monday = 0) and a span of local time."""

    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=6), min_length=1, max_length=7
    )
    start = serializers.CharField(max_length=5)
    end = serializers.CharField(max_length=5)
    zone = serializers.CharField(max_length=60)

    def validate_weekdays(self, value: list[int]) -> list[int]:
        """Sort, each once."""
        return sorted(set(value))

    def validate_start(self, value: str) -> str:
        """Check HH:MM."""
        return _minute(value)

    def validate_end(self, value: str) -> str:
        """Check HH:MM."""
        return _minute(value)

    def validate_zone(self, value: str) -> str:
        """Check the IANA name."""
        try:
            check_zone(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return value

    def validate(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse an empty span."""
        if attrs["start"] == attrs["end"]:
            raise serializers.ValidationError("start and end are the same: no minute is allowed.")
        return dict(attrs)


def _minute(value: str) -> str:
    try:
        minute_of_day(value)
    except ValueError as error:
        raise serializers.ValidationError(str(error)) from error
    return value


class AppliesToSerializer(WholeSerializer):
    """Everyone, or people and groups by name."""

    everyone = serializers.BooleanField(default=False)
    users = user_reference(many=True, required=False, default=list)
    groups = group_reference(many=True, required=False, default=list)


class ExemptSerializer(WholeSerializer):
    """People and groups that the rule lets be; an exemption is audited."""

    users = user_reference(many=True, required=False, default=list)
    groups = group_reference(many=True, required=False, default=list)
