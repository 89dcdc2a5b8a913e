"""The frame of an audit event, made in one pass.

Byte for byte what ``guard.audit.chain.make_record`` and ``encode_frame`` give (a test compares
them), but the payload, which is most of it, is turned into JSON once instead of three times: this
runs twice per statement.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import json
import struct
import zlib
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import cache

from querykeep_guard.audit.chain import FRAME_MAGIC
from querykeep_guard.contracts.audit import AuditEvent
from querykeep_guard.contracts.codec import to_json

_HEADER = struct.Struct(">4sII")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def make_frame(
    spool_id: str,
    sequence: int,
    event_id: str,
    at: datetime,
    event: AuditEvent,
    prev_hash: bytes,
) -> tuple[bytes, bytes]:
    """Return (hash, frame) of the next record of a chain."""
    payload = _ENCODER.encode(_plain(event)).encode()
    head = b'{"at":%s,"event_id":%s,' % (_text(_time(at)), _text(event_id))
    tail = b'"sequence":%d,"spool_id":%s,"type":%s}' % (
        sequence,
        _text(spool_id),
        _text(type(event).__name__),
    )
    digest = hashlib.sha256(b'%s%s"payload":%s,%s' % (prev_hash, head, payload, tail)).digest()
    body = b'%s"hash":"%s","payload":%s,"prev_hash":"%s",%s' % (
        head,
        base64.b64encode(digest),
        payload,
        base64.b64encode(prev_hash),
        tail,
    )
    return digest, _HEADER.pack(FRAME_MAGIC, len(body), zlib.crc32(body)) + body


def _text(value: str) -> bytes:
    return _ENCODER.encode(value).encode()


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@cache
def _names(kind: Hashable) -> tuple[str, ...] | None:
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _plain(value: object) -> object:
    """``codec.to_json`` with what is known of a class kept."""
    kind: type = type(value)
    if kind is str or kind is int or value is None or kind is bool or kind is float:
        return value
    names = _names(kind)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return _time(value)
    if kind is tuple:
        return [_plain(item) for item in value]  # type: ignore[attr-defined]  # it is a tuple
    return to_json(value)
