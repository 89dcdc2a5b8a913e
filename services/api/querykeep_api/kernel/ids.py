"""Opaque ids: 26 characters of base32 (48 bits of time, 80 random bits), sortable by creation."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 26


def new_id() -> str:
    """Return a new id; unique without asking anyone."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return encode(value, ID_LENGTH)


def encode(value: int, length: int) -> str:
    """Return ``value`` in Crockford's base32, lower case, padded to ``length``."""
    digits = []
    for _ in range(length):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(digits))


def random_text(bits: int) -> str:
    """Return at least ``bits`` random bits as lower-case base32, safe in any shell or URL."""
    length = -(-bits // 5)
    return encode(secrets.randbits(length * 5), length)
