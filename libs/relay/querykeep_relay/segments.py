"""Files of one spool: a folder with a lock, segments of frames, and a small state file.

    <spool dir>/<spool id>/lock            held (flock) by the process that writes it
                           state.json      what the API acknowledged, and what was open by then
                           natives         where its live sessions run (``left_running``)
                           reserve         room for the last records of a full disk (``reserve``)
                           00000001.seg    frames (querykeep_guard.audit.chain), oldest first

A segment is deleted once the API has acknowledged all of it. Statements and sessions that began in
deleted segments and had not ended stand in the state file, so that recovery can close them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from querykeep_guard.audit.chain import GENESIS_HASH, FrameError, scan_frames
from querykeep_guard.contracts.audit import SpoolRecord

SUFFIX = ".seg"


class SpoolLockedError(Exception):
    """Another living process writes this spool."""


@dataclass(slots=True)
class SpoolState:
    """What the state file holds. ``open_statements``: statement id → session id;
    ``open_sessions``: session ids. Both as of the last write, a superset of what is open now."""

    acknowledged: int = 0
    acknowledged_hash: bytes = GENESIS_HASH
    open_statements: dict[str, str] = field(default_factory=dict)
    open_sessions: set[str] = field(default_factory=set)


class SpoolFolder:
    """The folder of one spool; holds its lock until ``close``."""

    def __init__(self, path: Path) -> None:
        """Create the folder where it is missing, and lock it.

        Raises:
            SpoolLockedError: Its writer lives.
            OSError: It cannot be made or opened.
        """
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise SpoolLockedError(str(path)) from error

    def segments(self) -> list[Path]:
        """Return the segment files, oldest first."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    @property
    def natives(self) -> Path:
        """Return the path of the file that says where live sessions run."""
        return self.path / "natives"

    @property
    def reserve(self) -> Path:
        """Return the path of the file that keeps room."""
        return self.path / "reserve"

    def segment(self, number: int) -> Path:
        """Return the path of a segment."""
        return self.path / f"{number:08d}{SUFFIX}"

    def read_state(self) -> SpoolState:
        """Return the state; a spool that never trimmed has none.

        Raises:
            ValueError: The file is damaged (it is replaced atomically, so a crash does not do it).
        """
        try:
            data = json.loads((self.path / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return SpoolState()
        return SpoolState(
            acknowledged=int(data["acknowledged"]),
            acknowledged_hash=bytes.fromhex(data["acknowledged_hash"]),
            open_statements=dict(data["open_statements"]),
            open_sessions=set(data["open_sessions"]),
        )

    def write_state(self, state: SpoolState) -> None:
        """Replace the state file in one step, on disk before it counts."""
        text = json.dumps(
            {
                "acknowledged": state.acknowledged,
                "acknowledged_hash": state.acknowledged_hash.hex(),
                "open_statements": state.open_statements,
                "open_sessions": sorted(state.open_sessions),
            }
        )
        new = self.path / "state.new"
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / "state.json")
        self.sync_folder()

    def sync_folder(self) -> None:
        """Make created, renamed and deleted names durable."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def delete(self) -> None:
        """Remove the whole spool (all of it acknowledged) and give the lock up."""
        names = ("state.json", "state.new", "natives", "natives.new", "reserve")
        for path in (*self.segments(), *(self.path / name for name in names)):
            path.unlink(missing_ok=True)
        (self.path / "lock").unlink(missing_ok=True)
        self.close()
        try:
            self.path.rmdir()
        except OSError:
            return

    def close(self) -> None:
        """Give the lock up; safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


@dataclass(frozen=True, slots=True)
class TornTail:
    """Where a segment stops being whole, and why."""

    path: Path
    offset: int
    why: str


def read_segment(path: Path) -> Iterator[SpoolRecord | TornTail]:
    """Yield the records of a segment; a torn or damaged end comes as the last item."""
    data = path.read_bytes()
    try:
        for _, record in scan_frames(data):
            yield record
    except FrameError as error:
        yield TornTail(path, error.offset, str(error))
