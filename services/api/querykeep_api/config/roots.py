"""The root key: read from its file, split by HKDF into one key per purpose.

The file holds one base64 key of 32 bytes per line. The first line is the current key; further lines
are older keys, kept so that what they encrypted can still be read until it is rotated.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class RootKeyError(RuntimeError):
    """The root key cannot be read; the text names the setting and what to do."""


def derive(root: bytes, purpose: str, length: int = 32) -> bytes:
    """Return the key of one purpose (HKDF-SHA-256, the purpose as info)."""
    kdf = HKDF(algorithm=SHA256(), length=length, salt=b"querykeep", info=purpose.encode())
    return kdf.derive(root)


def root_keys(path: Path) -> tuple[bytes, ...]:
    """Return the root keys, current first.

    Raises:
        RootKeyError: The file is missing, unreadable, or holds something else.
    """
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise RootKeyError(
            f"root key {path}: {error.strerror}. Set QUERYKEEP_SECRET_FILE to a file with 32 "
            "random bytes in base64 (head -c32 /dev/urandom | base64), mode 0600."
        ) from error
    return _read(path, stamp)


def derived_text(path: Path, purpose: str) -> str:
    """Return a key as hex text, or nothing while there is no root key file."""
    return derive(root_keys(path)[0], purpose).hex() if path.exists() else ""


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: int) -> tuple[bytes, ...]:
    keys = []
    for number, line in enumerate(path.read_text("ascii").split(), start=1):
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error as error:
            raise RootKeyError(
                f"QUERYKEEP_SECRET_FILE {path}: line {number} is not base64"
            ) from error
        if len(key) != 32:
            raise RootKeyError(f"QUERYKEEP_SECRET_FILE {path}: line {number} is not 32 bytes")
        keys.append(key)
    if not keys:
        raise RootKeyError(f"QUERYKEEP_SECRET_FILE {path}: no key in it")
    return tuple(keys)
