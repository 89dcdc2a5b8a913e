"""``health``: every part of the installation, as the API can reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.kernel import clock
from querykeep_api.tool.parts import look


class PartSerializer(serializers.Serializer[Any]):
    """One part; ``message`` says what is wrong, or what was seen."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    message = serializers.CharField(allow_blank=True)
    duration_ms = serializers.FloatField()


class SystemHealthSerializer(serializers.Serializer[Any]):
    """The parts at one moment."""

    at = serializers.DateTimeField()
    ok = serializers.BooleanField()
    parts = PartSerializer(many=True)


class HealthView(APIView):
    """Whether each part is ready to work; looked at when asked, in at most a few seconds."""

    permissions: ClassVar[Mapping[str, str]] = {"read": "jobs.view"}

    @extend_schema(responses=SystemHealthSerializer)
    def get(self, request: Request) -> Response:
        """Look at every part."""
        parts = look(alive_only=False)
        return Response(
            {
                "at": clock.now(),
                "ok": all(part.ok for part in parts),
                "parts": PartSerializer(parts, many=True).data,
            }
        )
