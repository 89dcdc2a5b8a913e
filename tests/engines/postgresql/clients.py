"""Clients of a governed PostgreSQL, and a decision that masks and refuses."""

from __future__ import annotations

import os
import subprocess

import psycopg
from psycopg.rows import tuple_row
from tests.engines.postgresql.harness import (
    Governed,
    allow,
    deny,
    mask,
    split,
)

from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import SessionContext

Connection = psycopg.Connection[tuple[object, ...]]
FULL = "*****"


def connect(server: Governed, **options: object) -> Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user="ana",
        dbname="shop",
        sslmode="disable",
        row_factory=tuple_row,
        **options,  # type: ignore[arg-type]
    )


def masking(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    """Mask the second column of what reads two columns of customers; refuse payroll."""
    found = []
    for part in split(text):
        if "payroll" in part:
            found.append(deny(part, "table payroll is refused"))
        elif "id, email" in part or part.lower().lstrip().startswith(("fetch", "execute")):
            found.append(allow(part, MaskPlan(2, (mask(1),), redact_errors=True)))
        else:
            found.append(allow(part))
    return tuple(found)


def environment(server: Governed) -> dict[str, str]:
    return {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "ana",
        "PGDATABASE": "shop",
        "PGSSLMODE": "disable",
    }


def run(server: Governed, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=environment(server),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
