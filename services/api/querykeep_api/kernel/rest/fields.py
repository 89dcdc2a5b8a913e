"""Serializer fields of the API's common shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from querykeep_api.kernel.ids import ID_LENGTH

_REFERENCE_SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
    "required": ["id"],
}


@extend_schema_field(_REFERENCE_SCHEMA)
class ReferenceField(serializers.RelatedField[Any, Any, Any]):
    """``{id, name}`` when read; an id, or the same object, when written.

    ``scope(request)`` returns the rows that the writer may name; others do not exist for him.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "shape": "Expected an id, or an object with an id.",
        "missing": "There is no {kind} {value!r}, or it is out of your reach.",
    }

    def __init__(
        self,
        *,
        model: type[Model],
        label_field: str = "name",
        scope: Callable[[Any], QuerySet[Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        self._model = model
        self._label_field = label_field
        self._scope = scope
        if not kwargs.get("read_only"):
            kwargs["queryset"] = model._base_manager.all()
        super().__init__(**kwargs)

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows that may be named."""
        request = self.context.get("request")
        if self._scope is not None and request is not None:
            return self._scope(request)
        return self._model._base_manager.all()

    def use_pk_only_optimization(self) -> bool:
        """Need the name as well."""
        return False

    def to_representation(self, value: Any) -> dict[str, str]:
        """Return ``{id, name}``."""
        return {"id": value.pk, "name": str(getattr(value, self._label_field))}

    def to_internal_value(self, data: Any) -> Any:
        """Return the row of an id or of ``{id}``."""
        identifier = data.get("id") if isinstance(data, dict) else data
        if not isinstance(identifier, str):
            self.fail("shape")
        # A text longer than any id cannot be one; PostgreSQL would refuse a NUL in it.
        found = None
        if len(identifier) <= ID_LENGTH and "\x00" not in identifier:
            found = self.get_queryset().filter(pk=identifier).first()
        if found is None:
            self.fail("missing", kind=self._model._meta.verbose_name, value=identifier)
        return found


class EtagField(serializers.CharField):
    """The entity tag of a record."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["read_only"] = True
        super().__init__(**kwargs)


class SecretField(serializers.CharField):
    """Write-only text, neither trimmed nor shown. Absent means unchanged, empty means none."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("write_only", True)
        kwargs.setdefault("required", False)
        kwargs.setdefault("allow_blank", True)
        kwargs.setdefault("trim_whitespace", False)
        kwargs.setdefault("style", {"input_type": "password"})
        super().__init__(**kwargs)
