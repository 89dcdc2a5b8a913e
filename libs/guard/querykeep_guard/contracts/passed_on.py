"""Proof that a request to the public API was passed on by a service of this installation.

The API judges zones, sign-in limits and audit by the client's address. What stands in
``X-Forwarded-For`` is believed from trusted networks, but containers and pods have no address that
could be named beforehand. So the service that passes a request on signs what it says about the
client with its own key. The key itself never travels: the public port may be plain HTTP.

Header: ``X-Querykeep-Passed-On: <service> <unix seconds> <hex HMAC-SHA256>``; the HMAC's key is the
SHA-256 (hex) of the service's key, which is all that the API knows of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

HEADER = "X-Querykeep-Passed-On"
# Bounds how long a proof that somebody saw on the wire is worth anything; clocks may differ.
VALID_S = 120


class PassedOnError(ValueError):
    """The proof does not hold; the text says why, for the log."""


def passed_on_proof(service: str, key: str, forwarded_for: str, *, now_s: float) -> str:
    """Return the header's value for a request of the client ``forwarded_for``.

    Args:
        service: The service's name, as the API knows it.
        key: The service's own key.
        forwarded_for: The whole value of ``X-Forwarded-For`` that is sent along.
        now_s: Unix time.
    """
    at = int(now_s)
    return f"{service} {at} {_mac(_digest(key), service, at, forwarded_for)}"


def check_passed_on(
    proof: str, digests: Mapping[str, str], forwarded_for: str, *, now_s: float
) -> str:
    """Return the name of the service that passed the request on.

    Args:
        proof: The header's value.
        digests: SHA-256 (hex) of each service's key.
        forwarded_for: The value of ``X-Forwarded-For`` that came along.
        now_s: Unix time.

    Raises:
        PassedOnError: Malformed, of an unknown service, too old or too new, or signed otherwise.
    """
    service, _, rest = proof.partition(" ")
    time_text, _, mac = rest.partition(" ")
    if not (time_text.isascii() and time_text.isdigit() and len(time_text) <= 12 and mac.isascii()):
        raise PassedOnError("it is malformed")
    at = int(time_text)
    digest = digests.get(service, "")
    # Computed even for an unknown service, so that names cannot be told apart by time.
    is_signed = hmac.compare_digest(_mac(digest, service, at, forwarded_for), mac)
    if not (is_signed and digest):
        raise PassedOnError("its signature is not one of this installation's services")
    if abs(now_s - at) > VALID_S:
        raise PassedOnError(
            f"its time differs by {abs(now_s - at):.0f} s from the API's clock: set both clocks"
        )
    return service


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _mac(digest: str, service: str, at: int, forwarded_for: str) -> str:
    text = f"{service}\n{at}\n{forwarded_for}".encode("utf-8", "surrogateescape")
    return hmac.new(digest.encode(), text, hashlib.sha256).hexdigest()
