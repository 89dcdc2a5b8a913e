"""Values of built-in types on the wire, in text and binary, as maskers read and write them.

Source: the types' ``send`` and ``recv`` functions (src/backend/utils/adt); OIDs: pg_type.dat.
"""

from __future__ import annotations

import ipaddress
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from querykeep_engines.kit.cells import ASCII, UTF8, ValueCodec, whole_number
from querykeep_guard.masking import ValueKind

_EPOCH = datetime(2000, 1, 1)
_NUMERIC_HEAD = struct.Struct("!hhHH")
_NEGATIVE, _SPECIAL = 0x4000, 0x8000
_MOST_GROUPS = 100
"""Longer numerics are hidden whole."""
_FAMILIES = {2: (4, 32), 3: (16, 128)}
_JSONB_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class MaskableType:
    """A type whose values a masker may show in part."""

    kind: ValueKind
    text: ValueCodec
    binary: ValueCodec


def _packed(code: str, read: Callable[[Any], str], write: Callable[[str], Any]) -> ValueCodec:
    form = struct.Struct(code)
    return ValueCodec(
        lambda value: read(form.unpack(value)[0]), lambda text: form.pack(write(text))
    )


def _integer(code: str, bits: int) -> MaskableType:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    text = ValueCodec(ASCII.read, whole_number(low, high))
    return MaskableType(ValueKind.INTEGER, text, _packed(code, str, int))


def _float(code: str) -> MaskableType:
    return MaskableType(ValueKind.FLOAT, ASCII, _packed(code, repr, float))


def _read_numeric(value: bytes) -> str:
    count, weight, sign, _scale = _NUMERIC_HEAD.unpack_from(value)
    if sign & _SPECIAL or count > _MOST_GROUPS or abs(weight) > _MOST_GROUPS:
        raise ValueError("not a finite number of usual length")
    number = 0
    for group in struct.unpack_from(f"!{count}H", value, _NUMERIC_HEAD.size):
        number = number * 10_000 + group
    digits = tuple(map(int, str(number)))  # exact, where arithmetic would round
    shown = Decimal((int(bool(sign & _NEGATIVE)), digits, 4 * (weight - count + 1)))
    return format(shown, "f")


def _write_numeric(text: str) -> bytes:
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("not a finite number")
    below = -(-max(0, -exponent) // 4)
    number = int("".join(map(str, digits))) * 10 ** (exponent + 4 * below)
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.insert(0, group)
    weight = len(groups) - below - 1 if groups else 0
    while groups and not groups[-1]:
        groups.pop()
    head = _NUMERIC_HEAD.pack(
        len(groups), weight, _NEGATIVE if sign and groups else 0, max(0, -exponent)
    )
    return head + struct.pack(f"!{len(groups)}H", *groups)


def _read_date(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def _write_date(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH.date()).days


def _read_timestamp(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(" ")


def _write_timestamp(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _read_inet(value: bytes) -> str:
    family, _bits, _is_cidr, size = value[:4]
    if _FAMILIES.get(family, (-1, 0))[0] != size or len(value) != 4 + size:
        raise ValueError("not an address")
    return str(ipaddress.ip_address(value[4:]))


def _write_inet(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    family = 2 if address.version == 4 else 3
    size, bits = _FAMILIES[family]
    return bytes((family, bits, 0, size)) + address.packed


def _read_jsonb(value: bytes) -> str:
    if value[:1] != _JSONB_VERSION:
        raise ValueError("not a version of jsonb that is known")
    return value[1:].decode("utf-8")


_TEXT = MaskableType(ValueKind.TEXT, UTF8, UTF8)
_TIMESTAMP = MaskableType(
    ValueKind.TIMESTAMP, ASCII, _packed("!q", _read_timestamp, _write_timestamp)
)

MASKABLE: dict[int, MaskableType] = {
    19: _TEXT,  # name
    25: _TEXT,  # text
    1042: _TEXT,  # bpchar
    1043: _TEXT,  # varchar
    20: _integer("!q", 64),
    21: _integer("!h", 16),
    23: _integer("!i", 32),
    700: _float("!f"),
    701: _float("!d"),
    1700: MaskableType(ValueKind.DECIMAL, ASCII, ValueCodec(_read_numeric, _write_numeric)),
    1082: MaskableType(ValueKind.DATE, ASCII, _packed("!i", _read_date, _write_date)),
    1114: _TIMESTAMP,  # timestamp
    1184: _TIMESTAMP,  # timestamptz, in binary UTC
    2950: MaskableType(
        ValueKind.UUID,
        ASCII,
        ValueCodec(lambda value: str(uuid.UUID(bytes=value)), lambda text: uuid.UUID(text).bytes),
    ),
    869: MaskableType(ValueKind.INET, ASCII, ValueCodec(_read_inet, _write_inet)),
    114: MaskableType(ValueKind.JSON, UTF8, UTF8),
    3802: MaskableType(
        ValueKind.JSON,
        UTF8,
        ValueCodec(_read_jsonb, lambda text: _JSONB_VERSION + text.encode("utf-8")),
    ),
}
"""By OID. A value of any other type is NULL once it is masked."""
