"""Envelope encryption of stored secrets, and keyed hashes.

Each secret has a data key of its own (AES-256-GCM), wrapped by a key derived from the root key. The
sealed form names its root key by id, so that root keys can be rotated; the context (table, row,
field) is authenticated, so that a sealed value cannot be moved to another row.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from querykeep_api.config.roots import derive, root_keys

_NONCE_BYTES = 12


class SealError(RuntimeError):
    """A sealed secret cannot be opened: wrong root key, wrong row, or changed bytes."""


def seal(plain: str, context: str) -> str:
    """Return the sealed form of a secret, bound to ``context``; an empty secret stays empty."""
    if not plain:
        return ""
    root = root_keys(settings.QUERYKEEP.secret_file)[0]
    data_key = AESGCM.generate_key(bit_length=256)
    aad = context.encode()
    key_nonce, data_nonce = os.urandom(_NONCE_BYTES), os.urandom(_NONCE_BYTES)
    wrapped = AESGCM(derive(root, "envelope")).encrypt(key_nonce, data_key, aad)
    sealed = AESGCM(data_key).encrypt(data_nonce, plain.encode(), aad)
    return json.dumps(
        {
            "v": 1,
            "kid": key_id(root),
            "key": base64.b64encode(key_nonce + wrapped).decode(),
            "data": base64.b64encode(data_nonce + sealed).decode(),
        },
        separators=(",", ":"),
    )


def unseal(sealed: str, context: str) -> str:
    """Return the secret of a sealed form.

    Raises:
        SealError: The root key that sealed it is not in the file, or the bytes are not whole.
    """
    if not sealed:
        return ""
    try:
        envelope = json.loads(sealed)
        wrapped = base64.b64decode(envelope["key"])
        data = base64.b64decode(envelope["data"])
        wanted = envelope["kid"]
    except (ValueError, KeyError, TypeError) as error:
        raise SealError(f"{context}: the stored secret is not readable") from error
    aad = context.encode()
    for root in root_keys(settings.QUERYKEEP.secret_file):
        if key_id(root) != wanted:
            continue
        try:
            data_key = AESGCM(derive(root, "envelope")).decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], aad
            )
            plain = AESGCM(data_key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], aad)
        except InvalidTag as error:
            raise SealError(f"{context}: the stored secret was changed or moved") from error
        return plain.decode()
    raise SealError(
        f"{context}: sealed by root key {wanted}, which is not in QUERYKEEP_SECRET_FILE. "
        "Put the older key on a further line of that file, or store the secret anew."
    )


def key_id(root: bytes) -> str:
    """Return the public id of a root key."""
    return derive(root, "key-id", 8).hex()


def is_sealed_by_current(sealed: str) -> bool:
    """Return whether a sealed value uses the current root key (rotation re-seals the others)."""
    if not sealed:
        return True
    kid: str = json.loads(sealed)["kid"]
    return kid == key_id(root_keys(settings.QUERYKEEP.secret_file)[0])


def keyed_hash(purpose: str, value: bytes, length: int = 32) -> bytes:
    """Return an HMAC-SHA-256 of ``value`` under a key for one purpose: steady, and not to be
    computed by anyone without the root key."""
    key = derive(root_keys(settings.QUERYKEEP.secret_file)[-1], f"hash:{purpose}")
    out = b""
    counter = 0
    while len(out) < length:
        out += hmac.new(key, counter.to_bytes(4, "big") + value, hashlib.sha256).digest()
        counter += 1
    return out[:length]


def purpose_key(purpose: str, length: int = 32) -> bytes:
    """Return the current derived key of one purpose (signing seeds, HMAC keys)."""
    return derive(root_keys(settings.QUERYKEEP.secret_file)[0], purpose, length)


def token_hash(secret: str) -> str:
    """Return SHA-256 in hex of a random secret of 128 bits or more: no salt is needed there."""
    return hashlib.sha256(secret.encode()).hexdigest()
