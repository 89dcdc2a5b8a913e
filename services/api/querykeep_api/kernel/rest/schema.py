"""OpenAPI details that all views share."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from querykeep_api.kernel.permissions import SCOPES, HasPermission

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is for programs and never changes, `detail` "
    "for people, `fields` says which field of the body or query is wrong and why, `request_id` "
    "finds it in the log.",
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "request_id": {"type": "string"},
    },
    "required": ["type", "status", "code", "title", "detail", "fields", "request_id"],
}
_IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The entity tag of the entry as it was read: where another change came first, "
    "nothing is written and the answer is 412.",
)


def whole_list(
    name: str, entry: type[serializers.BaseSerializer[Any]]
) -> serializers.Serializer[Any]:
    """Return the shape of a list that one page always holds."""
    why = "Always null: everything is here."
    fields = {
        "results": entry(many=True),
        "next": serializers.CharField(allow_null=True, help_text=why),
        "previous": serializers.CharField(allow_null=True, help_text=why),
    }
    made: serializers.Serializer[Any] = inline_serializer(name, fields)
    return made


class ResourceSchema(AutoSchema):
    """Names operations by resource and action, says what each needs, and documents problems."""

    def get_operation_id(self) -> str:
        """Return ``connections_list`` and so on."""
        operation_id: str = super().get_operation_id()
        return operation_id

    def get_description(self) -> str:  # type: ignore[override]  # as its base does
        """Return what it does and which scopes it wants."""
        text: str = super().get_description()
        needed = HasPermission.needed(self.view, self.method)
        if not needed:
            return text
        named = " or ".join(f"`{name}` ({SCOPES[name]})" for name in needed)
        return f"{text}\n\nNeeds {named}."

    def get_override_parameters(self) -> Any:
        """Name the header that guards a change."""
        parameters = super().get_override_parameters()
        is_guarded = self.method in ("PUT", "PATCH", "DELETE") and hasattr(self.view, "id_pattern")
        return [*parameters, _IF_MATCH] if is_guarded else parameters

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        problem = ResolvedComponent(  # type: ignore[no-untyped-call]  # drf-spectacular's
            name="Problem",
            type=ResolvedComponent.SCHEMA,
            schema=_PROBLEM,
            object="Problem",
        )
        self.registry.register_on_missing(problem)
        bodies.setdefault(
            "default",
            {
                "description": "Problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": problem.ref}},
            },
        )
        return bodies
