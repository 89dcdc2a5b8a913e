"""What outlives a restart: tabs with their text, and each person's history. One SQLite file (0600).

Blocking and quick; used from threads.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from querykeep_guard.contracts.codec import dumps, loads
from querykeep_middleware.editor.shapes import HistoryEntry, TabState

_HISTORY_KEPT = 5000
_PAGE_CHARACTERS = 4_000_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS editor_window (
  id TEXT PRIMARY KEY, user_id TEXT NOT NULL, used_at TEXT NOT NULL,
  active_tab TEXT NOT NULL DEFAULT '', tab_order TEXT NOT NULL DEFAULT '[]');
CREATE INDEX IF NOT EXISTS window_by_user ON editor_window (user_id, used_at);
CREATE TABLE IF NOT EXISTS tab (
  window_id TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY (window_id, id));
CREATE TABLE IF NOT EXISTS history (
  number INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, connection_id TEXT NOT NULL,
  text TEXT NOT NULL, statement_id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_by_user ON history (user_id, number);
"""


class Keeper:
    """Opens the file; every call is one transaction."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def open_window(self, window_id: str, user_id: str) -> tuple[list[TabState], str, bool]:
        """Return (tabs in order, active tab, known) of a window.

        One that is not known is made, with the tabs of the person's last window.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._window(window_id, user_id) is not None
            if not known:
                self._make(window_id, user_id)
            self._db.execute(
                "UPDATE editor_window SET used_at = ? WHERE id = ?", (_now(), window_id)
            )
            row = self._window(window_id, user_id)
            active, order = row if row is not None else ("", "[]")
            states = {
                name: loads(TabState, state)
                for name, state in self._db.execute(
                    "SELECT id, state FROM tab WHERE window_id = ?", (window_id,)
                )
            }
        ordered = [states.pop(name) for name in json.loads(order) if name in states]
        return [*ordered, *states.values()], active, known

    def _window(self, window_id: str, user_id: str) -> tuple[str, str] | None:
        found: tuple[str, str] | None = self._db.execute(
            "SELECT active_tab, tab_order FROM editor_window WHERE id = ? AND user_id = ?",
            (window_id, user_id),
        ).fetchone()
        return found

    def _make(self, window_id: str, user_id: str) -> None:
        last = self._db.execute(
            "SELECT id, active_tab, tab_order FROM editor_window WHERE user_id = ? "
            "ORDER BY used_at DESC LIMIT 1",
            (user_id,),
        ).fetchone()
        active, order = (last[1], last[2]) if last else ("", "[]")
        self._db.execute(
            "INSERT INTO editor_window (id, user_id, used_at, active_tab, tab_order) "
            "VALUES (?, ?, ?, ?, ?)",
            (window_id, user_id, _now(), active, order),
        )
        if last:
            self._db.execute(
                "INSERT INTO tab (window_id, id, revision, state) "
                "SELECT ?, id, revision, state FROM tab WHERE window_id = ?",
                (window_id, last[0]),
            )

    def owner(self, window_id: str) -> str | None:
        """Return whose window it is, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT user_id FROM editor_window WHERE id = ?", (window_id,)
            ).fetchone()
        return str(row[0]) if row else None

    def save_tab(self, window_id: str, tab: TabState) -> int:
        """Keep a tab unless a newer revision is kept; return the revision that is."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO tab (window_id, id, revision, state) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (window_id, id) DO UPDATE SET revision = excluded.revision, "
                "state = excluded.state WHERE excluded.revision >= tab.revision",
                (window_id, tab.tab_id, tab.revision, dumps(tab).decode("utf-8")),
            )
            row = self._db.execute(
                "SELECT revision FROM tab WHERE window_id = ? AND id = ?", (window_id, tab.tab_id)
            ).fetchone()
        return int(row[0])

    def remove_tab(self, window_id: str, tab_id: str) -> None:
        """Forget a tab."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM tab WHERE window_id = ? AND id = ?", (window_id, tab_id))

    def arrange(self, window_id: str, order: Iterable[str], active: str) -> None:
        """Keep order and active tab."""
        with self._lock, self._db:
            self._db.execute(
                "UPDATE editor_window SET tab_order = ?, active_tab = ? WHERE id = ?",
                (json.dumps(list(order)), active, window_id),
            )

    def remember(self, user_id: str, entry: HistoryEntry) -> None:
        """Keep a history entry, or replace the one of the same statement."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO history (user_id, connection_id, text, statement_id, entry) "
                "VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (statement_id) DO UPDATE SET entry = excluded.entry",
                (
                    user_id,
                    entry.connection_id,
                    entry.text,
                    entry.statement_id,
                    dumps(entry).decode("utf-8"),
                ),
            )
            self._db.execute(
                "DELETE FROM history WHERE user_id = ? AND number <= (SELECT number FROM history "
                "WHERE user_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (user_id, user_id, _HISTORY_KEPT),
            )

    def history(
        self, user_id: str, *, connection_id: str, search: str, before: str, limit: int
    ) -> tuple[list[HistoryEntry], str]:
        """Return (entries, newest first, ``before`` of the next page or empty).

        A page of long texts ends early: at least one entry, then what one message can hold.
        """
        number = int(before) if before.isdecimal() else 2**62
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found: list[tuple[int, str]] = []
        characters = 0
        with self._lock:
            rows = self._db.execute(
                "SELECT number, entry FROM history WHERE user_id = ? AND number < ? "
                "AND (? = '' OR connection_id = ?) AND (? = '' OR text LIKE ? ESCAPE '\\') "
                "ORDER BY number DESC LIMIT ?",
                (user_id, number, connection_id, connection_id, search, pattern, limit + 1),
            )
            for row in rows:
                if len(found) == limit or (found and characters + len(row[1]) > _PAGE_CHARACTERS):
                    return _entries(found), str(found[-1][0])
                found.append(row)
                characters += len(row[1])
        return _entries(found), ""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _entries(rows: list[tuple[int, str]]) -> list[HistoryEntry]:
    return [loads(HistoryEntry, entry) for _, entry in rows]


def _now() -> str:
    return datetime.now(UTC).isoformat()
