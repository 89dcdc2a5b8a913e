"""Pseudonyms: equal values look equal, and only the masking key tells which is which.

They show less than they hide, but not nothing: how often a value occurs stays visible, and those
that keep the format keep the length.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import timedelta

from querykeep_guard.masking.ff1 import Ff1
from querykeep_guard.masking.masker import (
    DATES,
    FAR_CHARS,
    TEXT_ONLY,
    Mask,
    Masker,
    MaskerParam,
    ValueKind,
)
from querykeep_guard.masking.measures import read_moment, show_day

Params = Mapping[str, str]

_DIGITS = "0123456789"
_ALNUM = _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SEPARATORS = frozenset(" -._/:()+#")


def _mac(key: bytes, purpose: str, value: str) -> bytes:
    text = value.encode("utf-8", "surrogatepass")
    return hmac.new(_derived(key, purpose), text, hashlib.sha256).digest()


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.new(key, purpose.encode("ascii"), hashlib.sha256).digest()


def _keyed_hash(params: Params, key: bytes) -> Mask:
    length = int(params["length"])

    def mask(value: str) -> str:
        return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
            :length
        ]

    return mask


def _keyed_uuid(_params: Params, key: bytes) -> Mask:
    def mask(value: str) -> str:
        return str(uuid.UUID(bytes=_mac(key, "keyed_uuid", value.lower())[:16], version=4))

    return mask


def _date_shift(params: Params, key: bytes) -> Mask:
    days = int(params["days"])

    def mask(value: str) -> str | None:
        read = read_moment(value)
        if read is None:
            return None
        moment, has_time, has_offset = read
        chosen = int.from_bytes(_mac(key, "date_shift", str(moment)), "big") % (2 * days)
        shift = chosen - days if chosen < days else chosen - days + 1
        try:
            day = moment.date() + timedelta(days=shift)
        except OverflowError:
            return None
        return show_day(day, has_time=has_time, has_offset=has_offset)

    return mask


def _same_digits(_params: Params, key: bytes) -> Mask:
    return _format_preserving(key, "same_digits", _DIGITS)


def _same_letters(_params: Params, key: bytes) -> Mask:
    return _format_preserving(key, "same_letters", _ALNUM)


def _format_preserving(key: bytes, purpose: str, alphabet: str) -> Mask:
    """Characters of the alphabet are encrypted together, separators stay where they are. A text
    with any other character, or with too few to be safe, is hidden whole."""
    cipher = Ff1(_derived(key, purpose), len(alphabet))
    places = {char: place for place, char in enumerate(alphabet)}

    def mask(value: str) -> str | None:
        if len(value) > FAR_CHARS:
            return None
        digits: list[int] = []
        for char in value:
            place = places.get(char)
            if place is not None:
                digits.append(place)
            elif char not in _SEPARATORS:
                return None
        if not cipher.least <= len(digits) <= 1000:
            return None
        image = iter(cipher.encrypt(digits))
        return "".join([alphabet[next(image)] if char in places else char for char in value])

    return mask


MASKERS = (
    Masker(
        "keyed_hash",
        "Keyed hash: equal values look equal",
        "키 해시: 같은 값은 같은 결과",
        _keyed_hash,
        ("900101-1234567", "a keyed hash"),
        (MaskerParam("length", "integer", "16", 8, 64),),
        secret_key=True,
    ),
    Masker(
        "keyed_uuid",
        "Keyed UUID: equal values look equal",
        "키 UUID: 같은 값은 같은 결과",
        _keyed_uuid,
        ("6f1c2d3e-0000-4000-8000-000000000001", "a keyed UUID"),
        fits=frozenset({ValueKind.UUID, ValueKind.TEXT}),
        secret_key=True,
    ),
    Masker(
        "same_digits",
        "Format-preserving: other digits",
        "형식 유지: 숫자를 다른 숫자로 치환",
        _same_digits,
        ("010-1234-5678", "other digits, same places"),
        secret_key=True,
    ),
    Masker(
        "same_letters",
        "Format-preserving: other letters and digits",
        "형식 유지: 영문자와 숫자를 치환",
        _same_letters,
        ("KR-2026-AB12", "other letters and digits, same places"),
        secret_key=True,
    ),
    Masker(
        "date_shift",
        "Date: moved by up to so many days",
        "날짜: 정한 일수 안에서 이동",
        _date_shift,
        ("1990-03-15", "a day near it"),
        (MaskerParam("days", "integer", "30", 1, 3650),),
        fits=DATES | TEXT_ONLY,
        secret_key=True,
    ),
)
