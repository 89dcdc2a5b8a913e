"""How rows of the audit store look in the API. Times are RFC 3339 in UTC, big integers are text."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from querykeep_api.auditlog.models import Event, Record, Statement
from querykeep_api.auditlog.verification import VerifyReport
from querykeep_guard.contracts.codec import to_json

FINDINGS_SHOWN = 1000
LISTED_CHARACTERS = 20_000
"""Of a statement's text in a list; its own page and the exports have all of it."""


def statement_entry(row: Statement) -> dict[str, Any]:
    """Return a statement as the list, the detail and the exports show it."""
    ran = bool(row.outcome)
    listed: str | None = getattr(row, "statement_head", None)
    text = row.statement if listed is None else listed[:LISTED_CHARACTERS]
    return {
        "id": row.id,
        "started_at": to_json(row.started_at),
        "completed_at": to_json(row.completed_at),
        "user": {"id": row.user_id, "name": row.username},
        "route": row.route,
        "client": {
            "address": row.client_address,
            "program": row.client_program,
            "version": row.client_version,
            "host_name": row.client_host_name,
            "user_name": row.client_user_name,
        },
        "connection": {"id": row.connection_id, "name": row.connection_name},
        "database": row.database,
        "statement": text,
        "statement_is_cut": listed is not None and len(listed) > LISTED_CHARACTERS,
        "kind": row.kind,
        "objects": _listed(row.objects_json),
        "verdict": row.verdict,
        "rules": _listed(row.rules_json),
        "outcome": row.outcome or None,
        "rows": str(row.rows) if ran else None,
        "bytes": str(row.bytes) if ran else None,
        "duration_ms": row.duration_ms if ran else None,
        "error": row.failure or row.refusal,
        "error_code": row.failure_code or row.refusal_code,
        "reason": _loaded(row.reason_json),
        "digest": row.digest,
        "session_id": row.session_id,
        "policy_version": str(row.policy_version),
        "catalog_version": row.catalog_version,
        "protocol": row.protocol,
        "parameters": row.parameters,
        "etag": "completed" if ran else "started",
    }


def event_entry(row: Event) -> dict[str, Any]:
    """Return an event as the list and the detail show it."""
    connection = {"id": row.connection_id, "name": row.connection_name}
    actor = {"id": row.actor_id, "name": row.actor_name}
    subject = {"kind": row.subject_kind, "id": row.subject_id, "name": row.subject_name}
    return {
        "id": row.id,
        "at": to_json(row.at),
        "kind": row.kind,
        "actor": actor if row.actor_id or row.actor_name else None,
        "subject": subject if row.subject_kind or row.subject_name else None,
        "connection": connection if row.connection_id else None,
        "route": row.route or None,
        "address": row.address,
        "summary": row.summary,
        "before": _loaded(row.before),
        "after": _loaded(row.after),
        "etag": "final",
    }


def _loaded(text: str) -> object:
    """Return the JSON of a text; a text that someone broke is shown as it is, not hidden."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}


def _listed(text: str) -> list[Any]:
    loaded = _loaded(text)
    return loaded if isinstance(loaded, list) else []


def proof_entry(row: Record) -> dict[str, Any]:
    """Return where a row's evidence stands in its chain."""
    return {
        "spool": row.spool_id,
        "sequence": str(row.sequence),
        "type": row.type,
        "hash": bytes(row.hash).hex(),
        "flag": row.flag,
        "received_at": to_json(row.received_at),
    }


def report_entry(report: VerifyReport) -> dict[str, Any]:
    """Return a verification report; only the first findings are listed, all are counted."""
    shown = report.findings[:FINDINGS_SHOWN]
    return {
        "ok": report.ok,
        "records": report.records,
        "spools": report.spools,
        "statements": report.statements,
        "events": report.events,
        "checkpoints": report.checkpoints,
        "covered_from": to_json(report.covered_from),
        "covered_until": to_json(report.covered_until),
        "finding_count": len(report.findings),
        "findings": [
            {**dataclasses.asdict(finding), "sequence": str(finding.sequence)} for finding in shown
        ],
    }


@extend_schema_field(
    {"type": "object", "properties": {"id": {"type": "string"}, "name": {"type": "string"}}}
)
class _Reference(serializers.DictField):
    """``{id, name}`` in the schema."""


@extend_schema_field(
    {
        "type": "object",
        "description": "Why it was refused: a code and what it speaks of.",
        "properties": {
            "code": {"type": "string"},
            "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["code", "arguments"],
    }
)
class _Reason(serializers.DictField):
    """``{code, arguments}`` in the schema."""


class StatementSchema(serializers.Serializer[Statement]):
    """A statement; made by ``statement_entry``, described here for the schema."""

    id = serializers.CharField()
    started_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    user = _Reference()
    route = serializers.CharField()
    client = serializers.DictField()
    connection = _Reference()
    database = serializers.CharField()
    statement = serializers.CharField(
        help_text=f"In a list its first {LISTED_CHARACTERS} characters."
    )
    statement_is_cut = serializers.BooleanField(
        help_text="The text goes on: read the entry itself."
    )
    kind = serializers.CharField()
    objects = serializers.ListField(child=serializers.CharField())
    verdict = serializers.CharField()
    rules = serializers.ListField(child=serializers.DictField())
    outcome = serializers.CharField(allow_null=True)
    rows = serializers.CharField(allow_null=True)
    bytes = serializers.CharField(allow_null=True)
    duration_ms = serializers.FloatField(allow_null=True)
    error = serializers.CharField()
    error_code = serializers.CharField()
    reason = _Reason(allow_null=True)
    digest = serializers.CharField()
    session_id = serializers.CharField()
    policy_version = serializers.CharField()
    catalog_version = serializers.CharField()
    protocol = serializers.CharField()
    parameters = serializers.IntegerField()
    records = serializers.ListField(child=serializers.DictField(), required=False)
    etag = serializers.CharField()

    def to_representation(self, instance: Statement) -> dict[str, Any]:
        """Return the entry."""
        return statement_entry(instance)


class EventSchema(serializers.Serializer[Event]):
    """An event; made by ``event_entry``, described here for the schema."""

    id = serializers.CharField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    actor = _Reference(allow_null=True)
    subject = serializers.DictField(allow_null=True)
    connection = _Reference(allow_null=True)
    route = serializers.CharField(allow_null=True)
    address = serializers.CharField()
    summary = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    records = serializers.ListField(child=serializers.DictField(), required=False)
    etag = serializers.CharField()

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return the entry."""
        return event_entry(instance)


class SummarySchema(serializers.Serializer[Any]):
    """Counts of statements."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = serializers.IntegerField()
    by_verdict = serializers.DictField(child=serializers.IntegerField())
    hours = serializers.ListField(
        child=serializers.DictField(), help_text="Each has `at` and a count by verdict."
    )


class SinceSchema(serializers.Serializer[Any]):
    """From when on; everything where it is left out."""

    since = serializers.DateTimeField(required=False)


class FindingSchema(serializers.Serializer[Any]):
    """A place where the evidence does not fit."""

    kind = serializers.CharField()
    place = serializers.CharField()
    message = serializers.CharField()
    spool_id = serializers.CharField()
    sequence = serializers.CharField()
    event_id = serializers.CharField()


class VerifySchema(serializers.Serializer[Any]):
    """What a walk over the chains found; made by ``report_entry``."""

    ok = serializers.BooleanField()
    records = serializers.IntegerField()
    spools = serializers.IntegerField()
    statements = serializers.IntegerField()
    events = serializers.IntegerField()
    checkpoints = serializers.IntegerField()
    covered_from = serializers.DateTimeField(allow_null=True)
    covered_until = serializers.DateTimeField(allow_null=True)
    finding_count = serializers.IntegerField()
    findings = FindingSchema(many=True, help_text=f"The first {FINDINGS_SHOWN}.")
