"""Agent keys: Ed25519, held by the agent alone; what is signed with them stands in ``agents``."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from querykeep_api.kernel.errors import InvalidInput, NotSignedIn


def public_key(text: str) -> Ed25519PublicKey:
    """Return the Ed25519 key of base64 text; raises InvalidInput for anything else."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise wrong_field(
            "agent_key", "Expected an Ed25519 public key of 32 bytes in base64."
        ) from error


def verify_signature(key: str, message: str, signature: bytes) -> bool:
    """Return whether ``signature`` is the agent key's over ``message``."""
    try:
        public_key(key).verify(signature, message.encode())
    except (InvalidSignature, InvalidInput):
        return False
    return True


def wrong_field(field: str, text: str) -> InvalidInput:
    """Return the error for a field of the wrong shape."""
    return InvalidInput(f"{field}: {text}", fields={field: [text]})


def bad_agent_grant() -> NotSignedIn:
    """Return the one error for every fault of an agent's credentials."""
    return NotSignedIn(
        "The agent's sign-in does not hold any more. Run 'qk login' again.", code="bad_agent_grant"
    )
