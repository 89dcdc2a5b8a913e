"""Which runs a window keeps, by themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from querykeep_middleware.editor.shapes import RunScope, RunState
from querykeep_middleware.execution import runs
from querykeep_middleware.execution.runs import RunModel, outlived


def run(name: str, tab: str, text: str = "SELECT 1", state: RunState = RunState.DONE) -> RunModel:
    """A run of a tab."""
    return RunModel(
        run_id=name,
        tab_id=tab,
        scope=RunScope.ALL,
        text=text,
        offset=0,
        stop_on_error=True,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_monotonic=0.0,
        state=state,
    )


def test_a_tab_keeps_its_last_runs_and_what_runs() -> None:
    old = run("old", "t", state=RunState.RUNNING)
    some = [run(f"t{i}", "t") for i in range(25)]
    others = [run(f"u{i}", "u") for i in range(20)]
    gone = outlived([old, *some, *others])
    assert [one.run_id for one in gone] == ["t4", "t3", "t2", "t1", "t0"]


def test_tabs_without_number_keep_no_runs_without_number() -> None:
    """Any name may be a tab's: one run in each of many tabs is kept no longer than many in one."""
    some = [run(str(i), f"tab {i}") for i in range(2000)]
    gone = {one.run_id for one in outlived(some)}
    kept = [one.run_id for one in some if one.run_id not in gone]
    assert kept == [one.run_id for one in some[-len(kept) :]]
    assert 100 <= len(kept) < 1000


def test_long_texts_are_kept_up_to_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_KEPT_CHARACTERS", 100)
    long, short = run("long", "a", "x" * 60), run("short", "a", "x" * 30)
    new = run("new", "b", "x" * 60, RunState.RUNNING)
    assert outlived([long, short, new]) == [long]
    assert outlived([long, new]) == [long]
    huge = run("huge", "b", "x" * 1000, RunState.RUNNING)
    assert outlived([short, huge]) == [short]
