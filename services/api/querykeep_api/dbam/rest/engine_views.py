"""``engines``: what a client has to know of each engine that is installed here."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from querykeep_api.kernel.permissions import ANYONE_SIGNED_IN, Declared
from querykeep_engines.kit.spec import EngineSpec
from querykeep_engines.registry import specs


class EngineSerializer(serializers.Serializer[Any]):
    """An engine. ``cli_line`` and ``jdbc`` are templates with {host}, {port}, {database},
    {username}, {password}; {tls} stands for ``cli_tls`` where a connection demands TLS, else for
    nothing; ``jdbc_tls`` is appended then."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field of that name
    default_port = serializers.IntegerField()
    dialect = serializers.CharField()
    identifier_quote = serializers.CharField()
    capabilities = serializers.SerializerMethodField()
    system_schemas = serializers.ListField(child=serializers.CharField())
    cli = serializers.CharField()
    cli_line = serializers.CharField()
    cli_tls = serializers.CharField()
    url = serializers.CharField()
    jdbc = serializers.CharField()
    jdbc_tls = serializers.CharField()

    def get_capabilities(self, spec: EngineSpec) -> list[str]:
        """Return the words, sorted."""
        return sorted(spec.capabilities)


class EngineListSerializer(serializers.Serializer[Any]):
    """All engines, in one page."""

    results = EngineSerializer(many=True)


class EnginesView(APIView):
    """The engines that connections may name."""

    permissions: ClassVar[Declared] = {"read": ANYONE_SIGNED_IN}

    @extend_schema(responses=EngineListSerializer)
    def get(self, request: Request) -> Response:
        """Return every installed engine, ordered by its label."""
        found = sorted(specs().values(), key=lambda spec: spec.label)
        return Response({"results": EngineSerializer(found, many=True).data})
