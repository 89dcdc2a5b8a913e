"""What a killed process leaves running at targets, and how the next process stops it.

A target notices that its client is gone when it next reads or sends, which a long statement does
not. So each live session's native id (PostgreSQL: the key that cancels that one backend; MySQL: its
thread's number) stands in a file beside the spool, and whoever adopts the spool of a dead process
stops what its records say was running. The file is as private as the spool (0600 in 0700); an id
is good for nothing but ending that one session's work.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio

from querykeep_engines.kit.driver import DriverError
from querykeep_engines.kit.engine import Engine
from querykeep_guard.contracts.codec import ContractError
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)

EngineFinder = Callable[[str], Engine]
_LOG = logging.getLogger(__name__)
_COMPACT_BYTES = 256 * 1024
_RETRY_S = 1.0
_PATIENCE_S = 120.0
_STOP_TIMEOUT_S = 30.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class LeftRunning:
    """A session at its target. ``since`` is when it was ready there."""

    session_id: str
    connection_id: str
    native_id: bytes
    since: datetime


class NativeBook:
    """The file: one line when a session is ready, one when it is over. Written by its process only.

    A failed write is logged and no more: the file is a help and not a record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._size = 0
        self._open: dict[str, LeftRunning] = {}
        self._is_broken = False

    def opened(self, session: LeftRunning) -> None:
        """A session is ready at its target."""
        self._open[session.session_id] = session
        self._append(_line(session))

    def closed(self, session_id: str) -> None:
        """A session is over."""
        if self._open.pop(session_id, None) is None:
            return
        if self._size > _COMPACT_BYTES and self._size > 2 * sum(
            len(_line(session)) for session in self._open.values()
        ):
            self._compact()
        else:
            self._append(json.dumps({"closed": session_id}).encode() + b"\n")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, line: bytes) -> None:
        try:
            if self._file < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
            self._size += os.write(self._file, line)
        except OSError as error:
            self._failed(error)

    def _compact(self) -> None:
        new = self._path.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_bytes(b"".join(map(_line, self._open.values())))
            new.replace(self._path)
        except OSError as error:
            self._failed(error)
            return
        self.close()
        self._size = 0

    def _failed(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            _LOG.error("%s: %s; a statement may outlive a kill", self._path, error.strerror)


def read_native_book(path: Path) -> dict[str, LeftRunning]:
    """Return the sessions that were open when the file was last written, by id. A line that is not
    whole is passed over: its writer died in the middle of it."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    found: dict[str, LeftRunning] = {}
    for line in lines:
        try:
            data = json.loads(line)
            if "closed" in data:
                found.pop(data["closed"], None)
                continue
            session = LeftRunning(
                data["session"],
                data["connection"],
                base64.b64decode(data["native"], validate=True),
                datetime.fromisoformat(data["since"]),
            )
        except (ValueError, KeyError, TypeError):
            continue
        found[session.session_id] = session
    return found


async def stop_left_running(
    left: tuple[LeftRunning, ...], api: ApiClient, engine: EngineFinder
) -> None:
    """Stop them all; what cannot be stopped is logged. Waits for an API that is away, within
    bounds: what the process recorded must be handed in as well. Does not raise: whoever adopts a
    spool would end, and the one after him."""
    limiter = trio.CapacityLimiter(_AT_ONCE)
    with trio.move_on_after(_PATIENCE_S) as scope:
        async with trio.open_nursery() as nursery:
            for session in left:
                nursery.start_soon(_stop, session, api, engine, limiter)
    if scope.cancelled_caught:
        _LOG.warning("not all that a dead process left running could be stopped in time")


async def _stop(
    session: LeftRunning, api: ApiClient, engine: EngineFinder, limiter: trio.CapacityLimiter
) -> None:
    while True:
        try:
            target = await api.target(session.connection_id)
            break
        except ApiUnavailableError:
            await trio.sleep(_RETRY_S)
        except (ApiProblemError, ApiRefusedError, ContractError) as error:
            _LOG.warning("what session %s left running goes on: %s", session.session_id, error)
            return
    try:
        age_s = (datetime.now(UTC) - session.since).total_seconds()
        with trio.move_on_after(_STOP_TIMEOUT_S):
            await trio.to_thread.run_sync(
                engine(target.engine).driver().stop_left_running,
                target,
                session.native_id,
                age_s,
                abandon_on_cancel=True,
                limiter=limiter,
            )
            _LOG.info("what session %s left running was stopped", session.session_id)
    except DriverError as error:
        _LOG.warning("what session %s left running goes on: %s", session.session_id, error.message)
    except Exception as error:
        kind = type(error).__name__
        _LOG.error("what session %s left running goes on: %s", session.session_id, kind)


def _line(session: LeftRunning) -> bytes:
    data = {
        "session": session.session_id,
        "connection": session.connection_id,
        "native": base64.b64encode(session.native_id).decode("ascii"),
        "since": session.since.isoformat(),
    }
    return json.dumps(data).encode() + b"\n"
