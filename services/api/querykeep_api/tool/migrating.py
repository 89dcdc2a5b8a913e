"""Runs migrations as a process of their own, one at a time, and keeps what it says."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass

_LINES_KEPT = 500


class AlreadyRunningError(RuntimeError):
    """Migrations run at this moment."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``state``: idle, running, done or failed; ``lines`` are the runner's own output."""

    state: str
    lines: tuple[str, ...]


class MigrationRunner:
    """At most one run at a time in this process; across processes the runner itself locks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = "idle"
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def start(self) -> None:
        """Begin in the background; raises AlreadyRunningError."""
        with self._lock:
            if self._state == "running":
                raise AlreadyRunningError("migrations are running already")
            self._state = "running"
            self._lines.clear()
        threading.Thread(target=self._run, name="migrations", daemon=True).start()

    def progress(self) -> Progress:
        """Return how far it is."""
        with self._lock:
            return Progress(self._state, tuple(self._lines))

    def _run(self) -> None:
        command = [sys.executable, "-m", "querykeep_api.cli", "migrate"]
        try:
            with subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    with self._lock:
                        self._lines.append(line.rstrip())
            state = "done" if process.returncode == 0 else "failed"
        except OSError as error:
            with self._lock:
                self._lines.append(f"migrations could not start: {error.strerror}")
            state = "failed"
        with self._lock:
            self._state = state


runner = MigrationRunner()
