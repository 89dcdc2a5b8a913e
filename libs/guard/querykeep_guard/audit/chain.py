"""The hash chain of an audit spool, and the frame that keeps a record whole on disk.

A spool is written by one process only. Each record carries the hash of the one before, so that a
changed, removed or inserted record shows at its exact place; a removed *tail* shows through the
checkpoints that the API signs and keeps elsewhere. Nothing here reads a clock or a file.

Frame on disk: ``QKR1`` · uint32 length · uint32 CRC-32 of the body · body (canonical JSON of the
SpoolRecord), all big-endian. A torn tail fails its length or CRC and is cut off on recovery.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from querykeep_guard.contracts.audit import (
    AuditEvent,
    ResultExported,
    SessionClosed,
    SessionOpened,
    SignInRefused,
    SpoolRecord,
    StatementCompleted,
    StatementStarted,
)
from querykeep_guard.contracts.codec import ContractError, dumps, from_json, loads, to_json

GENESIS_HASH = bytes(32)
"""``prev_hash`` of the first record of every spool."""

FRAME_MAGIC = b"QKR1"
_FRAME_HEADER = struct.Struct(">4sII")
MAX_RECORD_BYTES = 256 * 1024 * 1024
"""Largest frame body that is believed; a statement of 64 MB with every byte escaped stays below."""

EVENT_TYPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        StatementStarted,
        StatementCompleted,
        SessionOpened,
        SessionClosed,
        SignInRefused,
        ResultExported,
    )
}


class FrameError(ValueError):
    """Bytes that are no whole frame. ``offset`` is where the last whole frame ended."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class ChainError(ValueError):
    """A record does not continue its chain; the text says which and why."""


def record_hash(
    spool_id: str,
    sequence: int,
    event_id: str,
    at: datetime,
    type_name: str,
    payload: object,
    prev_hash: bytes,
) -> bytes:
    """Return SHA-256 over ``prev_hash`` and the canonical JSON of the record's other fields."""
    body = dumps(
        {
            "spool_id": spool_id,
            "sequence": sequence,
            "event_id": event_id,
            "at": at,
            "type": type_name,
            "payload": payload,
        }
    )
    return hashlib.sha256(prev_hash + body).digest()


def make_record(
    spool_id: str,
    sequence: int,
    event_id: str,
    at: datetime,
    event: AuditEvent,
    prev_hash: bytes,
) -> SpoolRecord:
    """Link an event to the chain. ``sequence`` starts at 1 and has no gaps."""
    payload = to_json(event)
    type_name = type(event).__name__
    digest = record_hash(spool_id, sequence, event_id, at, type_name, payload, prev_hash)
    return SpoolRecord(spool_id, sequence, event_id, at, type_name, payload, prev_hash, digest)


def event_of(record: SpoolRecord) -> AuditEvent:
    """Return the typed event inside a record.

    Raises:
        ContractError: Unknown type, or a payload of another shape.
    """
    cls = EVENT_TYPES.get(record.type)
    if cls is None:
        raise ContractError(f"SpoolRecord.type: {record.type!r} is not an audit event")
    event: AuditEvent = from_json(cls, record.payload)
    return event


def is_intact(record: SpoolRecord) -> bool:
    """True when the record's own hash fits its fields."""
    return record.hash == record_hash(
        record.spool_id,
        record.sequence,
        record.event_id,
        record.at,
        record.type,
        record.payload,
        record.prev_hash,
    )


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One fault of a chain, at its exact place. ``kind``: changed, gap, relinked, duplicate,
    wrong_start, foreign."""

    spool_id: str
    sequence: int
    kind: str
    message: str


def verify_records(
    records: Iterable[SpoolRecord],
    *,
    after_sequence: int = 0,
    after_hash: bytes = GENESIS_HASH,
) -> Iterator[ChainFinding]:
    """Yield every fault of one spool's records, given in order of sequence.

    Args:
        records: Records of a single spool from ``after_sequence + 1`` on.
        after_sequence: Where an earlier, trusted part ended.
        after_hash: The hash of that record.
    """
    expected, prev_hash = after_sequence + 1, after_hash
    spool_id: str | None = None
    for record in records:
        if spool_id is not None and record.spool_id != spool_id:
            yield ChainFinding(
                record.spool_id, record.sequence, "foreign", f"belongs to another spool: {spool_id}"
            )
        spool_id = spool_id or record.spool_id
        if record.sequence < expected:
            yield ChainFinding(
                record.spool_id, record.sequence, "duplicate", "this place is taken already"
            )
            continue
        if record.sequence > expected:
            missing = (
                f"{expected}"
                if record.sequence == expected + 1
                else (f"{expected}–{record.sequence - 1}")
            )
            yield ChainFinding(record.spool_id, expected, "gap", f"record {missing} is missing")
        elif record.prev_hash != prev_hash:
            kind = "wrong_start" if expected == 1 else "relinked"
            yield ChainFinding(
                record.spool_id,
                record.sequence,
                kind,
                "does not continue the record before it",
            )
        if not is_intact(record):
            yield ChainFinding(
                record.spool_id, record.sequence, "changed", "its hash does not fit its content"
            )
        expected, prev_hash = record.sequence + 1, record.hash


def encode_frame(record: SpoolRecord) -> bytes:
    """Return the frame of a record as it stands on disk."""
    body = dumps(record)
    return _FRAME_HEADER.pack(FRAME_MAGIC, len(body), zlib.crc32(body)) + body


def scan_frames(data: bytes, *, start: int = 0) -> Iterator[tuple[int, SpoolRecord]]:
    """Yield (end offset, record) of each whole frame in ``data`` from ``start`` on.

    Raises:
        FrameError: What follows the last whole frame is torn or damaged; ``offset`` says where.
    """
    offset = start
    while offset < len(data):
        if offset + _FRAME_HEADER.size > len(data):
            raise FrameError("torn frame header", offset)
        magic, length, crc = _FRAME_HEADER.unpack_from(data, offset)
        if magic != FRAME_MAGIC or length > MAX_RECORD_BYTES:
            raise FrameError("not a frame", offset)
        begin = offset + _FRAME_HEADER.size
        body = data[begin : begin + length]
        if len(body) < length:
            raise FrameError("torn frame", offset)
        if zlib.crc32(body) != crc:
            raise FrameError("frame with a wrong checksum", offset)
        try:
            record = loads(SpoolRecord, body)
        except ContractError as error:
            raise FrameError(f"frame that is no record: {error}", offset) from error
        offset = begin + length
        yield offset, record
