"""From records to rows that people search: pure, so that ingest and verification agree.

A *subject* is a statement or a session; all records of one subject make its rows. Which of several
completions counts does not depend on the order of arrival.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from querykeep_api.auditlog.events import AnyEvent, ApiEvent, event_of
from querykeep_api.auditlog.models import Event, Record, Statement
from querykeep_guard.contracts.audit import (
    Outcome,
    ResultExported,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    SpoolRecord,
    StatementCompleted,
    StatementStarted,
)
from querykeep_guard.contracts.codec import ContractError, to_json

_BIGINT = 2**63
ID_LIMIT = 200
"""Longest id of a spool, event, statement or session, in characters: what the columns hold."""

START_FIELDS = (
    "has_start",
    "started_at",
    "session_id",
    "user_id",
    "username",
    "route",
    "client_address",
    "client_program",
    "client_version",
    "client_host_name",
    "client_user_name",
    "connection_id",
    "connection_name",
    "database",
    "statement",
    "kind",
    "objects_json",
    "verdict",
    "rules_json",
    "digest",
    "policy_version",
    "catalog_version",
    "protocol",
    "parameters",
    "refusal",
    "refusal_code",
    "reason_json",
    "search_text",
)
END_FIELDS = (
    "completed_at",
    "outcome",
    "rows",
    "bytes",
    "duration_ms",
    "failure",
    "failure_code",
)
EVENT_FIELDS = tuple(f.name for f in Event._meta.concrete_fields if f.name != "id")


@dataclass(frozen=True, slots=True)
class Projection:
    """Rows of one subject; ``statement`` is None where no record speaks of a statement."""

    statement: Statement | None
    events: tuple[Event, ...]


def storable(text: str) -> str:
    """Return ``text`` as every database can hold it: NUL becomes ␀, a lone surrogate �.

    The record's payload keeps the original, escaped.
    """
    if "\x00" in text:
        text = text.replace("\x00", "␀")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def record_from_row(row: Record) -> SpoolRecord:
    """Return the contract form of a stored record.

    Raises:
        ContractError: The stored payload is not a JSON object any more.
    """
    try:
        payload = json.loads(row.payload)
    except ValueError as error:
        raise ContractError(f"record {row.event_id}: its payload is not JSON") from error
    if not isinstance(payload, dict):
        raise ContractError(f"record {row.event_id}: its payload is not an object")
    return SpoolRecord(
        spool_id=row.spool_id,
        sequence=row.sequence,
        event_id=row.event_id,
        at=row.at,
        type=row.type,
        payload=payload,
        prev_hash=bytes(row.prev_hash),
        hash=bytes(row.hash),
    )


def payload_text(payload: dict[str, object]) -> str:
    """Return canonical JSON of a payload; escaped to ASCII where it holds what UTF-8 cannot."""
    text = json.dumps(to_json(payload), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(to_json(payload), sort_keys=True, separators=(",", ":"))
    return text


def subject_of(event: AnyEvent) -> str:
    """Return what the event is about: a statement, a session, or nothing."""
    match event:
        case StatementStarted() | StatementCompleted():
            return event.statement_id
        case SessionOpened() | SessionClosed():
            return event.session_id
        case SignInRefused() | ResultExported() | ApiEvent():
            return ""


def readable_event(record: SpoolRecord) -> AnyEvent | None:
    """Return the record's event, or None when it has a shape that no row can hold."""
    try:
        event = event_of(record)
        to_json(event)
    except (ContractError, TypeError):
        return None
    numbers: tuple[int, ...] = ()
    match event:
        case StatementStarted():
            numbers = (event.policy_version, event.parameters)
        case StatementCompleted():
            numbers = (event.rows, event.bytes)
            if not math.isfinite(event.duration_ms):
                return None
        case ResultExported():
            numbers = (event.rows,)
        case _:
            pass
    if any(not -_BIGINT <= number < _BIGINT for number in numbers):
        return None
    subject = subject_of(event)
    if len(subject) > ID_LIMIT or storable(subject) != subject:
        return None
    return event


def project(records: Iterable[SpoolRecord]) -> Projection:
    """Return the rows that all records of one subject make together."""
    starts: list[tuple[SpoolRecord, StatementStarted]] = []
    ends: list[tuple[SpoolRecord, StatementCompleted]] = []
    opened: SessionOpened | None = None
    others: list[tuple[SpoolRecord, AnyEvent]] = []
    for record in sorted(records, key=lambda r: (r.spool_id, r.sequence, r.event_id)):
        event = readable_event(record)
        match event:
            case None:
                continue
            case StatementStarted():
                starts.append((record, event))
            case StatementCompleted():
                ends.append((record, event))
            case _:
                if isinstance(event, SessionOpened) and opened is None:
                    opened = event
                others.append((record, event))
    statement = _statement(starts, ends) if starts or ends else None
    return Projection(statement, tuple(_event(record, e, opened) for record, e in others))


def differences(row: models.Model, expected: models.Model, fields: Sequence[str]) -> list[str]:
    """Return the names of the fields in which a stored row is not what its records say."""
    return [name for name in fields if getattr(row, name) != getattr(expected, name)]


def _statement(
    starts: list[tuple[SpoolRecord, StatementStarted]],
    ends: list[tuple[SpoolRecord, StatementCompleted]],
) -> Statement:
    values: dict[str, Any] = {}
    if starts:
        event = starts[0][1]
        values.update(_start_values(event))
    if ends:
        # A real outcome beats the one that recovery wrote; then the earliest.
        end = min(
            ends,
            key=lambda pair: (
                pair[1].outcome is Outcome.UNKNOWN,
                pair[1].completed_at,
                pair[0].event_id,
            ),
        )[1]
        values.update(_end_values(end))
    subject = starts[0][1].statement_id if starts else ends[0][1].statement_id
    return Statement(id=subject, **_fitted(Statement, values))


def _start_values(event: StatementStarted) -> dict[str, Any]:
    search = "\n".join(
        (event.statement, *event.objects, event.username, event.connection_name, event.database)
    )
    return {
        "has_start": True,
        "started_at": event.started_at,
        "session_id": event.session_id,
        "user_id": event.user_id,
        "username": event.username,
        "route": event.route.value,
        "client_address": event.client.address,
        "client_program": event.client.program,
        "client_version": event.client.version,
        "client_host_name": event.client.host_name,
        "client_user_name": event.client.user_name,
        "connection_id": event.connection_id,
        "connection_name": event.connection_name,
        "database": event.database,
        "statement": event.statement,
        "kind": event.kind,
        "objects_json": _json(to_json(event.objects)),
        "verdict": event.verdict.value,
        "rules_json": _json(to_json(event.rules)),
        "digest": event.digest,
        "policy_version": event.policy_version,
        "catalog_version": event.catalog_version,
        "protocol": event.protocol,
        "parameters": event.parameters,
        "refusal": event.error,
        "refusal_code": event.error_code,
        "reason_json": _json(to_json(event.reason)) if event.reason is not None else "",
        "search_text": search.lower(),
    }


def _end_values(event: StatementCompleted) -> dict[str, Any]:
    return {
        "completed_at": event.completed_at,
        "outcome": event.outcome.value,
        "rows": event.rows,
        "bytes": event.bytes,
        "duration_ms": event.duration_ms,
        "failure": event.error,
        "failure_code": event.error_code,
    }


def _event(record: SpoolRecord, event: AnyEvent, opened: SessionOpened | None) -> Event:
    values: dict[str, Any]
    match event:
        case SessionOpened():
            values = {"at": event.opened_at, "kind": "session.opened", **_session(event)}
            road = "with TLS" if event.tls else "without TLS"
            values["summary"] = f"Session on {event.connection_name} opened, {road}."
            values["after"] = _json(to_json({"client": event.client, "tls": event.tls}))
        case SessionClosed():
            values = {"at": event.closed_at, "kind": "session.closed"}
            if opened is not None:
                values.update(_session(opened))
            values["subject_kind"], values["subject_id"] = "session", event.session_id
            detail = f" {event.detail}" if event.detail else ""
            values["summary"] = f"Session ended: {event.reason.value}.{detail}"
            figures = ("reason", "statements", "rows", "bytes_to_client", "detail")
            values["after"] = _json(to_json({name: getattr(event, name) for name in figures}))
        case SignInRefused():
            values = {
                "at": event.at,
                "kind": "sign_in.refused",
                "actor_name": event.username,
                "subject_kind": "connection",
                "subject_id": event.connection_id,
                "connection_id": event.connection_id,
                "route": event.route.value,
                "address": event.client.address,
                "summary": f"Sign-in refused: {event.code}. {event.detail}".rstrip(),
                "after": _json(to_json({"code": event.code, "client": event.client})),
            }
        case ResultExported():
            part = "part of " if event.filtered else ""
            told = ("client", "format", "file_name", "rows", "filtered", "session_id")
            values = {
                "at": event.at,
                "kind": "result.exported",
                "actor_id": event.user_id,
                "actor_name": event.username,
                "subject_kind": "statement",
                "subject_id": event.statement_id,
                "connection_id": event.connection_id,
                "connection_name": event.connection_name,
                "route": event.route.value,
                "address": event.client.address,
                "summary": f"Took {part}a result from {event.connection_name} away as "
                f"{event.file_name} ({event.rows} rows).",
                "after": _json(to_json({name: getattr(event, name) for name in told})),
            }
        case ApiEvent():
            values = {name: getattr(event, name) for name in ApiEvent.__dataclass_fields__}
        case StatementStarted() | StatementCompleted():
            raise AssertionError("statements are no events")
    names = ("kind", "actor_name", "subject_name", "connection_name", "address", "summary")
    search = "\n".join(str(values.get(name, "")) for name in names)
    values["search_text"] = f"{search}\n{values.get('subject_id', '')}".lower()
    return Event(id=record.event_id, **_fitted(Event, values))


def _session(event: SessionOpened) -> dict[str, Any]:
    return {
        "actor_id": event.user_id,
        "actor_name": event.username,
        "subject_kind": "session",
        "subject_id": event.session_id,
        "connection_id": event.connection_id,
        "connection_name": event.connection_name,
        "route": event.route.value,
        "address": event.client.address,
    }


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _fitted(model: type[models.Model], values: dict[str, Any]) -> dict[str, Any]:
    """Make texts storable and shorten what an indexed column could not hold; the record keeps it
    whole. Statement texts stand in unlimited columns and are never cut."""
    fitted: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, str):
            value = storable(value)
            limit = getattr(model._meta.get_field(name), "max_length", None)
            if limit is not None and len(value) > limit:
                value = value[: limit - 1] + "…"
        fitted[name] = value
    return fitted
