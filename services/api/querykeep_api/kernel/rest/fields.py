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
}


@extend_schema_field(_REFERENCE_SCHEMA)
class ReferenceField(serializers.RelatedField[Any, Any, Any]):
    """``{id, name}`` when read; an id, a name, or the same object, when written.

    Where an object has both, the id
    decides. ``scope(request)`` returns the rows that the writer may name; others do not exist
    for him.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "shape": "Expected an id, a name, or an object with one of them.",
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
        """Return the row that an id or a name tells."""
        if isinstance(data, dict):
            found, told = self._named(data.get("id"), data.get("name"))
        else:
            found, told = self._named(data, data)
        if told is None:
            self.fail("shape")
        if found is None:
            self.fail("missing", kind=self._model._meta.verbose_name, value=told)
        return found

    def _named(self, identifier: object, name: object) -> tuple[Any, str | None]:
        """Return the row, and the text that should have told it; names are unique."""
        rows = self.get_queryset()
        # A text longer than any id cannot be one; PostgreSQL would refuse a NUL in it.
        if (
            isinstance(identifier, str)
            and len(identifier) <= ID_LENGTH
            and "\x00" not in identifier
        ):
            found = rows.filter(pk=identifier).first()
            if found is not None or identifier is not name:
                return found, identifier
        if isinstance(name, str) and "\x00" not in name and identifier in (None, name):
            return rows.filter(**{self._label_field: name}).first(), name
        return None, identifier if isinstance(identifier, str) else None


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
