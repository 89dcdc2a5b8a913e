"""The audit spool: what was recorded is with the kernel before anything runs (DESIGN rule 6).

``append`` writes a frame with one ``write`` call, unbuffered, so that killing any process loses
nothing; a group fsync follows within 50 ms, and ``synced`` waits for it where the policy asks for
durability against power loss. The spool is bounded: when it is full, new statements are refused,
while completions and ends still fit into a reserve: of the limit, and of the disk (``reserve``).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import trio

from querykeep_guard.audit.chain import GENESIS_HASH
from querykeep_guard.contracts.audit import (
    AuditEvent,
    SessionClosed,
    SessionOpened,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_relay.frames import make_frame
from querykeep_relay.left_running import LeftRunning, NativeBook
from querykeep_relay.reserve import DiskReserve
from querykeep_relay.segments import SpoolFolder, SpoolState

_LOG = logging.getLogger(__name__)
SYNC_EVERY_S = 0.05
_RESERVE_BYTES = 4 * 1024 * 1024
"""Completions and ends of what runs when the limit is reached: some 10,000 of them."""
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SpoolFullError(Exception):
    """Nothing more may be recorded, so nothing more may run."""


class OpenWork:
    """Which statements and sessions have begun and not ended, as the records say."""

    def __init__(self, state: SpoolState | None = None) -> None:
        self.statements: dict[str, str] = dict(state.open_statements) if state else {}
        self.sessions: set[str] = set(state.open_sessions) if state else set()

    def note(self, event: AuditEvent) -> None:
        """Follow one event."""
        match event:
            case StatementStarted():
                if event.verdict in (Verdict.ALLOWED, Verdict.MASKED):
                    self.statements[event.statement_id] = event.session_id
            case StatementCompleted():
                self.statements.pop(event.statement_id, None)
            case SessionOpened():
                self.sessions.add(event.session_id)
            case SessionClosed():
                self.sessions.discard(event.session_id)
            case _:
                pass


class Spool:
    """One spool, written by this process only. Not for use from several threads."""

    def __init__(
        self,
        folder: SpoolFolder,
        spool_id: str,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        limit_bytes: int,
        segment_bytes: int,
    ) -> None:
        """Begin a new spool; ``resume`` continues one that was recovered."""
        self.folder = folder
        self.spool_id = spool_id
        self.state = SpoolState()
        self.open = OpenWork()
        self._reserve = DiskReserve(folder.reserve)
        self.natives = NativeBook(folder.natives)
        self.left_running: tuple[LeftRunning, ...] = ()
        self.sequence = 0
        self._now = now
        self._new_id = new_id
        self._limit_bytes = limit_bytes
        self._segment_bytes = segment_bytes
        self._prev_hash = GENESIS_HASH
        self._file = -1
        self._segment_number = 0
        self._segment_size = 0
        self._closed_bytes = 0
        self._dirty = False
        self._synced_sequence = 0
        self._sync_done = trio.Event()
        self._sync_wanted = trio.Event()
        self._sync_urgent = trio.Event()
        self._retired: list[int] = []
        self._folder_changed = False
        self._grown = trio.Event()
        self._sync_error: OSError | None = None
        self.is_full = False

    @property
    def size_bytes(self) -> int:
        """Bytes on disk that are not yet trimmed."""
        return self._closed_bytes + self._segment_size

    @property
    def segment_number(self) -> int:
        """The segment that is written now (0: none yet)."""
        return self._segment_number

    def resume(
        self,
        state: SpoolState,
        open_work: OpenWork,
        last: tuple[int, bytes],
        segments: list[Path],
    ) -> None:
        """Continue the chain of a recovered spool behind ``last`` (sequence, hash)."""
        self.state = state
        self.open = open_work
        self.sequence, self._prev_hash = last
        self._synced_sequence = self.sequence
        self._closed_bytes = sum(path.stat().st_size for path in segments)
        self._segment_number = int(segments[-1].stem) if segments else 0

    def append(self, event: AuditEvent) -> int:
        """Record an event; return its sequence. When it returns, the kernel has it.

        Raises:
            SpoolFullError: The size limit or the disk is reached; nothing was recorded.
            OSError: The disk failed in another way; nothing was recorded.
        """
        sequence = self.sequence + 1
        digest, frame = make_frame(
            self.spool_id, sequence, self._new_id(), self._now(), event, self._prev_hash
        )
        begins = isinstance(event, StatementStarted)
        self._check_room(len(frame), begins=begins)
        try:
            self._put(frame)
        except SpoolFullError:
            if begins or not self._reserve.give_up():
                raise
            self._put(frame)
        if begins:
            self.is_full = False
        self._segment_size += len(frame)
        self.sequence, self._prev_hash = sequence, digest
        self.open.note(event)
        self._dirty = True
        self._sync_wanted.set()
        self._grown.set()
        return sequence

    def _check_room(self, length: int, *, begins: bool) -> None:
        """What begins is refused early, so that what ends has room."""
        limit = self._limit_bytes if begins else self._limit_bytes + _RESERVE_BYTES
        if self.size_bytes + length > limit:
            self.is_full = True
            raise SpoolFullError(
                f"the audit spool holds {self.size_bytes} bytes of at most {self._limit_bytes} "
                "(QUERYKEEP_SPOOL_LIMIT_BYTES)"
            )
        if begins and not self._reserve.keep():
            self.is_full = True
            raise SpoolFullError("the disk of the audit spool has no room left")

    def _put(self, frame: bytes) -> None:
        if self._file < 0 or (
            self._segment_size and self._segment_size + len(frame) > self._segment_bytes
        ):
            self._rotate()
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        """Write all of a frame or nothing of it."""
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            os.ftruncate(self._file, self._segment_size)
            if error.errno in _FULL_ERRORS:
                self.is_full = True
                raise SpoolFullError(f"the disk of the audit spool: {error.strerror}") from error
            raise

    def _rotate(self) -> None:
        if self._file >= 0:
            self._retired.append(self._file)
            self._closed_bytes += self._segment_size
            self._file = -1
        self._segment_size = 0
        path = self.folder.segment(self._segment_number + 1)
        try:
            self._file = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            if error.errno in _FULL_ERRORS:
                self.is_full = True
                raise SpoolFullError(f"the disk of the audit spool: {error.strerror}") from error
            raise
        self._segment_number += 1
        self._folder_changed = True

    async def synced(self, sequence: int) -> None:
        """Wait until everything up to ``sequence`` is on the disk.

        Raises:
            OSError: The disk refused; the statement must not run.
        """
        while self._synced_sequence < sequence:
            if self._sync_error is not None:
                raise self._sync_error
            done = self._sync_done
            self._sync_urgent.set()
            await done.wait()

    async def wait_grown(self) -> None:
        """Wait until something was appended since the last call."""
        await self._grown.wait()
        self._grown = trio.Event()

    async def run_sync(self) -> None:
        """Group commit: one fsync for all that was written while the last one ran."""
        while True:
            await self._sync_wanted.wait()
            self._sync_wanted = trio.Event()
            if not self._dirty or self._file < 0:
                continue
            self._dirty = False
            await self._sync_once()
            with trio.move_on_after(SYNC_EVERY_S):
                await self._sync_urgent.wait()
            self._sync_urgent = trio.Event()

    async def _sync_once(self) -> None:
        upto = self.sequence
        retired, self._retired = self._retired, []
        folder_changed, self._folder_changed = self._folder_changed, False
        current = -1
        try:
            current = os.dup(self._file)
            await trio.to_thread.run_sync(self._sync_files, [*retired, current], folder_changed)
            self._synced_sequence = max(self._synced_sequence, upto)
            self._sync_error = None
            while retired:
                os.close(retired.pop())
        except OSError as error:
            _LOG.error("audit spool cannot be synced to disk: %s", error.strerror)
            self._sync_error = error
            self._dirty = True
            self._folder_changed = self._folder_changed or folder_changed
            self._sync_wanted.set()
        finally:
            self._retired = retired + self._retired
            if current >= 0:
                os.close(current)
            done, self._sync_done = self._sync_done, trio.Event()
            done.set()

    def _sync_files(self, descriptors: list[int], folder_changed: bool) -> None:
        for descriptor in descriptors:
            os.fsync(descriptor)
        if folder_changed:
            self.folder.sync_folder()

    def trimmed(self, freed_bytes: int) -> None:
        """Segments of that size were deleted after acknowledgement."""
        self._closed_bytes -= freed_bytes
        self.is_full = self.size_bytes >= self._limit_bytes or not self._reserve.keep()

    def acknowledge(self, sequence: int, digest: bytes) -> None:
        """Everything up to the record with this sequence and hash is with the API."""
        self.state.acknowledged = sequence
        self.state.acknowledged_hash = digest

    def save_state(self) -> None:
        """Write what is acknowledged and what is open; before segments are deleted."""
        self.state.open_statements = dict(self.open.statements)
        self.state.open_sessions = set(self.open.sessions)
        try:
            self.folder.write_state(self.state)
        except OSError as error:
            if error.errno not in _FULL_ERRORS or not self._reserve.give_up():
                raise
            self.folder.write_state(self.state)

    def close(self) -> None:
        """Sync and close the file and give the lock up."""
        for descriptor in (*self._retired, *([self._file] if self._file >= 0 else [])):
            os.fsync(descriptor)
            os.close(descriptor)
        self._retired, self._file = [], -1
        self.natives.close()
        self._reserve.give_up()
        self.folder.close()
