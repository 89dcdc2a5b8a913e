"""The frame of an audit event, made in one pass.

Byte for byte what ``guard.audit.chain.make_record`` and ``encode_frame`` give (a test compares
them), but the payload, which is most of it, is turned into JSON once instead of three times, and
the two events of every statement are written out by hand, with the parts that statements share
(client, objects, rules) kept as text.
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
from json.encoder import encode_basestring

from querykeep_guard.audit.chain import FRAME_MAGIC
from querykeep_guard.contracts.audit import AuditEvent, StatementCompleted, StatementStarted
from querykeep_guard.contracts.codec import to_json

_HEADER = struct.Struct(">4sII")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_quoted = encode_basestring
_KNOWN_VALUES = 4096
_known: dict[int, tuple[object, str]] = {}
"""By identity; each entry holds its value, so that no id in here is used again."""


def make_frame(
    spool_id: str,
    sequence: int,
    event_id: str,
    at: datetime,
    event: AuditEvent,
    prev_hash: bytes,
) -> tuple[bytes, bytes]:
    """Return (hash, frame) of the next record of a chain."""
    kind = type(event)
    if kind is StatementStarted:
        payload = _started(event).encode()  # type: ignore[arg-type]  # its type was looked at
    elif kind is StatementCompleted:
        payload = _completed(event).encode()  # type: ignore[arg-type]  # its type was looked at
    else:
        payload = _ENCODER.encode(_plain(event)).encode()
    head = b'{"at":"%s","event_id":%s,' % (_time(at).encode(), _text(event_id))
    tail = b'"sequence":%d,"spool_id":%s,"type":%s}' % (
        sequence,
        _text(spool_id),
        _text(kind.__name__),
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


def _started(event: StatementStarted) -> str:
    return (
        f'{{"catalog_version":{_quoted(event.catalog_version)}'
        f',"client":{_shared(event.client)}'
        f',"connection_id":{_quoted(event.connection_id)}'
        f',"connection_name":{_quoted(event.connection_name)}'
        f',"database":{_quoted(event.database)}'
        f',"digest":{_quoted(event.digest)}'
        f',"error":{_quoted(event.error)}'
        f',"error_code":{_quoted(event.error_code)}'
        f',"kind":{_quoted(event.kind)}'
        f',"objects":{_shared(event.objects)}'
        f',"parameters":{event.parameters:d}'
        f',"policy_version":{event.policy_version:d}'
        f',"protocol":{_quoted(event.protocol)}'
        f',"route":"{event.route._value_}"'
        f',"rules":{_shared(event.rules)}'
        f',"session_id":{_quoted(event.session_id)}'
        f',"started_at":"{_time(event.started_at)}"'
        f',"statement":{_quoted(event.statement)}'
        f',"statement_id":{_quoted(event.statement_id)}'
        f',"user_id":{_quoted(event.user_id)}'
        f',"username":{_quoted(event.username)}'
        f',"verdict":"{event.verdict._value_}"}}'
    )


def _completed(event: StatementCompleted) -> str:
    return (
        f'{{"bytes":{event.bytes:d}'
        f',"completed_at":"{_time(event.completed_at)}"'
        f',"duration_ms":{event.duration_ms!r}'
        f',"error":{_quoted(event.error)}'
        f',"error_code":{_quoted(event.error_code)}'
        f',"outcome":"{event.outcome._value_}"'
        f',"rows":{event.rows:d}'
        f',"session_id":{_quoted(event.session_id)}'
        f',"statement_id":{_quoted(event.statement_id)}}}'
    )


def _shared(value: object) -> str:
    """JSON of an immutable value that many events hold as the very same object."""
    known = _known.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    text = _ENCODER.encode(_plain(value))
    if len(_known) >= _KNOWN_VALUES:
        _known.clear()
    _known[id(value)] = (value, text)
    return text


def _text(value: str) -> bytes:
    return _quoted(value).encode()


def _time(value: datetime) -> str:
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat()[:-6] + "Z"


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
