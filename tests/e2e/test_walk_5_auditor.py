"""The auditor finds every statement of every road, exports it and proves that none is missing."""

from __future__ import annotations

import csv
import datetime
import io
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from playwright.sync_api import expect
from tests.agent.fix_agent import Qk
from tests.e2e.editor import EditorScreen
from tests.e2e.fix_browser import Api, Visit
from tests.e2e.roads import Road, governed, through_agent
from tests.e2e.screen import until
from tests.fix_system import System
from tests.middleware.conftest import wait_until

from querykeep_demo.installation import Installation
from querykeep_demo.services import environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUERYKEEP = Path(sys.executable).parent / "querykeep"


def statements(mark: str) -> dict[str, str]:
    """Statements with a mark, by the verdict that they must get."""
    return {
        "allowed": f"SELECT id, '{mark}' AS mark FROM orders WHERE id <= 3",
        "masked": f"SELECT id, email, '{mark}' AS mark FROM customers WHERE id <= 2",
        "denied": f"SELECT '{mark}' AS mark, p.* FROM payroll p",
    }


ROWS = {"allowed": 3, "masked": 2, "denied": None}
RULE = {"allowed": None, "masked": "PII e-mail", "denied": "Payroll"}


def is_whole(rows: list[dict[str, Any]]) -> bool:
    """Whether the statements of all three roads are there with their completions."""
    return len(rows) == 9 and all(row["outcome"] or row["verdict"] == "denied" for row in rows)


def run_all(road: Road, engine: str, texts: dict[str, str]) -> None:
    """Run the statements over a road, with the verdict that each must get."""
    opened: Any = road.psycopg(autocommit=True) if engine == "postgresql" else road.pymysql()
    with opened, opened.cursor() as cursor:
        for verdict, text in texts.items():
            if verdict == "denied":
                with pytest.raises((psycopg.Error, pymysql.err.MySQLError)):
                    cursor.execute(text)
            else:
                cursor.execute(text)
                assert len(cursor.fetchall()) == ROWS[verdict]


def run_agentless(system: System, name: str, texts: dict[str, str]) -> None:
    connection = system.connections[name]
    run_all(governed(system, connection), connection.engine, texts)


def check(entry: dict[str, Any], system: System, name: str, route: str, verdict: str) -> None:
    """Every field of a record."""
    connection = system.connections[name]
    assert entry["user"]["name"] in ("analyst", "이분석 Ana Lyons")
    assert entry["route"] == route
    assert entry["verdict"] == verdict
    assert entry["connection"]["name"] == name
    assert entry["database"] == connection.database
    assert entry["client"]["address"] == "127.0.0.1"
    assert entry["kind"].lower() == "select"
    table = {"allowed": "orders", "masked": "customers", "denied": "payroll"}[verdict]
    assert any(table in str(one) for one in entry["objects"]), entry["objects"]
    assert entry["started_at"]
    rules = [rule["name"] for rule in entry["rules"]]
    if RULE[verdict] is None:
        assert rules == ["read-only"]
    else:
        assert RULE[verdict] in rules
    if verdict == "denied":
        assert entry["rows"] is None
        assert "payroll" in entry["error"]
    else:
        assert int(entry["rows"]) == ROWS[verdict]
        assert int(entry["bytes"]) > 0
        assert entry["duration_ms"] >= 0
        assert entry["outcome"] == "ok"


@pytest.mark.parametrize("name", ["shop-postgresql", "shop-mariadb"])
def test_every_statement_is_found_with_all_its_fields(
    visit: Visit, api_of: Callable[[str], Api], system: System, signed_in: Qk, name: str
) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    texts = statements(mark)
    run_all(governed(system, system.connections[name]), system.connections[name].engine, texts)
    run_all(through_agent(signed_in, name), system.connections[name].engine, texts)
    analyst = visit("analyst")
    editor = EditorScreen(analyst)
    editor.open(system.connections[name].id)
    for text in texts.values():
        editor.run(text)
    api = api_of("auditor")
    found = until(
        analyst.page,
        lambda: api.rows("audit/statements", search=mark),
        is_whole,
    )
    for entry in found:
        (verdict,) = [one for one, text in texts.items() if text == entry["statement"]]
        check(api.read(f"audit/statements/{entry['id']}"), system, name, entry["route"], verdict)
    assert sorted((row["route"], row["verdict"]) for row in found) == sorted(
        (route, verdict) for route in ("editor", "agentless", "agent") for verdict in texts
    )

    auditor = visit("auditor", path=f"/audit/statements?search={mark}")
    rows = auditor.row(mark)
    expect(rows).to_have_count(9)
    auditor.pick("statements.verdict", "verdict.denied")
    expect(rows).to_have_count(3)
    auditor.pick("statements.route", "route.agent")
    expect(rows).to_have_count(1)
    auditor.pick("statements.route", "route.editor")
    expect(rows).to_have_count(1)
    rows.first.click()
    expect(auditor.drawer).to_contain_text(texts["denied"])
    expect(auditor.drawer).to_contain_text("Payroll")
    auditor.go(f"/audit/statements?search={mark}")
    expect(rows).to_have_count(9)
    read: dict[str, Callable[[str], list[str]]] = {
        "export.csv": lambda text: [row["statement"] for row in csv.DictReader(io.StringIO(text))],
        "export.jsonl": lambda text: [json.loads(line)["statement"] for line in text.splitlines()],
    }
    for key, statements_of in read.items():
        auditor.button("statements.export").click()
        with auditor.page.expect_download() as download:
            auditor.page.get_by_role("menuitem", name=auditor.words(key), exact=True).click()
        content = download.value.path().read_text("utf-8-sig")
        assert sorted(statements_of(content)) == sorted([*texts.values()] * 3)


def verify(system: System, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ``querykeep audit verify`` on an installation or a copy of it."""
    installation = Installation.open(system.home, now=datetime.datetime.now(datetime.UTC))
    settings = environment(installation, "api", redis_url="redis://127.0.0.1:1/0")
    return subprocess.run(
        [QUERYKEEP, "audit", "verify"],
        env=settings | {"QUERYKEEP_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def copied(system: System, to: Path) -> Path:
    """Copy what the proof needs; return the copy's audit database."""
    (to / "api").mkdir(parents=True)
    for name in ("metadata.sqlite3", "audit.sqlite3"):
        with (
            closing(sqlite3.connect(system.home / "api" / name)) as source,
            closing(sqlite3.connect(to / "api" / name)) as copy,
        ):
            source.backup(copy)
    shutil.copytree(system.home / "checkpoints", to / "checkpoints")
    return to / "api/audit.sqlite3"


DAMAGES = {
    "nothing": "SELECT 1",
    "changed": "UPDATE audit_record SET payload = replace(payload, 'payroll', 'products')"
    " WHERE rowid = (SELECT max(rowid) FROM audit_record WHERE payload LIKE '%payroll%')",
    "removed": "DELETE FROM audit_record"
    " WHERE rowid = (SELECT max(rowid) FROM audit_record WHERE payload LIKE '%payroll%')",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_passes_and_finds_what_was_changed_or_removed(
    system: System, tmp_path: Path, api_of: Callable[[str], Api], damage: str
) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    run_agentless(system, "shop-postgresql", statements(mark))
    run_agentless(system, "shop-postgresql", statements(f"after{mark}"))
    api = api_of("auditor")
    wait_until(lambda: len(api.rows("audit/statements", search=f"after{mark}")) == 3)
    database = copied(system, tmp_path / "copy")
    with closing(sqlite3.connect(database)) as copy:
        changed = copy.execute(DAMAGES[damage]).rowcount
        copy.commit()
    assert changed == (-1 if damage == "nothing" else 1)
    done = verify(system, tmp_path / "copy")
    if damage == "nothing":
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("whole: ")
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert "NOT WHOLE" in done.stdout
