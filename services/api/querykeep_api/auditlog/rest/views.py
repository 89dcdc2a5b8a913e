"""``/api/v1/audit/…``: search, read, export, summarize and verify. Nothing here writes evidence."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left, TruncHour
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.filters import BaseFilterBackend
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from querykeep_api.auditlog.export import csv_lines, entries_of, json_lines
from querykeep_api.auditlog.models import AUDIT_DATABASE, Event, Record, Statement
from querykeep_api.auditlog.rest.shapes import (
    LISTED_CHARACTERS,
    EventSchema,
    SinceSchema,
    StatementSchema,
    SummarySchema,
    VerifySchema,
    proof_entry,
    report_entry,
    statement_entry,
)
from querykeep_api.auditlog.verification import verify
from querykeep_api.kernel import clock, outbox
from querykeep_api.kernel.errors import InvalidInput
from querykeep_api.kernel.principal import acting_user
from querykeep_api.kernel.rest.filters import (
    Condition,
    FieldFilter,
    Ordering,
    by,
    moment,
    read_moment,
)
from querykeep_api.kernel.rest.views import ResourceView
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.codec import to_json
from querykeep_guard.contracts.session import Route

_SEARCH_LIMIT = 2000
_SUMMARY_DEFAULT = timedelta(hours=24)
_SUMMARY_LIMIT = timedelta(days=92)


class PhraseSearch(BaseFilterBackend):
    """``?search=``: the whole text, as typed and without regard to case, somewhere in the entry."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the rows that contain every given text."""
        for text in request.query_params.getlist("search"):
            if len(text) > _SEARCH_LIMIT or "\x00" in text:
                raise InvalidInput(
                    f"search: at most {_SEARCH_LIMIT} characters, no NUL",
                    fields={"search": ["too long"]},
                )
            if text.strip():
                queryset = queryset.filter(search_text__contains=text.strip().lower())
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameter in the schema."""
        description = "Text, objects, user or connection contain this, without regard to case."
        return [
            {
                "name": "search",
                "in": "query",
                "required": False,
                "description": description,
                "schema": {"type": "string"},
            }
        ]


class FormatByView(DefaultContentNegotiation):
    """Leaves ``?format=`` and ``Accept`` to the view: exports are CSV, errors are problem+json."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Return the view's first renderer."""
        return renderers[0], renderers[0].media_type


class _AuditView(ResourceView):
    """Read-only resource of the audit database."""

    http_method_names = ["get", "head"]  # noqa: RUF012 - as in the base class
    id_pattern = re.compile("[^/]{1,200}")
    filter_backends = (FieldFilter, PhraseSearch, Ordering)

    def proof(self, row: Statement | Event) -> dict[str, Any]:
        """Return the records that an entry was made from."""
        query = Q(event_id=row.id) if isinstance(row, Event) else Q(subject=row.id)
        records = Record.objects.using(AUDIT_DATABASE).filter(query).order_by("sequence")
        return {"records": [proof_entry(record) for record in records]}

    def retrieve(self, request: Request, pk: str) -> Response:
        """Return one entry with the places of its evidence."""
        row = self.access(pk)
        return self.entry(row, extra=self.proof(row))


def _one_of(field: str, kinds: type[Route] | type[Verdict] | type[Outcome]) -> Condition:
    values = [kind.value for kind in kinds]

    def condition(value: str) -> Q:
        if value not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return Q(**{field: value})

    return condition


class StatementView(_AuditView):
    """``audit/statements``."""

    serializer_class: type[BaseSerializer[Any]] = StatementSchema
    content_negotiation_class = FormatByView
    permissions: ClassVar[dict[str, str]] = {
        "list": "audit.view",
        "retrieve": "audit.view",
        "export": "audit.export",
    }
    filter_conditions: ClassVar[dict[str, Condition]] = {
        "user": by("user_id", "username"),
        "connection": by("connection_id", "connection_name"),
        "route": _one_of("route", Route),
        "verdict": _one_of("verdict", Verdict),
        "outcome": _one_of("outcome", Outcome),
        "kind": by("kind"),
        "session": by("session_id"),
        "since": moment("started_at__gte"),
        "until": moment("started_at__lt"),
    }
    extra_parameters: ClassVar[tuple[str, ...]] = ("bom",)
    ordering_fields: ClassVar[tuple[str, ...]] = ("started_at", "duration_ms", "rows", "bytes")
    ordering = ("-started_at",)

    def get_queryset(self) -> QuerySet[Statement]:
        """Return every statement whose start has arrived. Texts may have tens of megabytes each: a
        page reads their beginnings only."""
        rows = Statement.objects.using(AUDIT_DATABASE).filter(has_start=True)
        if self.action != "list":
            return rows.defer("search_text")
        # One character more tells whether it goes on.
        head = Left("statement", LISTED_CHARACTERS + 1)
        return rows.defer("search_text", "statement").annotate(statement_head=head)

    @extend_schema(
        filters=True,
        parameters=[
            OpenApiParameter("format", str, enum=("csv", "jsonl"), default="csv"),
            OpenApiParameter(
                "bom",
                str,
                enum=("0", "1"),
                default="0",
                description="A byte order mark, by which spreadsheets know UTF-8.",
            ),
        ],
        responses={(200, "text/csv"): str, (200, "application/x-ndjson"): str},
    )
    @action(detail=False, methods=["get"], url_path="export")
    def export(self, request: Request) -> HttpResponseBase:
        """Stream what the filters find as CSV or JSON lines."""
        form = request.query_params.get("format", "csv")
        if form not in ("csv", "jsonl"):
            raise InvalidInput("format: csv or jsonl", fields={"format": ["csv or jsonl"]})
        bom = request.query_params.get("bom", "0")
        if bom not in ("0", "1"):
            raise InvalidInput("bom: 0 or 1", fields={"bom": ["0 or 1"]})
        rows = self.filter_queryset(self.get_queryset())
        filters = {key: request.query_params.getlist(key) for key in request.query_params}
        with transaction.atomic():
            outbox.record(
                "audit.exported",
                actor=acting_user(request),
                subject=outbox.SubjectRef("audit", "statements", "audit statements"),
                summary=f"Audit statements exported as {form}.",
                after={"filters": filters},
            )
        entries = entries_of(rows, statement_entry)
        body = csv_lines(entries, bom=bom == "1") if form == "csv" else json_lines(entries)
        kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
        name = f"querykeep-audit-{clock.now():%Y%m%dT%H%M%SZ}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(body, content_type=kind, headers=headers)


class EventView(_AuditView):
    """``audit/events``."""

    serializer_class: type[BaseSerializer[Any]] = EventSchema
    permissions: ClassVar[dict[str, str]] = {"list": "audit.view", "retrieve": "audit.view"}
    filter_conditions: ClassVar[dict[str, Condition]] = {
        "user": by("actor_id", "actor_name"),
        "actor": by("actor_id", "actor_name"),
        "connection": by("connection_id", "connection_name"),
        "kind": lambda value: Q(kind=value) | Q(kind__startswith=f"{value}."),
        "subject": by("subject_id", "subject_name"),
        "address": by("address"),
        "since": moment("at__gte"),
        "until": moment("at__lt"),
    }
    ordering_fields: ClassVar[tuple[str, ...]] = ("at", "kind")
    ordering = ("-at",)

    def get_queryset(self) -> QuerySet[Event]:
        """Return every event."""
        return Event.objects.using(AUDIT_DATABASE).all()


class SummaryView(APIView):
    """``audit/summary``."""

    permissions: ClassVar[dict[str, str]] = {"GET": "audit.view"}

    @extend_schema(
        parameters=[
            OpenApiParameter("since", OpenApiTypes.DATETIME),
            OpenApiParameter("until", OpenApiTypes.DATETIME, description="Now by default."),
        ],
        responses=SummarySchema,
    )
    def get(self, request: Request) -> Response:
        """Count statements by verdict and hour since a time (24 hours ago by default)."""
        now = clock.now()
        since = _moment(request, "since") or now - _SUMMARY_DEFAULT
        until = _moment(request, "until") or now
        if until - since > _SUMMARY_LIMIT:
            raise InvalidInput(
                f"since: at most {_SUMMARY_LIMIT.days} days before until",
                fields={"since": ["too long ago"]},
            )
        rows = Statement.objects.using(AUDIT_DATABASE).filter(
            has_start=True, started_at__gte=since, started_at__lt=until
        )
        hours: dict[datetime, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_VERDICTS, 0))
        totals = dict.fromkeys(_VERDICTS, 0)
        grouped = rows.annotate(hour=TruncHour("started_at")).values("hour", "verdict")
        for row in grouped.annotate(count=Count("id")).order_by("hour"):
            hours[row["hour"]][row["verdict"]] = row["count"]
            totals[row["verdict"]] = totals.get(row["verdict"], 0) + row["count"]
        return Response(
            {
                "since": to_json(since),
                "until": to_json(until),
                "total": sum(totals.values()),
                "by_verdict": totals,
                "hours": [{"at": to_json(hour), **counts} for hour, counts in hours.items()],
            }
        )


class VerifyView(APIView):
    """``audit/verify``."""

    permissions: ClassVar[dict[str, str]] = {"POST": "audit.export"}

    @extend_schema(request=SinceSchema, responses=VerifySchema)
    def post(self, request: Request) -> Response:
        """Walk every chain and say what does not fit, and where."""
        given = request.data.get("since") if isinstance(request.data, dict) else None
        since = _parsed("since", given) if given else None
        return Response(report_entry(verify(since)))


_VERDICTS = tuple(verdict.value for verdict in Verdict)


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    return _parsed(name, text) if text else None


def _parsed(name: str, text: object) -> datetime:
    try:
        return read_moment(str(text))
    except ValueError as error:
        raise InvalidInput(f"{name}: expected {error}", fields={name: [str(error)]}) from error
