"""The result store and its views, by themselves."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_middleware.editor.shapes import (
    ColumnFilter,
    ExportFormat,
    FilterOperator,
    ResultView,
    SortKey,
)
from querykeep_middleware.results.export import export
from querykeep_middleware.results.preview import PAGE_CHARACTERS, preview
from querykeep_middleware.results.store import (
    ResultGoneError,
    ResultStore,
    Row,
    StoredResult,
    StoreError,
    rows_of,
)
from querykeep_middleware.results.views import Views

LIMIT = 256 * 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """An empty store."""
    return ResultStore(tmp_path, limit_bytes=LIMIT)


def stored(
    store: ResultStore, rows: list[Row], kinds: tuple[str, ...], result_id: str = "r"
) -> StoredResult:
    """Store rows and finish."""
    result = store.begin(result_id, "me", [f"c{i}" for i in range(len(kinds))], kinds)
    for start in range(0, len(rows), 1000):
        store.append(result, rows[start : start + 1000])
    store.finish(result)
    return result


def test_rows_come_back_as_they_were(store: ResultStore) -> None:
    rows: list[Row] = [(str(i), None if i % 3 else "한글 😀\x00\n") for i in range(20_000)]
    result = stored(store, rows, ("integer", "text"))
    assert (result.rows, result.complete) == (20_000, True)
    assert rows_of(store.read(result, 0, 20_000)) == rows
    assert rows_of(store.read(result, 8190, 5)) == rows[8190:8195]
    assert rows_of(store.read(result, 19_999, 5)) == rows[19_999:]
    assert rows_of(store.read(result, 20_000, 5)) == []
    assert rows_of(store.table(result).slice(5, 2)) == rows[5:7]


def test_the_first_rows_can_be_read_at_once(store: ResultStore) -> None:
    result = store.begin("r", "me", ["a"], ["text"])
    store.append(result, [("x",)])
    assert result.rows == 1
    assert not result.complete
    assert rows_of(store.read(result, 0, 10)) == [("x",)]


def test_a_result_is_its_owners(store: ResultStore) -> None:
    result = stored(store, [("1",)], ("integer",))
    assert store.get("r", "me") is result
    for owner in ("you", ""):
        with pytest.raises(ResultGoneError):
            store.get("r", owner)


def test_removal_frees_the_disk_and_stops_appending(store: ResultStore, tmp_path: Path) -> None:
    result = store.begin("r", "me", ["a"], ["text"])
    store.append(result, [("x",)] * 10_000)
    assert store.used_bytes > 0
    store.remove("r")
    store.append(result, [("y",)])
    store.finish(result)
    assert store.used_bytes == 0
    assert list((tmp_path / "rows").iterdir()) == []
    with pytest.raises(ResultGoneError):
        store.get("r", "me")
    with pytest.raises(ResultGoneError):
        store.read(result, 0, 1)


def test_a_full_store_says_so(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, limit_bytes=100_000)
    result = store.begin("r", "me", ["a"], ["text"])
    rows: list[Row] = [("x" * 100,)] * 10_000
    with pytest.raises(StoreError, match="full"):
        store.append(result, rows)
    store.finish(result)
    assert result.complete


def test_a_new_store_forgets_what_an_earlier_process_left(tmp_path: Path) -> None:
    stored(ResultStore(tmp_path, limit_bytes=LIMIT), [("1",)], ("integer",))
    again = ResultStore(tmp_path, limit_bytes=LIMIT)
    assert list((tmp_path / "rows").iterdir()) == []
    with pytest.raises(ResultGoneError):
        again.get("r", "me")


def test_old_results_are_found(store: ResultStore) -> None:
    result = stored(store, [("1",)], ("integer",))
    growing = store.begin("g", "me", ["a"], ["text"])
    assert store.older_than(3600) == []
    assert store.older_than(-1) == [result]
    assert growing not in store.older_than(-1)


def view(store: ResultStore, result: StoredResult, asked: ResultView) -> list[Row]:
    """All rows of a view."""
    table, total = Views(store).page(result, asked, 0, 1_000_000)
    rows = rows_of(table)
    assert len(rows) == total
    return rows


BIG = "123456789012345678901234567890"


def test_numbers_sort_as_numbers_and_null_stands_last(store: ResultStore) -> None:
    values = ["10", "9", None, "-3", BIG, "1.50", "1.5"]
    result = stored(store, [(value,) for value in values], ("decimal",))
    up = [row[0] for row in view(store, result, ResultView(sort=(SortKey(0),)))]
    assert up == ["-3", "1.50", "1.5", "9", "10", BIG, None]
    down = [row[0] for row in view(store, result, ResultView(sort=(SortKey(0, True),)))]
    assert down == [BIG, "10", "9", "1.50", "1.5", "-3", None]


def test_text_sorts_without_regard_to_case(store: ResultStore) -> None:
    result = stored(store, [("b",), ("A",), ("10",), ("9",), ("가",)], ("text",))
    rows = view(store, result, ResultView(sort=(SortKey(0),)))
    assert [row[0] for row in rows] == ["10", "9", "A", "b", "가"]


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (FilterOperator.EQUALS, "2", ["2"]),
        (FilterOperator.EQUALS, " 2.0 ", ["2"]),
        (FilterOperator.NOT_EQUALS, "2", ["10", "-1"]),
        (FilterOperator.LESS, "3", ["2", "-1"]),
        (FilterOperator.GREATER, "2", ["10"]),
        (FilterOperator.CONTAINS, "1", ["10", "-1"]),
        (FilterOperator.STARTS_WITH, "1", ["10"]),
        (FilterOperator.IS_NULL, "", [None]),
        (FilterOperator.NOT_NULL, "", ["2", "10", "-1"]),
    ],
)
def test_filters(
    store: ResultStore, operator: FilterOperator, value: str, expected: list[str | None]
) -> None:
    result = stored(store, [("2",), (None,), ("10",), ("-1",)], ("integer",))
    asked = ResultView(filters=(ColumnFilter(0, operator, value),))
    assert [row[0] for row in view(store, result, asked)] == expected


def test_a_filter_that_is_no_number(store: ResultStore) -> None:
    result = stored(store, [("2",)], ("integer",))
    with pytest.raises(StoreError, match="no number"):
        view(store, result, ResultView(filters=(ColumnFilter(0, FilterOperator.LESS, "x"),)))


def test_a_filter_text_is_no_pattern(store: ResultStore) -> None:
    result = stored(store, [("50%",), ("500",), (".*",)], ("text",))
    for text in ("50%", ".*"):
        asked = ResultView(filters=(ColumnFilter(0, FilterOperator.CONTAINS, text),))
        assert [row[0] for row in view(store, result, asked)] == [text]


def test_a_search_looks_into_every_cell(store: ResultStore) -> None:
    result = stored(store, [("Alpha", None), (None, "beta"), (None, None)], ("text", "text"))
    assert view(store, result, ResultView(search="ALPH")) == [("Alpha", None)]
    assert view(store, result, ResultView(search="a")) == [("Alpha", None), (None, "beta")]


def test_a_column_that_does_not_exist(store: ResultStore) -> None:
    result = stored(store, [("1",)], ("integer",))
    for column in (-1, 1):
        with pytest.raises(StoreError, match="no column"):
            view(store, result, ResultView(sort=(SortKey(column),)))


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.none()))
def test_sorting_decimals_is_exact(values: list[Decimal | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ResultStore(Path(folder), limit_bytes=LIMIT)
        rows: list[Row] = [(None if one is None else f"{one:f}",) for one in values]
        result = stored(store, rows, ("decimal",))
        found = [row[0] for row in view(store, result, ResultView(sort=(SortKey(0),)))]
    present = [Decimal(one) for one in found if one is not None]
    assert present == sorted(one for one in values if one is not None)
    assert found[len(present) :] == [None] * (len(values) - len(present))


def test_wide_pages_are_cut_to_a_bound(store: ResultStore) -> None:
    rows: list[Row] = [tuple("x" * 3000 for _ in range(20)) for _ in range(1000)]
    result = stored(store, rows, ("text",) * 20)
    shown = preview(store.read(result, 0, 1000), 2000)
    size = sum(len(value or "") for row in shown.rows for value in row)
    assert size <= PAGE_CHARACTERS
    assert len(shown.cut) == 20_000
    assert shown.cut[0] == (0, 0)


def test_only_long_cells_are_cut(store: ResultStore) -> None:
    result = stored(store, [("가" * 10, "ab"), (None, "가" * 11)], ("text", "text"))
    shown = preview(store.read(result, 0, 2), 10)
    assert shown.rows == [("가" * 10, "ab"), (None, "가" * 10)]
    assert shown.cut == [(1, 1)]


def test_views_are_kept_within_bounds(store: ResultStore) -> None:
    result = stored(store, [(str(i),) for i in range(1000)], ("integer",))
    views = Views(store, cached_bytes=20_000)  # two and a half of 8 bytes a row
    for limit in range(1000, 1010):
        asked = ResultView(filters=(ColumnFilter(0, FilterOperator.LESS, str(limit)),))
        table, total = views.page(result, asked, 998, 10)
        assert (rows_of(table), total) == ([("998",), ("999",)], 1000)
        assert 0 < views.cached_bytes <= 20_000


def exported(store: ResultStore, result: StoredResult, format_: ExportFormat, safe: bool) -> str:
    """A whole export as text."""
    parts = export(Views(store), result, ResultView(), format_, for_spreadsheet=safe)
    return b"".join(parts).decode("utf-8")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "+1"),
        ("-2.5e3", "-2.5e3"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-1+cmd", "'-1+cmd"),
        ("@x", "'@x"),
        (" =1", "' =1"),
        ("＝1+1", "'＝1+1"),
        ("\n+SUM(A1)", '"\'\n+SUM(A1)"'),
        ("a=1", "a=1"),
        ("", '""'),
    ],
)
def test_formulas_are_disarmed_for_spreadsheets(store: ResultStore, value: str, shown: str) -> None:
    result = stored(store, [(value,)], ("text",))
    assert exported(store, result, ExportFormat.CSV, True) == f"\ufeffc0\r\n{shown}\r\n"


def test_a_column_name_is_disarmed_as_well(store: ResultStore) -> None:
    result = store.begin("r", "me", ["=cmd()"], ["text"])
    store.finish(result)
    assert exported(store, result, ExportFormat.CSV, True) == "\ufeff'=cmd()\r\n"


def test_an_export_that_loses_its_result_fails(store: ResultStore) -> None:
    result = stored(store, [(str(i),) for i in range(20_000)], ("integer",))
    parts = export(Views(store), result, ResultView(), ExportFormat.CSV, for_spreadsheet=False)
    next(parts)
    next(parts)
    store.remove("r")
    with pytest.raises(ResultGoneError):
        list(parts)


def test_huge_cells_are_exported_in_parts(store: ResultStore) -> None:
    rows: list[Row] = [("x" * 1_000_000,) for _ in range(30)]
    result = stored(store, rows, ("text",))
    parts = list(
        export(Views(store), result, ResultView(), ExportFormat.JSONL, for_spreadsheet=False)
    )
    assert len(parts) > 2
    assert sum(part.count(b"\n") for part in parts) == 30
