"""Shapes of connections and their catalogs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from querykeep_api.dbam.models import Connection
from querykeep_api.kernel.rest.fields import EtagField, SecretField
from querykeep_engines.registry import specs
from querykeep_guard.contracts.session import TlsMode

_NAME = re.compile(r"[A-Za-z0-9가-힣][A-Za-z0-9가-힣._-]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9._:\-\[\]]+|/[^\x00\s]+")


class EngineField(serializers.ChoiceField):
    """The name of an installed engine."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=sorted(specs()), **kwargs)


class ProxySerializer(serializers.Serializer[Any]):
    """Where the connection's own port is."""

    host = serializers.CharField()
    port = serializers.IntegerField()


class CatalogStateSerializer(serializers.Serializer[Any]):
    """How far the catalog is known."""

    version = serializers.IntegerField(allow_null=True)
    crawled_at = serializers.DateTimeField(allow_null=True)
    relations = serializers.IntegerField()
    complete = serializers.BooleanField()
    state = serializers.CharField()
    error = serializers.CharField()


class HealthSerializer(serializers.Serializer[Any]):
    """The last probe."""

    state = serializers.CharField()
    checked_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField()


class MyAccessSerializer(serializers.Serializer[Any]):
    """What I may do there."""

    privilege = serializers.CharField()
    functions = serializers.ListField(child=serializers.CharField())
    valid_until = serializers.DateTimeField(allow_null=True)


class TargetSerializer(serializers.ModelSerializer[Connection]):
    """The fields that make a target; also the body of an unsaved test."""

    engine = EngineField()
    host = serializers.CharField(max_length=255)
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False)
    database = serializers.CharField(max_length=255)
    username = serializers.CharField(max_length=255)
    password = SecretField(max_length=4096)
    tls_mode = serializers.ChoiceField([mode.value for mode in TlsMode], required=False)
    tls_ca_pem = serializers.CharField(allow_blank=True, required=False, max_length=100_000)
    tls_client_cert_pem = serializers.CharField(
        allow_blank=True, required=False, max_length=100_000
    )
    tls_client_key_pem = SecretField(max_length=100_000)

    class Meta:
        model = Connection
        fields: tuple[str, ...] = (
            "engine", "host", "port", "database", "username", "password", "tls_mode",
            "tls_ca_pem", "tls_client_cert_pem", "tls_client_key_pem",
        )  # fmt: skip

    def validate_host(self, value: str) -> str:
        """Allow a name, an address or the path of a Unix socket folder."""
        if not _HOST.fullmatch(value):
            raise serializers.ValidationError("Expected a host name, an address or a socket path.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Fill in the engine's default port; ask for a CA where certificates are verified."""
        if "engine" in attrs and "port" not in attrs and self.instance is None:
            attrs["port"] = specs()[attrs["engine"]].default_port
        mode = attrs.get("tls_mode", getattr(self.instance, "tls_mode", "prefer"))
        ca = attrs.get("tls_ca_pem", getattr(self.instance, "tls_ca_pem", ""))
        if mode == TlsMode.VERIFY_CA.value and not ca:
            raise serializers.ValidationError({"tls_ca_pem": "verify-ca needs the CA certificate."})
        return attrs


class ConnectionSerializer(TargetSerializer):
    """A connection, without its secrets."""

    etag = EtagField()
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(allow_blank=True, required=False, max_length=4000)
    tags = serializers.DictField(
        child=serializers.CharField(max_length=200, allow_blank=True), required=False
    )
    proxy = serializers.SerializerMethodField()
    catalog = serializers.SerializerMethodField()
    health = serializers.SerializerMethodField()
    my_access = serializers.SerializerMethodField()

    class Meta:
        model = Connection
        fields = (
            "id", "name", "engine", "description", "host", "port", "database", "username",
            "password", "tls_mode", "tls_ca_pem", "tls_client_cert_pem", "tls_client_key_pem",
            "tls_required", "tags", "is_enabled", "server_version", "proxy", "catalog", "health",
            "my_access", "created_at", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "server_version", "created_at")

    def validate_name(self, value: str) -> str:
        """Allow names that fit in a shell and a URL."""
        if not _NAME.fullmatch(value):
            raise serializers.ValidationError(
                "Use letters, digits, dot, dash and underscore; begin with a letter or digit."
            )
        return value

    @extend_schema_field(ProxySerializer)
    def get_proxy(self, connection: Connection) -> Mapping[str, Any]:
        """Return host and port of the connection's own listener."""
        return {"host": settings.QUERYKEEP.ports_host, "port": connection.proxy_port}

    @extend_schema_field(CatalogStateSerializer)
    def get_catalog(self, connection: Connection) -> Mapping[str, Any]:
        """Return the newest catalog's figures (from the view's one query)."""
        newest = self.context.get("catalogs", {}).get(connection.pk)
        return {
            "version": newest.version if newest else None,
            "crawled_at": _time(newest.crawled_at) if newest else None,
            "relations": newest.relations if newest else 0,
            "complete": newest.complete if newest else False,
            "state": connection.catalog_state,
            "error": connection.catalog_error,
        }

    @extend_schema_field(HealthSerializer)
    def get_health(self, connection: Connection) -> Mapping[str, Any]:
        """Return the last probe."""
        return {
            "state": connection.health_state,
            "checked_at": _time(connection.health_checked_at),
            "message": connection.health_message,
        }

    @extend_schema_field(MyAccessSerializer(allow_null=True))
    def get_my_access(self, connection: Connection) -> Mapping[str, Any] | None:
        """Return my own access (from the view's one query), or null."""
        access: Mapping[str, Any] | None = self.context.get("my_access", {}).get(connection.pk)
        return access


def _time(value: Any) -> str | None:
    shown: str | None = serializers.DateTimeField().to_representation(value) if value else None
    return shown


class ProbeStepSerializer(serializers.Serializer[Any]):
    """One step of a test."""

    name = serializers.CharField()
    state = serializers.CharField()
    message = serializers.CharField()
    duration_ms = serializers.FloatField()


class ProbeReportSerializer(serializers.Serializer[Any]):
    """The outcome of a test."""

    ok = serializers.BooleanField()
    steps = ProbeStepSerializer(many=True)
    server_version = serializers.CharField()
    flavour = serializers.CharField()
