"""``connections``: resources, tests, crawls and the catalog browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from django.db.models import F, Max, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from querykeep_api.dbam.actions.connections import (
    do_change_connection,
    do_create_connection,
    do_delete_connection,
)
from querykeep_api.dbam.catalogs import catalog_of
from querykeep_api.dbam.compiler import compile_policy
from querykeep_api.dbam.explaining import lineage_of
from querykeep_api.dbam.models import CatalogVersion, Connection, Grant
from querykeep_api.dbam.probing import probe, probe_connection, report_json
from querykeep_api.dbam.rest.catalog_pages import relation_entry, relation_named, relations_page
from querykeep_api.dbam.rest.connection_serializers import (
    ConnectionSerializer,
    ProbeReportSerializer,
    TargetSerializer,
)
from querykeep_api.iam.facade import User
from querykeep_api.jobs.facade import run_entry, start_job
from querykeep_api.kernel.errors import Conflict, NotFound
from querykeep_api.kernel.permissions import Declared
from querykeep_api.kernel.rest.filters import Condition, by, flag
from querykeep_api.kernel.rest.views import ResourceView
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.session import Target, TlsMode

CRAWL_JOB = "schema_crawl"


def _reached_as(connection: Connection) -> tuple[object, ...]:
    """Return what decides which database a connection shows, as whom."""
    return (
        connection.engine,
        connection.host,
        connection.port,
        connection.database,
        connection.username,
        connection.is_enabled,
    )


class ConnectionView(ResourceView):
    """Connections. Persons without a role see only those that they hold a grant on."""

    serializer_class = ConnectionSerializer
    queryset = Connection.everything.none()
    permissions: ClassVar[Declared] = {
        "read": ("own.view", "connections.view"),
        "write": "connections.change",
        "crawl": "jobs.run",
    }
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "name": by("name"),
        "engine": by("engine"),
        "is_enabled": flag("is_enabled"),
        "health": by("health_state"),
    }
    search_fields = ("name", "description", "host", "database")
    ordering_fields = ("name", "engine", "created_at")
    ordering_names: ClassVar[Mapping[str, str]] = {"name": "name_key"}

    def get_queryset(self) -> QuerySet[Connection]:
        """Return the connections in reach."""
        return Connection.objects.visible_to(self.principal)

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Give the serializer catalogs and my access of all rows at once, one query each."""
        context = kwargs.pop("context", None) or self.get_serializer_context()
        rows = args[0] if args else None
        if isinstance(rows, Connection):
            rows = [rows]
        if isinstance(rows, list) and rows:
            ids = [row.pk for row in rows]
            context = {
                **context,
                "catalogs": _newest_catalogs(ids),
                "my_access": my_access(self.principal.user, ids),
            }
        return super().get_serializer(*args, context=context, **kwargs)

    def on_create(self, data: Mapping[str, Any]) -> Connection:
        """Add a connection; its schema is read as soon as a worker is free."""
        connection = do_create_connection(data, acting_user=self.principal.user)
        self._crawl_soon(connection)
        return connection

    def on_update(self, record: Connection, data: Mapping[str, Any]) -> None:
        """Change a connection; its schema is read again when it leads elsewhere."""
        before = _reached_as(record)
        do_change_connection(record, data, acting_user=self.principal.user)
        if _reached_as(record) != before:
            self._crawl_soon(record)

    def _crawl_soon(self, connection: Connection) -> None:
        """Queue a crawl, unless one is under way; what is lost here the schedule makes good."""
        if not connection.is_enabled:
            return
        with suppress(Conflict):
            start_job(
                CRAWL_JOB,
                requested_by=self.principal.user.username,
                arguments={"connection": connection.pk},
            )

    def on_delete(self, record: Connection) -> None:
        """Delete a connection."""
        do_delete_connection(record, acting_user=self.principal.user)

    @extend_schema(
        request=TargetSerializer,
        responses=ProbeReportSerializer,
        operation_id="connections_test_unsaved",
    )
    @action(detail=False, methods=["post"], url_path="test")
    def test_unsaved(self, request: Request) -> Response:
        """Test a target before it is saved; nothing is stored."""
        serializer = TargetSerializer(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        target = Target(
            engine=data["engine"],
            flavour=data["engine"],
            host=data["host"],
            port=data["port"],
            database=data["database"],
            username=data["username"],
            password=data.get("password", ""),
            tls_mode=TlsMode(data.get("tls_mode", TlsMode.PREFER.value)),
            ca_pem=data.get("tls_ca_pem", ""),
            client_cert_pem=data.get("tls_client_cert_pem", ""),
            client_key_pem=data.get("tls_client_key_pem", ""),
        )
        return Response(report_json(probe(target)))

    @extend_schema(request=None, responses=ProbeReportSerializer)
    @action(detail=True, methods=["post"], url_path="test")
    def test_saved(self, request: Request, pk: str) -> Response:
        """Test a saved connection with its stored account."""
        return Response(report_json(probe_connection(self.access(pk))))

    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["post"])
    def crawl(self, request: Request, pk: str) -> Response:
        """Queue a crawl of the catalog and return its run."""
        connection = self.access(pk)
        run = start_job(
            CRAWL_JOB,
            requested_by=self.principal.user.username,
            arguments={"connection": connection.pk},
        )
        return Response(run_entry(run), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        parameters=[OpenApiParameter(name, str) for name in ("schema", "search", "kind", "cursor")],
        responses=OpenApiTypes.OBJECT,
    )
    @action(detail=True, methods=["get"])
    def catalog(self, request: Request, pk: str) -> Response:
        """Return one page of relations, and the schemas."""
        connection = self.access(pk)
        catalog = self._catalog(connection)
        query = request.query_params
        entries, cursor = relations_page(
            catalog,
            schema=query.get("schema", ""),
            search=query.get("search", ""),
            kind=query.get("kind", ""),
            cursor=query.get("cursor", ""),
        )
        following = None
        if cursor:
            parameters = query.copy()
            parameters["cursor"] = cursor
            following = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
        schemas = sorted({*catalog.schemas, *(r.schema for r in catalog.relations)})
        return Response(
            {
                "results": entries,
                "next": following,
                "previous": None,
                "schemas": schemas,
                "version": catalog.fingerprint,
            }
        )

    @extend_schema(responses=OpenApiTypes.OBJECT, operation_id="connections_catalog_relation")
    @action(
        detail=True,
        methods=["get"],
        url_path=r"catalog/(?P<schema_name>[^/]+)/(?P<relation_name>[^/]+)",
    )
    def relation(self, request: Request, pk: str, schema_name: str, relation_name: str) -> Response:
        """Return one relation whole, with what masks and refuses its columns for me."""
        connection = self.access(pk)
        catalog = self._catalog(connection)
        relation = relation_named(catalog, schema_name, relation_name)
        if relation is None:
            raise NotFound(f"The catalog has no {schema_name}.{relation_name}.")
        policy = compile_policy(self.principal.user, connection)
        lineage = lineage_of(relation, connection, policy, catalog)
        return Response(relation_entry(relation, policy, catalog, lineage))

    def _catalog(self, connection: Connection) -> Catalog:
        catalog = catalog_of(connection.pk)
        if catalog is None:
            raise NotFound(f"The catalog of {connection.name} was not read yet.")
        return catalog


def _newest_catalogs(ids: Iterable[str]) -> dict[str, CatalogVersion]:
    newest = (
        CatalogVersion.objects.filter(connection_id__in=list(ids))
        .annotate(top=Max("connection__catalogs__version"))
        .filter(version=F("top"))
        .defer("payload")
    )
    return {row.connection_id: row for row in newest}


def my_access(user: User, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a person's access by connection: privileges, functions and the latest end."""
    grants = (
        Grant.holding(user.pk)
        .filter(connection_id__in=list(ids))
        .select_related("privilege")
        .order_by("id")
    )
    found: dict[str, dict[str, Any]] = {}
    for grant in grants:
        entry = found.setdefault(
            grant.connection_id, {"privileges": [], "functions": set(), "ends": []}
        )
        entry["privileges"].append(grant.privilege.name)
        entry["functions"].update(grant.privilege.functions)
        entry["ends"].append(grant.valid_until)
    return {
        key: {
            "privilege": ", ".join(dict.fromkeys(entry["privileges"])),
            "functions": sorted(entry["functions"]),
            # One grant without an end outlasts the others.
            "valid_until": None if None in entry["ends"] else max(entry["ends"]),
        }
        for key, entry in found.items()
    }
