"""Pages of a person's history, by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from querykeep_guard.contracts.audit import Verdict
from querykeep_middleware.editor.shapes import HistoryEntry, StatementState
from querykeep_middleware.execution.keeper import Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """An empty one."""
    made = Keeper(tmp_path / "editor.sqlite3")
    yield made
    made.close()


def remember(keeper: Keeper, name: str, text: str, user_id: str = "me") -> None:
    """Keep a statement."""
    keeper.remember(
        user_id,
        HistoryEntry(
            statement_id=name,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            connection_id="shop",
            connection_name="shop",
            text=text,
            kind="select",
            verdict=Verdict.ALLOWED,
            state=StatementState.DONE,
            row_count=1,
            duration_ms=1.0,
        ),
    )


def pages(keeper: Keeper, limit: int, search: str = "") -> list[list[str]]:
    """Every page's statements."""
    found, before = [], ""
    while True:
        entries, before = keeper.history(
            "me", connection_id="", search=search, before=before, limit=limit
        )
        found.append([entry.statement_id for entry in entries])
        if not before:
            return found


def test_pages_follow_each_other_and_are_ones_own(keeper: Keeper) -> None:
    for number in range(5):
        remember(keeper, f"s{number}", f"SELECT {number}")
        remember(keeper, f"other{number}", "SELECT 1", user_id="other")
    assert pages(keeper, 2) == [["s4", "s3"], ["s2", "s1"], ["s0"]]
    assert pages(keeper, 5) == [["s4", "s3", "s2", "s1", "s0"]]
    assert pages(keeper, 5, search="SELECT 3") == [["s3"]]


def test_a_page_of_long_texts_ends_early(keeper: Keeper) -> None:
    """What a person ran comes back in one message: thousands of long texts would fill the memory
    that all windows share."""
    for number in range(4):
        remember(keeper, f"s{number}", "x" * 1_500_000)
    remember(keeper, "huge", "x" * 9_000_000)
    assert pages(keeper, 100) == [["huge"], ["s3", "s2"], ["s1", "s0"]]
