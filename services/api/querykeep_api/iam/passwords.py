"""Passwords: Argon2id hashes, the policy for new ones, and equal time for unknown people."""

from __future__ import annotations

import secrets
import string
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from django.conf import settings

from querykeep_api.iam.models import User
from querykeep_api.kernel.errors import InvalidInput

MIN_LENGTH = 12
MAX_LENGTH = 1024  # Argon2 would hash more; a megabyte of "password" is only work for us
HISTORY = 5


@lru_cache(maxsize=2)
def _hasher(memory_kib: int, time_cost: int) -> PasswordHasher:
    return PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)


def hasher() -> PasswordHasher:
    """Return the hasher (OWASP's Argon2id parameters; tests set cheaper ones)."""
    memory_kib, time_cost = getattr(settings, "ARGON2_COST", (19456, 2))
    return _hasher(memory_kib, time_cost)


@lru_cache(maxsize=2)
def _dummy_hash(cost: PasswordHasher) -> str:
    return cost.hash(secrets.token_hex(16))


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password."""
    return hasher().hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Return whether a password fits. An empty hash (unknown person, no password) costs the same
    time and never fits."""
    stored = password_hash or _dummy_hash(hasher())
    try:
        hasher().verify(stored, password[:MAX_LENGTH])
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash) and len(password) <= MAX_LENGTH


def needs_rehash(password_hash: str) -> bool:
    """Return whether a hash was made with older parameters."""
    return hasher().check_needs_rehash(password_hash)


def check_new_password(user: User, password: str, *, field: str = "new") -> None:
    """Check a password that a person chose.

    Raises:
        InvalidInput: Too short or long, made of his own name or address, or used before.
    """
    problems: list[str] = []
    if len(password) < MIN_LENGTH:
        problems.append(f"Use at least {MIN_LENGTH} characters.")
    if len(password) > MAX_LENGTH:
        problems.append(f"Use at most {MAX_LENGTH} characters.")
    if len(set(password)) < 5:
        problems.append("Use at least five different characters.")
    lowered = password.lower()
    personal = [user.username, user.email.partition("@")[0], *user.display_name.split()]
    if any(len(word) >= 3 and word.lower() in lowered for word in personal):
        problems.append("Do not use your name or address in it.")
    if not problems and _was_used(user, password):
        problems.append(f"Do not use one of your last {HISTORY} passwords again.")
    if problems:
        raise InvalidInput(problems[0], code="weak_password", fields={field: problems})


def temporary_password() -> str:
    """Return a random password that a person can read out: 20 characters, about 100 bits."""
    alphabet = "".join(c for c in string.ascii_letters + string.digits if c not in "0O1lI")
    groups = ("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def _was_used(user: User, password: str) -> bool:
    hashes = [user.password_hash] if user.password_hash else []
    hashes += user.former_passwords.order_by("-id").values_list("password_hash", flat=True)[
        :HISTORY
    ]
    return any(verify_password(old, password) for old in hashes)
