"""OpenAPI details that all views share."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema


class ResourceSchema(AutoSchema):
    """Names operations by resource and action, and documents problems."""

    def get_operation_id(self) -> str:
        """Return ``connections_list`` and so on."""
        operation_id: str = super().get_operation_id()
        return operation_id

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        bodies.setdefault(
            "default",
            {
                "description": "Problem (RFC 9457)",
                "content": {
                    "application/problem+json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "type": {"type": "string"},
                                "status": {"type": "integer"},
                                "code": {"type": "string"},
                                "title": {"type": "string"},
                                "detail": {"type": "string"},
                                "fields": {
                                    "type": "object",
                                    "additionalProperties": {
                                        "type": "array",
                                        "items": {"type": "string"},
                                    },
                                },
                                "request_id": {"type": "string"},
                            },
                        }
                    }
                },
            },
        )
        return bodies
