"""The frame of an audit event, made in one pass.

Byte for byte what ``guard.audit.chain.make_record`` and ``encode_frame`` give (a test compares
them), but the payload, which is most of it, is turned into JSON once instead of three times, and
without looking at any type but once; the parts that statements share (client, objects, rules) are
kept as text.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import cache
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, get_type_hints

from querykeep_guard.audit.chain import FRAME_MAGIC
from querykeep_guard.contracts.audit import AuditEvent
from querykeep_guard.contracts.codec import to_json

_HEADER = struct.Struct(">4sII")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_quoted = encode_basestring
_ENCODERS: dict[type, Callable[[object], str]] = {}
_KNOWN_VALUES = 4096
_KNOWN_CHARS = 4096
"""Longer ones are rare, and a client could fill the memory with them."""
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
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        encoder = _ENCODERS[kind] = _encoder(kind)
    payload = encoder(event).encode()
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


def _encoder(kind: type) -> Callable[[object], str]:
    """Return the function that writes an event of one type, made from its fields."""
    hints = get_type_hints(kind)
    names = sorted(hints)
    template = "{" + ",".join(f'"{name}":%s' for name in names) + "}"
    values = attrgetter(*names)
    writers = [_writer(hints[name]) for name in names]

    def encode(event: object) -> str:
        return template % tuple(
            write(value) for write, value in zip(writers, values(event), strict=True)
        )

    return encode


def _writer(kind: object) -> Callable[[Any], str]:
    if kind is str:
        return _quoted
    if kind is int or kind is float:
        return repr
    if kind is datetime:
        return lambda value: f'"{_time(value)}"'
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {member: _ENCODER.encode(member.value) for member in kind}.__getitem__
    return _shared


def _shared(value: object) -> str:
    """JSON of an immutable value that many events hold as the very same object."""
    known = _known.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    text = _ENCODER.encode(_plain(value))
    if len(text) > _KNOWN_CHARS:
        return text
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
