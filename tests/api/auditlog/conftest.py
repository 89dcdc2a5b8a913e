"""A spool as an enforcement point writes it, and the audit store's own folder."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querykeep_guard.audit.chain import GENESIS_HASH, make_record
from querykeep_guard.contracts.audit import (
    AppliedRule,
    AuditEvent,
    Outcome,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    SpoolRecord,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.session import ClientInfo, EndReason, Route

START = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
CLIENT = ClientInfo(address="10.1.2.3", program="psql", version="15.4")


@dataclass
class Spool:
    """Writes a chain in order; ``records`` holds all of it."""

    spool_id: str = "proxy-a"
    records: list[SpoolRecord] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def write(self, event: AuditEvent) -> SpoolRecord:
        sequence = len(self.records) + 1
        prev_hash = self.records[-1].hash if self.records else GENESIS_HASH
        event_id = f"{self.spool_id}-event-{sequence}"
        at = START + timedelta(milliseconds=sequence)
        record = make_record(self.spool_id, sequence, event_id, at, event, prev_hash)
        self.records.append(record)
        return record

    def started(self, text: str = "SELECT 1", **changes: object) -> StatementStarted:
        number = next(self.numbers)
        event = StatementStarted(
            statement_id=f"{self.spool_id}-statement-{number}",
            session_id=f"{self.spool_id}-session",
            started_at=START + timedelta(seconds=number),
            user_id="user-1",
            username="analyst",
            route=Route.AGENTLESS,
            client=CLIENT,
            connection_id="connection-1",
            connection_name="shop-postgresql",
            database="shop",
            statement=text,
            kind="select",
            objects=("public.customers",),
            verdict=Verdict.ALLOWED,
            rules=(AppliedRule("grant-1", "Analysts read", "grant", "grant"),),
            digest="d1",
            policy_version=3,
            catalog_version="c1",
        )
        return replace(event, **changes)  # type: ignore[arg-type]  # tests name real fields

    def completed(self, start: StatementStarted, **changes: object) -> StatementCompleted:
        event = StatementCompleted(
            statement_id=start.statement_id,
            session_id=start.session_id,
            completed_at=start.started_at + timedelta(milliseconds=12),
            outcome=Outcome.OK,
            rows=7,
            bytes=2**40,
            duration_ms=12.5,
        )
        return replace(event, **changes)  # type: ignore[arg-type]  # tests name real fields

    def statement(self, text: str = "SELECT 1", **changes: object) -> StatementStarted:
        """Write a statement that ran well."""
        start = self.started(text, **changes)
        self.write(start)
        self.write(self.completed(start))
        return start

    def session(self) -> None:
        """Write a session that opened and closed, and a refused sign-in."""
        self.write(
            SessionOpened(
                session_id=f"{self.spool_id}-session",
                opened_at=START,
                user_id="user-1",
                username="analyst",
                route=Route.AGENTLESS,
                client=CLIENT,
                connection_id="connection-1",
                connection_name="shop-postgresql",
                tls=True,
            )
        )
        self.write(
            SessionClosed(
                session_id=f"{self.spool_id}-session",
                closed_at=START + timedelta(minutes=1),
                reason=EndReason.REVOKED,
                statements=1,
                rows=7,
                bytes_to_client=100,
                detail="Your grant was removed.",
            )
        )
        self.write(
            SignInRefused(
                at=START,
                connection_id="connection-1",
                username="mallory",
                route=Route.AGENTLESS,
                client=CLIENT,
                code="bad_credentials",
            )
        )


@pytest.fixture
def spool() -> Spool:
    return Spool()


@pytest.fixture
def second_spool() -> Spool:
    return Spool("proxy-b")


@pytest.fixture
def audit_files(tmp_path: Path, settings: object) -> Path:
    """A root key and a checkpoint file of this test's own; returns the file's path."""
    secret = tmp_path / "api.key"
    secret.write_text(base64.b64encode(os.urandom(32)).decode("ascii"))
    path = tmp_path / "checkpoints" / "audit.jsonl"
    settings.QUERYKEEP = replace(  # type: ignore[attr-defined]  # pytest-django's settings
        settings.QUERYKEEP,  # type: ignore[attr-defined]
        secret_file=secret,
        checkpoint_file=path,
    )
    return path
