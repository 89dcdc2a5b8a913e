"""Stored results over the whole road: pages, views, cells, downloads, and whose they are."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pytest
from tests.fix_system import DemoConnection, System
from tests.middleware.browser import Editor, Person
from tests.middleware.conftest import Admin, wait_until

from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.shapes import (
    ColumnFilter,
    ExportFormat,
    FilterOperator,
    ResultView,
    SortKey,
    StatementState,
)

ROWS = 300_000
MANY = {
    "postgresql": (
        "SELECT n AS id, n % 7 AS k, 'row ' || n AS name FROM generate_series(1, 300000) n"
    ),
    "mariadb": (
        "SELECT i.order_id, i.product_id, i.quantity FROM order_items i, (SELECT 1 AS k UNION "
        "SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6) d"
    ),
}


def test_a_large_result_is_paged(editor: Editor, connection: DemoConnection) -> None:
    run = editor.run(MANY[connection.engine])
    assert run.states == [StatementState.DONE]
    (result_id,) = run.results
    counts = [one.rows for one in run.all(wire.RowsAvailable)]
    told = [(one.rows, one.complete) for one in run.all(wire.RowsAvailable)]
    assert counts == sorted(counts)
    assert len(told) == len(set(told))
    assert told[-1] == (ROWS, True)
    assert run.one(wire.StatementFinished).row_count == ROWS
    page = editor.page(result_id, 299_990, 100)
    assert (page.total, page.complete, len(page.rows)) == (ROWS, True, 10)
    middle = editor.page(result_id, 150_000, 5).rows
    assert editor.page(result_id, 150_002, 1).rows == (middle[2],)
    assert editor.page(result_id, ROWS, 10).rows == ()


def test_a_large_result_is_sorted_filtered_and_searched(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run(MANY["postgresql"]).results
        view = ResultView(
            sort=(SortKey(1, descending=True), SortKey(0, descending=True)),
            filters=(ColumnFilter(0, FilterOperator.GREATER, "299990"),),
        )
        page = editor.page(result_id, 0, 3, view)
        assert page.total == 10
        numbers = sorted(range(299_991, 300_001), key=lambda n: (n % 7, n), reverse=True)
        assert [row[0] for row in page.rows] == [str(n) for n in numbers[:3]]
        found = editor.page(result_id, 0, 10, ResultView(search="ROW 123456"))
        assert [row[2] for row in found.rows] == ["row 123456"]
        assert (
            editor.refused(
                wire.FetchRows("", result_id, 0, 10, ResultView(sort=(SortKey(9),)))
            ).code
            == "bad_request"
        )


def test_rows_can_be_read_while_the_result_grows(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        before = len(editor.seen)
        run_id = editor.start("SELECT a.id FROM orders a CROSS JOIN orders b")
        started = editor.event(wire.ResultStarted)
        editor.event(wire.RowsAvailable)
        page = editor.page(started.result_id, 0, 3)
        assert len(page.rows) == 3
        assert not page.complete
        editor.send(wire.CancelRun("", "t"))
        run = editor.finish(run_id, before)
        assert run.states == [StatementState.CANCELLED]
        kept = editor.page(started.result_id, 0, 1)
        assert kept.complete
        assert 0 < kept.total < 20_000 * 20_000
        editor.ask(wire.CloseResult("", started.result_id))
        assert editor.refused(wire.FetchRows("", started.result_id, 0, 1)).code == "expired"


def test_long_cells_are_cut_and_read_whole(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        run = editor.run("SELECT 'short', repeat('가나', 5000)")
        (result_id,) = run.results
        page = editor.page(result_id)
        assert [(one.row, one.column) for one in page.cut] == [(0, 1)]
        shown = page.rows[0][1]
        assert shown == "가나" * (wire.CELL_PREVIEW_CHARACTERS // 2)
        cell = editor.ask(wire.FetchCell("", result_id, 0, 1))
        assert cell.value == "가나" * 5000
        assert editor.refused(wire.FetchCell("", result_id, 0, 9)).code == "bad_request"
        assert editor.refused(wire.FetchCell("", result_id, 5, 0)).code == "not_found"


def test_a_download_as_csv_and_json_lines(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run(
            "SELECT '=1+1' AS f, '한글, \"x\"' AS f, -5 AS n, NULL::text AS e, '-2' AS t"
        ).results
        ready = editor.export(result_id, for_spreadsheet=True)
        answer = analyst.http.get(ready.url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert ready.file_name in answer.headers["content-disposition"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(answer.content[3:].decode(), newline="")))
        assert rows == [
            ["f", "f", "n", "e", "t"],
            ["'=1+1", '한글, "x"', "-5", "", "-2"],
        ]
        assert analyst.http.get(ready.url).status_code == 404
        plain = analyst.http.get(editor.export(result_id).url)
        assert plain.content.startswith(b"f,f,n,e,t\r\n=1+1,")
        lines = analyst.http.get(editor.export(result_id, ExportFormat.JSONL).url)
        assert [json.loads(line) for line in lines.text.splitlines()] == [
            {"f": "=1+1", "f_2": '한글, "x"', "n": "-5", "e": None, "t": "-2"}
        ]


def test_a_download_follows_the_view_and_outlives_the_session(
    analyst: Person, connection: DemoConnection
) -> None:
    with analyst.editor() as editor:
        editor.connect(connection.id)
        (result_id,) = editor.run("SELECT id FROM products").results
        editor.ask(wire.CloseSession("", "t"))
        view = ResultView(
            sort=(SortKey(0, descending=True),),
            filters=(ColumnFilter(0, FilterOperator.LESS, "4"),),
        )
        answer = analyst.http.get(editor.export(result_id, view=view).url)
        assert answer.text == "id\r\n3\r\n2\r\n1\r\n"


def test_a_download_is_in_the_audit_log_before_it_is_sent(
    analyst: Person, admin: Admin, system: System
) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        run = editor.run("SELECT id FROM products ORDER BY id LIMIT 5")
        statement = run.one(wire.StatementStarted).statement_id
        (result_id,) = run.results
        view = ResultView(filters=(ColumnFilter(0, FilterOperator.LESS, "4"),))
        ready = editor.export(result_id, ExportFormat.JSONL, view=view)
        found = admin.list("/audit/events", kind="result.exported", subject=statement)
        assert found == []  # a download that is offered and never fetched takes nothing away
        assert analyst.http.get(ready.url).status_code == 200
    wait_until(
        lambda: len(admin.list("/audit/events", kind="result.exported", subject=statement)) == 1
    )
    (event,) = admin.list("/audit/events", kind="result.exported", subject=statement)
    assert event["actor"]["name"] == "analyst"
    assert event["connection"]["id"] == system.postgresql.id
    assert event["address"] == "127.0.0.1"
    told = event["after"]
    assert (told["format"], told["rows"], told["filtered"]) == ("jsonl", 3, True)
    assert told["file_name"] == ready.file_name


def test_a_large_download_is_whole(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run(MANY["postgresql"]).results
        with analyst.http.stream("GET", editor.export(result_id).url) as answer:
            lines = sum(part.count(b"\r\n") for part in answer.iter_bytes())
        assert lines == ROWS + 1


def test_results_and_downloads_are_one_persons(
    analyst: Person, developer: Person, system: System
) -> None:
    with analyst.editor() as mine, developer.editor() as other:
        mine.connect(system.postgresql.id)
        (result_id,) = mine.run("SELECT 1").results
        assert other.refused(wire.FetchRows("", result_id, 0, 1)).code == "expired"
        assert other.refused(wire.FetchCell("", result_id, 0, 0)).code == "expired"
        assert other.refused(wire.ExportResult("", result_id, ExportFormat.CSV)).code == "expired"
        other.ask(wire.CloseResult("", result_id))
        assert mine.page(result_id).rows == (("1",),)
        url = mine.export(result_id).url
        assert developer.http.get(url).status_code == 404


def test_only_what_a_grant_with_export_covers_now_is_taken_away(
    auditor: Person, admin: Admin, system: System
) -> None:
    shop = system.postgresql
    (person,) = admin.list("/users", search="auditor")
    (full,) = (one for one in admin.list("/privileges") if one["name"] == "read-only")
    look = admin.make("/privileges", {"name": "look only", "kinds": ["select"]})
    holder = {"user": person["id"], "connection": shop.id}
    products = [{"schema": "*", "table": "products"}]
    made = [
        admin.make("/grants", {**holder, **more})
        for more in (
            {"privilege": look["id"]},
            {"privilege": full["id"], "objects": products},
            {"privilege": full["id"], "valid_from": "2999-01-01T00:00:00Z"},
        )
    ]
    try:
        with auditor.editor() as editor:
            editor.connect(shop.id)
            (orders,) = editor.run("SELECT id FROM orders LIMIT 3").results
            (covered,) = editor.run("SELECT id FROM products LIMIT 3").results
            refused = editor.refused(wire.ExportResult("", orders, ExportFormat.CSV))
            assert refused.code == "not_allowed"
            assert auditor.http.get(editor.export(covered).url).status_code == 200
            ready = editor.export(covered)
            admin.delete(f"/grants/{made[1]['id']}")
            again = wire.ExportResult("", covered, ExportFormat.CSV)
            wait_until(lambda: isinstance(editor.ask(again), wire.RequestFailed))
            assert editor.refused(again).code == "not_allowed"
            assert editor.page(covered).total == 3
            assert auditor.http.get(ready.url).status_code == 404
    finally:
        for grant in made:
            admin.delete(f"/grants/{grant['id']}")
        admin.delete(f"/privileges/{look['id']}")


def test_a_download_needs_a_web_session(analyst: Person, system: System) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run("SELECT 1").results
        url = editor.export(result_id).url
        assert httpx.get(f"{analyst.web}{url}", trust_env=False).status_code == 401
        assert analyst.http.get(url).status_code == 200


def test_the_clean_up_job_succeeds(admin: Admin) -> None:
    run = admin.make("/jobs/result_store_cleanup/run", {})
    path = f"/jobs/result_store_cleanup/runs/{run['id']}"

    def state() -> str:
        return str(admin.http.get(path).json()["state"])

    wait_until(lambda: state() not in ("queued", "running", "waiting"), 60)
    done = admin.http.get(path).json()
    assert done["state"] in ("succeeded", "ok", "done"), done
    assert done["changes"]


@pytest.mark.parametrize("limit", [0, -1, wire.MAX_PAGE_ROWS + 1])
def test_pages_are_bounded(analyst: Person, system: System, limit: int) -> None:
    with analyst.editor() as editor:
        editor.connect(system.postgresql.id)
        (result_id,) = editor.run("SELECT 1").results
        assert editor.refused(wire.FetchRows("", result_id, 0, limit)).code == "bad_request"
