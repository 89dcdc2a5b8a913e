"""Adopts spools whose process died: cuts a torn tail, closes what was left open.

A statement that began and never ended gets the outcome ``unknown``: nobody can say any more what
the target did with it. Its session gets a ``SessionClosed``; where it ran at the target is told
too (``Spool.left_running``), so that it can be stopped there. The chain goes on behind the last
whole record, written by the adopter, so that nothing is lost and nothing looks removed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from querykeep_guard.audit.chain import event_of
from querykeep_guard.contracts.audit import (
    Outcome,
    SessionClosed,
    SpoolRecord,
    StatementCompleted,
)
from querykeep_guard.contracts.codec import ContractError
from querykeep_guard.contracts.session import EndReason
from querykeep_relay.left_running import read_native_book
from querykeep_relay.segments import SpoolFolder, SpoolLockedError, TornTail, read_segment
from querykeep_relay.spool import OpenWork, Spool, SpoolFullError

_LOG = logging.getLogger(__name__)
_NO_LIMIT = 2**62
"""A dead process's spool takes its last records whatever its size: it only shrinks from there."""
_DETAIL = "the enforcement point ended before the statement did; its outcome is not known"


def adopt_spools(
    root: Path,
    *,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    segment_bytes: int,
) -> list[Spool]:
    """Return the spools of dead processes under ``root``, recovered and locked. Blocking.

    A folder that cannot be recovered stays as it is and is logged: it is evidence.
    """
    spools = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if not path.is_dir():
            continue
        try:
            folder = SpoolFolder(path)
        except SpoolLockedError:
            continue
        except OSError as error:
            _LOG.error("spool %s cannot be adopted: %s", path, error.strerror)
            continue
        spool = Spool(
            folder,
            path.name,
            now=now,
            new_id=new_id,
            limit_bytes=_NO_LIMIT,
            segment_bytes=segment_bytes,
        )
        try:
            _recover(spool, now)
        except (OSError, ValueError, SpoolFullError) as error:
            _LOG.error("spool %s cannot be recovered and is left as it is: %s", path, error)
            folder.close()
            continue
        spools.append(spool)
    return spools


def _recover(spool: Spool, now: Callable[[], datetime]) -> None:
    folder = spool.folder
    folder.reserve.unlink(missing_ok=True)  # its writer is gone: its last records need the room
    state = folder.read_state()
    work = OpenWork(state)
    last = (state.acknowledged, state.acknowledged_hash)
    for path in folder.segments():
        for item in read_segment(path):
            if isinstance(item, TornTail):
                _cut(item)
                break
            if item.sequence > last[0]:
                last = (item.sequence, item.hash)
            _note(work, item)
    spool.resume(state, work, last, folder.segments())
    statements, sessions = dict(work.statements), set(work.sessions)
    natives = read_native_book(folder.natives)
    ran = dict.fromkeys(statements.values())
    spool.left_running = tuple(natives[each] for each in ran if each in natives)
    for statement_id, session_id in statements.items():
        spool.append(
            StatementCompleted(
                statement_id, session_id, now(), Outcome.UNKNOWN, 0, 0, 0.0, error=_DETAIL
            )
        )
    for session_id in sorted(sessions):
        spool.append(
            SessionClosed(
                session_id,
                now(),
                EndReason.INTERNAL_ERROR,
                0,
                0,
                0,
                detail="the enforcement point ended without closing the session",
            )
        )
    _LOG.info(
        "spool %s adopted: %d records to hand in, %d statements with unknown outcome",
        spool.spool_id,
        spool.sequence - state.acknowledged,
        len(statements),
    )


def _note(work: OpenWork, record: SpoolRecord) -> None:
    try:
        work.note(event_of(record))
    except ContractError as error:
        _LOG.warning("record %d of a spool is of another version: %s", record.sequence, error)


def _cut(tail: TornTail) -> None:
    """Cut what a crash left half written. What was cut is kept beside, it may be evidence."""
    data = tail.path.read_bytes()[tail.offset :]
    kept = tail.path.with_suffix(".torn")
    kept.write_bytes(data)
    os.truncate(tail.path, tail.offset)
    _LOG.warning(
        "spool segment %s: %s at byte %d; %d bytes moved to %s",
        tail.path,
        tail.why,
        tail.offset,
        len(data),
        kept.name,
    )
