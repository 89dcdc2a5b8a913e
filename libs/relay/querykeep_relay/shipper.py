"""Hands spool records to the API, at least once and in order, and trims what was acknowledged.

Records travel as the bytes that stand on disk: nothing is decoded and encoded again. A batch is at
most 500 records or 1 MB; a single larger record goes alone. When the API is away the records wait.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import struct
from dataclasses import dataclass

import trio

from querykeep_guard.audit.chain import FRAME_MAGIC
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)
from querykeep_relay.segments import SpoolFolder
from querykeep_relay.spool import Spool

_LOG = logging.getLogger(__name__)
_HEADER = struct.Struct(">4sII")
BATCH_RECORDS = 500
BATCH_BYTES = 1024 * 1024
_PIECE_BYTES = 128 * 1024
_TAIL = re.compile(rb'"sequence":([0-9]+),"spool_id":"[0-9A-Za-z-]*","type":"[A-Za-z]*"}\Z')
_TAIL_BYTES = 256
_LINGER_S = 0.1
"""Gathers records of one burst; an event is to be searchable within a second."""
_RETRY_FIRST_S = 0.2
_RETRY_MOST_S = 10.0


@dataclass(slots=True)
class _Batch:
    bodies: list[bytes]
    last: tuple[int, bytes]
    segment: int
    offset: int


class Shipper:
    """Ships one spool. ``run`` ends when an adopted spool is empty, never for a living one."""

    def __init__(self, spool: Spool, api: ApiClient, *, adopted: bool) -> None:
        self._spool = spool
        self._api = api
        self._adopted = adopted
        segments = spool.folder.segments()
        self._segment = int(segments[0].stem) if segments else 1
        self._offset = 0
        self._reader = _Reader(spool.folder)
        self._acknowledged = trio.Event()
        self._trouble = False

    @property
    def waiting(self) -> int:
        """How many records the API has not acknowledged."""
        return self._spool.sequence - self._spool.state.acknowledged

    async def run(self) -> None:
        """Ship until cancelled (adopted: until everything is acknowledged, then delete it)."""
        try:
            await self._run()
        finally:
            self._reader.close()

    async def _run(self) -> None:
        delay = _RETRY_FIRST_S
        while True:
            try:
                batch = self._next_batch()
            except (OSError, ValueError) as error:
                # No descriptor left, or a damaged file: the records stay where they are.
                _LOG.error("the audit spool cannot be read: %s", error)
                await trio.sleep(_RETRY_MOST_S)
                continue
            if batch is None:
                if self._adopted:
                    self._spool.close()
                    self._spool.folder.delete()
                    return
                await self._spool.wait_grown()
                await trio.sleep(_LINGER_S)
                continue
            if await self._ship(batch):
                delay = _RETRY_FIRST_S
                if len(batch.bodies) < BATCH_RECORDS and not self._adopted:
                    # Under load, wait for a fuller batch rather than ask the API per statement.
                    await trio.sleep(_LINGER_S)
            else:
                await trio.sleep(delay)
                delay = min(delay * 2, _RETRY_MOST_S)

    async def flushed(self) -> None:
        """Wait until everything appended so far is acknowledged; the caller sets the deadline."""
        goal = self._spool.sequence
        while self._spool.state.acknowledged < goal:
            await self._acknowledged.wait()

    async def _ship(self, batch: _Batch) -> bool:
        try:
            acknowledged = await self._api.audit_records(batch.bodies)
        except (ApiUnavailableError, ApiProblemError, ApiRefusedError) as error:
            if not self._trouble:
                _LOG.warning("audit records wait in the spool: %s", error)
            self._trouble = True
            return False
        self._trouble = False
        if acknowledged.get(self._spool.spool_id, 0) < batch.last[0]:
            _LOG.warning("the API did not acknowledge audit records up to %d", batch.last[0])
            return False
        self._spool.acknowledge(*batch.last)
        self._segment, self._offset = batch.segment, batch.offset
        done, self._acknowledged = self._acknowledged, trio.Event()
        done.set()
        try:
            self._trim()
        except OSError as error:
            # What is acknowledged twice is stored once: trimming can wait.
            _LOG.error("acknowledged audit records cannot be trimmed: %s", error)
        return True

    def _trim(self) -> None:
        """Delete whole segments behind the position; the state that recovery needs goes first."""
        old = [path for path in self._spool.folder.segments() if int(path.stem) < self._segment]
        if not old:
            return
        self._spool.save_state()
        freed = 0
        for path in old:
            freed += path.stat().st_size
            path.unlink()
        self._spool.trimmed(freed)

    def _next_batch(self) -> _Batch | None:
        bodies: list[bytes] = []
        size = 0
        segment, offset = self._segment, self._offset
        while len(bodies) < BATCH_RECORDS:
            body = self._reader.body(segment, offset)
            if body is None:
                if segment >= self._spool.segment_number:
                    break
                segment, offset = segment + 1, 0
                continue
            if bodies and size + len(body) > BATCH_BYTES:
                break
            offset += _HEADER.size + len(body)
            if _sequence(body) <= self._spool.state.acknowledged:
                continue
            bodies.append(body)
            size += len(body)
        if not bodies:
            return None
        return _Batch(bodies, _place(bodies[-1]), segment, offset)


class _Reader:
    """Reads frames of one spool's segments, a good piece at a time; keeps the last file open."""

    def __init__(self, folder: SpoolFolder) -> None:
        self._folder = folder
        self._segment = 0
        self._file = -1
        self._piece = b""
        self._piece_at = 0

    def body(self, segment: int, offset: int) -> bytes | None:
        """Return the body of the frame at ``offset``, None at the end of what was written.

        Raises:
            OSError: The file cannot be read.
            ValueError: There is no frame.
        """
        if segment != self._segment and not self._open(segment):
            return None
        header = self._bytes(offset, _HEADER.size)
        if len(header) < _HEADER.size:
            return None
        magic, length, _ = _HEADER.unpack(header)
        if magic != FRAME_MAGIC:
            raise ValueError(f"{self._folder.segment(segment)}: no frame at byte {offset}")
        body = self._bytes(offset + _HEADER.size, length)
        return body if len(body) == length else None

    def _bytes(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset`` on, or what there is of them."""
        at = offset - self._piece_at
        if not 0 <= at <= len(self._piece) - count:
            self._piece = os.pread(self._file, max(count, _PIECE_BYTES), offset)
            self._piece_at, at = offset, 0
        return self._piece[at : at + count]

    def _open(self, segment: int) -> bool:
        self.close()
        try:
            self._file = os.open(self._folder.segment(segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._segment = segment
        return True

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment, self._piece = -1, 0, b""


def _sequence(body: bytes) -> int:
    """Return the sequence of a record without reading its JSON: nearly all of that is its payload,
    and canonical JSON ends with what stands here."""
    found = _TAIL.search(body, max(0, len(body) - _TAIL_BYTES))
    return int(found[1]) if found else _place(body)[0]


def _place(body: bytes) -> tuple[int, bytes]:
    """Return (sequence, hash) of a record's JSON."""
    data = json.loads(body)
    return int(data["sequence"]), base64.b64decode(data["hash"])
