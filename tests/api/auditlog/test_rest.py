"""The audit log over HTTP: who may, every filter, paging, exports, ingest, delivery."""

from __future__ import annotations

import csv
import io
import json
import resource
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from tests.fix_api import ApiCaller

from querykeep_api.auditlog.delivery import DeliveryThread, deliver_outbox
from querykeep_api.auditlog.ingest import ingest
from querykeep_api.auditlog.models import Event, Record, Statement
from querykeep_api.kernel import outbox
from querykeep_api.kernel.models import OutboxEvent
from querykeep_guard.contracts.audit import AppliedRule, Outcome, Verdict
from querykeep_guard.contracts.codec import to_json
from querykeep_guard.contracts.session import ClientInfo, Route

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)

READS = (
    "audit/statements",
    "audit/statements/proxy-a-statement-1",
    "audit/events",
    "audit/events/proxy-a-event-1",
    "audit/summary",
)


@pytest.fixture
def auditor(new_user: Callable[..., Any], as_user: Callable[..., Any]) -> Any:
    return as_user(new_user("auditor", "audit.view", "audit.export"))


@pytest.fixture
def filled(spool, second_spool) -> None:
    """Statements 1–4 of proxy-a and 1 of proxy-b, each unlike the others."""
    spool.session()
    spool.statement("SELECT * FROM customers", verdict=Verdict.MASKED)
    refused = spool.started(
        "SELECT salary FROM employees",
        verdict=Verdict.DENIED,
        rules=(AppliedRule("A-3", "Salaries", "access", "deny"),),
        error="column may not be read",
        error_code="42501",
        objects=("public.employees",),
    )
    spool.write(refused)
    start = spool.started("UPDATE Orders SET status = '완료'", kind="update", route=Route.EDITOR)
    spool.write(start)
    spool.write(
        spool.completed(start, outcome=Outcome.ERROR, error="dead", error_code="40P01", rows=0)
    )
    spool.write(spool.started("SELECT 4", user_id="user-2", username="developer"))
    second_spool.statement(
        "SELECT 50% FROM t_x",
        connection_id="connection-2",
        connection_name="shop-mariadb",
        client=ClientInfo("10.9.9.9", program="mysql"),
    )
    for each in (spool, second_spool):
        ingest(each.records, service="proxy", ep="proxy-1", now=NOW)


@pytest.fixture
def from_proxy(internal_urls: None, service_key: Callable[[str], str], db: None) -> ApiCaller:
    return ApiCaller({"Authorization": service_key("proxy")})


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [entry["id"] for entry in answer.json()["results"]]


def test_permissions(filled, anonymous, auditor, new_user, as_user) -> None:
    nobody = as_user(new_user("nobody", "users.view", "jobs.view", "sessions.view"))
    viewer = as_user(new_user("viewer", "audit.view"))
    scoped = as_user(new_user("scoped", "audit.view", "audit.export"), "users.view")
    for path in READS:
        assert anonymous.get(path).status_code == 401
        assert nobody.get(path).status_code == 403
        assert scoped.get(path).status_code == 403
        assert viewer.get(path).status_code == 200
        assert auditor.get(path).status_code == 200
    for caller, expected in ((anonymous, 401), (nobody, 403), (viewer, 403), (auditor, 200)):
        assert caller.get("audit/statements/export?format=csv").status_code == expected
    for caller, expected in ((anonymous, 401), (nobody, 403), (viewer, 403)):
        assert caller.post("audit/verify").status_code == expected
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert auditor(method, "audit/statements/proxy-a-statement-1").status_code in (403, 405)


def test_statement_as_promised(filled, auditor) -> None:
    entry = auditor.get("audit/statements/proxy-a-statement-1").json()
    assert entry["started_at"] == "2026-03-01T09:00:01.123456Z"
    assert entry["user"] == {"id": "user-1", "name": "analyst"}
    assert entry["client"]["program"] == "psql"
    assert entry["client"]["address"] == "10.1.2.3"
    assert (entry["verdict"], entry["outcome"], entry["route"]) == ("masked", "ok", "agentless")
    assert (entry["rows"], entry["bytes"], entry["duration_ms"]) == ("7", str(2**40), 12.5)
    assert [record["sequence"] for record in entry["records"]] == ["4", "5"]
    refused = auditor.get("audit/statements/proxy-a-statement-2").json()
    assert (refused["outcome"], refused["rows"]) == (None, None)
    assert refused["error"] == "column may not be read"
    assert refused["rules"][0]["id"] == "A-3"
    assert auditor.get("audit/statements/none").status_code == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("user=developer", {"a-4"}),
        ("user=user-2", {"a-4"}),
        ("user=developer&user=analyst", {"a-1", "a-2", "a-3", "a-4", "b-1"}),
        ("connection=shop-mariadb", {"b-1"}),
        ("connection=connection-2", {"b-1"}),
        ("route=editor", {"a-3"}),
        ("verdict=denied", {"a-2"}),
        ("verdict=denied&verdict=masked", {"a-1", "a-2"}),
        ("outcome=error", {"a-3"}),
        ("kind=update", {"a-3"}),
        ("session=proxy-b-session", {"b-1"}),
        ("since=2026-03-01T09:00:04.123456Z", {"a-4"}),
        ("until=2026-03-01T18:00:02%2B09:00", {"a-1", "b-1"}),
        ("search=ORDERS", {"a-3"}),
        ("search=완료", {"a-3"}),
        ("search=50%25 from", {"b-1"}),
        ("search=t_x", {"b-1"}),
        ("search=public.employees", {"a-2"}),
        ("search=shop-maria", {"b-1"}),
        ("search=nothing like it", set()),
        ("user=analyst&verdict=allowed&route=agentless", {"b-1"}),
    ],
)
def test_filters(filled, auditor, query: str, expected: set[str]) -> None:
    found = ids(auditor.get(f"audit/statements?{query}"))
    assert {name.removeprefix("proxy-").replace("-statement", "") for name in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        "verdict=maybe",
        "route=tunnel",
        "since=yesterday",
        "since=2026-02-31T00:00:00Z",
        "since=0001-01-01T00:00:00%2B14:00",
        "ordering=statement",
        "colour=red",
    ],
)
def test_bad_filters_are_errors(filled, auditor, query: str) -> None:
    answer = auditor.get(f"audit/statements?{query}")
    assert answer.status_code == 400
    assert answer.json()["fields"]
    assert "must be in" not in answer.json()["detail"]


def test_paging_and_ordering(filled, auditor) -> None:
    everything = ids(auditor.get("audit/statements"))
    assert everything[0] == "proxy-a-statement-4"
    seen: list[str] = []
    path = "/api/v1/audit/statements?limit=2"
    while path:
        page = auditor.get(path).json()
        seen += [entry["id"] for entry in page["results"]]
        path = (page["next"] or "").removeprefix("http://testserver")
    assert sorted(seen) == sorted(everything)
    assert len(seen) == len(set(seen)) == 5
    ascending = ids(auditor.get("audit/statements?ordering=started_at"))
    assert ascending[-1] == "proxy-a-statement-4"


def test_events_and_their_filters(filled, auditor) -> None:
    kinds = [entry["kind"] for entry in auditor.get("audit/events").json()["results"]]
    assert sorted(kinds)[-3:] == ["session.closed", "session.opened", "sign_in.refused"]
    closed = auditor.get("audit/events?kind=session.closed").json()["results"][0]
    assert closed["actor"] == {"id": "user-1", "name": "analyst"}
    assert closed["after"]["reason"] == "revoked"
    assert len(ids(auditor.get("audit/events?kind=session"))) == 2
    assert len(ids(auditor.get("audit/events?user=mallory"))) == 1
    assert len(ids(auditor.get("audit/events?connection=shop-postgresql&search=grant was"))) == 1


def test_rows_that_someone_broke_are_still_shown(filled, auditor) -> None:
    Event.objects.filter(kind="session.opened").update(after="not json")
    broken = Statement.objects.filter(pk="proxy-a-statement-1")
    broken.update(rules_json="{", reason_json="{")
    opened = auditor.get("audit/events?kind=session.opened").json()["results"][0]
    assert opened["after"] == {"text": "not json"}
    shown = auditor.get("audit/statements/proxy-a-statement-1").json()
    assert (shown["rules"], shown["reason"]) == ([], {"text": "{"})
    assert auditor.get("audit/statements").status_code == 200


def test_summary_counts_by_verdict_and_hour(filled, auditor) -> None:
    query = "since=2026-03-01T08:00:00Z&until=2026-03-01T10:00:00Z"
    body = auditor.get(f"audit/summary?{query}").json()
    assert body["total"] == 5
    assert body["by_verdict"]["denied"] == 1
    assert [hour["at"] for hour in body["hours"]] == ["2026-03-01T09:00:00Z"]
    assert body["hours"][0]["allowed"] == 3
    late = auditor.get("audit/summary?since=2020-01-01T00:00:00Z")
    assert late.status_code == 400
    before_all = "since=0001-01-01T00:00:00%2B14:00&until=0001-01-02T00:00:00Z"
    assert auditor.get(f"audit/summary?{before_all}").status_code == 400


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_csv_export_is_safe_in_spreadsheets(spool, auditor) -> None:
    texts = ["=1+1", "+SUM(A1)", "-1", "@cmd", "\ttab", "\n=1", " =1", "＝1+1"]
    harmless = ['a "quoted", line\nbreak', "한글", " 1 = 1"]
    for text in texts + harmless:
        spool.statement(text)
    ingest(spool.records, service="proxy", ep="proxy-1", now=NOW)
    answer = auditor.get("audit/statements/export?format=csv&ordering=started_at")
    assert answer["Content-Type"].startswith("text/csv")
    raw = body_of(answer)
    assert not raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    assert [row["statement"] for row in rows] == [f"'{text}" for text in texts] + harmless
    assert rows[0]["bytes"] == str(2**40)
    with_bom = body_of(auditor.get("audit/statements/export?format=csv&bom=1"))
    assert with_bom.startswith(b"\xef\xbb\xbf")
    deliver_outbox(NOW)
    assert Event.objects.filter(kind="audit.exported").count() == 2


def test_jsonl_export_with_filters(filled, auditor) -> None:
    answer = auditor.get("audit/statements/export?format=jsonl&verdict=denied")
    lines = body_of(answer).decode().splitlines()
    assert [json.loads(line)["statement"] for line in lines] == ["SELECT salary FROM employees"]
    assert auditor.get("audit/statements/export?format=xml").status_code == 400
    empty = auditor.get("audit/statements/export?format=csv&verdict=needs_reason")
    assert body_of(empty).decode().startswith("id,started_at,")


def test_export_of_many_rows_needs_little_memory(auditor) -> None:
    text = "SELECT " + "x" * 4000
    for start in range(0, 20_000, 5000):
        Statement.objects.bulk_create(
            [
                Statement(
                    id=f"s{number:06}",
                    has_start=True,
                    started_at=NOW + timedelta(milliseconds=number),
                    statement=text,
                    verdict="allowed",
                    route="editor",
                )
                for number in range(start, start + 5000)
            ]
        )
    answer = auditor.get("audit/statements/export?format=csv")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(chunk.count(b"\r\n") for chunk in answer.streaming_content)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count == 20_001
    # All rows at once would be more than 80 MiB.
    assert grown_kib < 20 * 1024


def test_long_texts_are_whole_in_their_entry_and_exports_and_short_in_lists(auditor) -> None:
    """Anyone who may run statements decides how long they are: a page stays small all the same."""
    text = "SELECT '" + "가" * 1_000_000 + "'"
    Statement.objects.bulk_create(
        Statement(
            id=f"s{number:02}",
            has_start=True,
            started_at=NOW + timedelta(seconds=number),
            statement=text if number else "SELECT 1",
            search_text=text,
        )
        for number in range(20)
    )
    answer = auditor.get("audit/statements?ordering=started_at")
    assert len(answer.content) < 20 * 100_000
    short, long, *_ = answer.json()["results"]
    assert (short["statement"], short["statement_is_cut"]) == ("SELECT 1", False)
    assert (long["statement"], long["statement_is_cut"]) == (text[:20_000], True)
    entry = auditor.get("audit/statements/s01").json()
    assert (entry["statement"], entry["statement_is_cut"]) == (text, False)
    exported = auditor.get("audit/statements/export?format=jsonl&ordering=-started_at")
    tracemalloc.start()
    try:
        seen = []
        for line in exported.streaming_content:
            shown = json.loads(line)
            assert shown["statement"] in (text, "SELECT 1")
            seen.append(shown["id"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == [f"s{number:02}" for number in reversed(range(20))]
    assert peak < 30 * 1024 * 1024  # Python holds 2 MB of each text, 38 MB of all


def test_verify_over_http(filled, auditor, audit_files) -> None:
    body = auditor.post("audit/verify").json()
    assert (body["ok"], body["findings"]) == (True, [])
    Record.objects.filter(spool_id="proxy-a", sequence=2).update(payload="{}")
    body = auditor.post("audit/verify").json()
    assert body["ok"] is False
    assert ("changed", "proxy-a", "2") in {
        (f["kind"], f["spool_id"], f["sequence"]) for f in body["findings"]
    }
    assert auditor.post("audit/verify", {"since": "x"}).status_code == 400


def test_ingest_endpoint(spool, from_proxy, service_key, anonymous) -> None:
    spool.statement()
    body = {"ep": "proxy-1", "records": [to_json(record) for record in spool.records]}
    path = "/internal/v1/audit/records"
    assert anonymous.post(path, body).status_code == 401
    tool = {"Authorization": service_key("tool")}
    assert from_proxy.post(path, body, **tool).status_code == 403
    for _ in range(2):
        answer = from_proxy.post(path, body)
        assert answer.json() == {"acknowledged": {"proxy-a": 2}}
    assert Record.objects.count() == 2
    assert from_proxy.post(path, {"ep": "x", "records": [{}]}).status_code == 400
    assert from_proxy.post(path, {"records": []}).status_code == 400
    own = [to_json(replace(spool.records[0], spool_id="api", event_id="z"))]
    assert from_proxy.post(path, {"ep": "x", "records": own}).status_code == 400
    assert from_proxy.post(path, {"ep": "x", "records": []}).json() == {"acknowledged": {}}


def test_large_statement_is_taken_and_found(spool, from_proxy) -> None:
    spool.statement("SELECT '" + "가" * 5_000_000 + "' -- the end")
    body = {"ep": "proxy-1", "records": [to_json(record) for record in spool.records]}
    assert from_proxy.post("/internal/v1/audit/records", body).status_code == 200
    assert Statement.objects.get().statement.endswith("-- the end")


def write_outbox(kind: str = "grant.created") -> None:
    with transaction.atomic():
        outbox.record(
            kind,
            actor=None,
            subject=outbox.SubjectRef("grant", "g1", "analyst on shop"),
            summary="Made a grant.",
            after={"valid_until": None, "name": "한글"},
            address="10.0.0.1",
        )


def test_outbox_is_delivered_once_even_when_the_mark_is_lost(db) -> None:
    write_outbox()
    assert deliver_outbox(NOW) >= 1
    OutboxEvent.objects.update(delivered_at=None)
    assert deliver_outbox(NOW) == 0
    event = Event.objects.get(kind="grant.created")
    assert json.loads(event.after) == {"valid_until": None, "name": "한글"}
    assert OutboxEvent.objects.filter(delivered_at=None).count() == 0


def test_delivery_thread_delivers_within_a_second_of_the_commit(db) -> None:
    thread = DeliveryThread()
    thread.start()
    try:
        write_outbox("group.created")
        deadline = time.monotonic() + 10
        while not Event.objects.filter(kind="group.created").exists():
            assert time.monotonic() < deadline, "the thread delivers"
            time.sleep(0.02)
    finally:
        thread.stop()
