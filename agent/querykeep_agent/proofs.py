"""What the agent proves and how: its Ed25519 key, PKCE, and verifiers of a local password.

The texts that are signed and the verifiers' forms are the API's; they are made here again because
the agent installs alone. Specifications: RFC 7636 (PKCE, S256), RFC 8032 (Ed25519), RFC 5802 and
7677 (SCRAM-SHA-256), MySQL's native and caching_sha2 passwords.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PASSWORD_BITS = 160
_SCRAM_ITERATIONS = 4096
"""As PostgreSQL's own default; the password has 160 random bits, so that more would buy nothing."""
_PASSWORD_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # noqa: S105 - letters, not a password


class AgentKey:
    """The key that a sign-in is bound to; it never leaves this machine."""

    def __init__(self, seed: bytes) -> None:
        """``seed``: the 32 bytes of an Ed25519 private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "AgentKey(…)"

    @staticmethod
    def new() -> AgentKey:
        """Make a key."""
        return AgentKey(secrets.token_bytes(32))

    @property
    def public(self) -> str:
        """The public key's 32 bytes in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, *lines: str) -> str:
        """Return the base64 signature over the lines, joined by newlines."""
        return base64.b64encode(self._key.sign("\n".join(lines).encode())).decode()


def sign_login(key: AgentKey, login_id: str, code: str) -> str:
    """Sign the redemption of a login."""
    return key.sign("querykeep-login", login_id, code)


def sign_refresh(key: AgentKey, refresh_token: str, timestamp: int) -> str:
    """Sign a renewal."""
    return key.sign("querykeep-refresh", _sha256(refresh_token), str(timestamp))


def sign_establish(key: AgentKey, connection: str, timestamp: int, access_token: str) -> str:
    """Sign a request for a ticket."""
    return key.sign("querykeep-establish", connection, str(timestamp), _sha256(access_token))


def sign_ticket(key: AgentKey, ticket: str) -> str:
    """Sign a ticket on the data port."""
    return key.sign("querykeep-ticket", ticket)


@dataclass(frozen=True, slots=True)
class Pkce:
    """A code verifier and its S256 challenge."""

    verifier: str
    challenge: str

    def __repr__(self) -> str:
        """Show the challenge only."""
        return f"Pkce({self.challenge})"

    @staticmethod
    def new() -> Pkce:
        """Make a pair from 256 random bits."""
        verifier = _base64url(secrets.token_bytes(32))
        return Pkce(verifier, _base64url(hashlib.sha256(verifier.encode()).digest()))


def new_login_id() -> str:
    """Return 128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def new_password() -> str:
    """Return 160 random bits as letters and digits that need no quoting anywhere."""
    bits = secrets.randbits(_PASSWORD_BITS)
    letters = []
    for _ in range(_PASSWORD_BITS // 5):
        letters.append(_PASSWORD_ALPHABET[bits & 31])
        bits >>= 5
    return "".join(letters)


def verifiers(password: str) -> dict[str, object]:
    """Return what proves knowledge of an ASCII password, as ``ClientVerifiers`` in JSON; the salt
    is new each time."""
    salt = secrets.token_bytes(16)
    plain = password.encode("ascii")
    salted = hashlib.pbkdf2_hmac("sha256", plain, salt, _SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stage1 = hashlib.sha1(plain, usedforsecurity=False).digest()
    return {
        "scram_salt": _base64(salt),
        "scram_iterations": _SCRAM_ITERATIONS,
        "scram_stored_key": _base64(hashlib.sha256(client_key).digest()),
        "scram_server_key": _base64(hmac.digest(salted, b"Server Key", "sha256")),
        "native_stage2": _base64(hashlib.sha1(stage1, usedforsecurity=False).digest()),
        "caching_stage2": _base64(hashlib.sha256(hashlib.sha256(plain).digest()).digest()),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
