"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both roles, as pure functions; and verifiers of a password.

Specification: RFC 5802, RFC 7677, RFC 5929 (``tls-server-end-point``), RFC 4013 (SASLprep) with
PostgreSQL's leniency: a password that SASLprep forbids is used as its own bytes. Randomness (salts,
nonces) is passed in. Nothing here is logged or shown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import stringprep
import unicodedata
from dataclasses import dataclass

from querykeep_guard.contracts.session import ClientVerifiers

MECHANISM = "SCRAM-SHA-256"
MECHANISM_PLUS = "SCRAM-SHA-256-PLUS"
DEFAULT_ITERATIONS = 4096
_ITERATIONS_LIMIT = 1_000_000
"""A hostile server could otherwise make us hash for minutes."""
_PLUS_HEADER = b"p=tls-server-end-point,,"


class ScramError(Exception):
    """The exchange failed; the text is for logs and holds no secret. ``proof_failed`` tells a wrong
    password from a malformed message."""

    def __init__(self, message: str, *, proof_failed: bool = False) -> None:
        super().__init__(message)
        self.proof_failed = proof_failed


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def saslprep(password: str) -> bytes:
    """Return the bytes of a password after SASLprep, or its plain UTF-8 where that is not allowed.

    Source: RFC 4013; PostgreSQL's pg_saslprep falls back in the same way.
    """
    raw = password.encode("utf-8", "surrogateescape")
    if password.isascii():
        return raw
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    if not normal or any(_is_prohibited(char) for char in normal):
        return raw
    has_ral = any(stringprep.in_table_d1(char) for char in normal)
    if has_ral:
        bad_mix = any(stringprep.in_table_d2(char) for char in normal)
        ends = stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1])
        if bad_mix or not ends:
            return raw
    try:
        return normal.encode("utf-8")
    except UnicodeEncodeError:
        return raw


def _is_prohibited(char: str) -> bool:
    return (
        stringprep.in_table_a1(char)
        or stringprep.in_table_c12(char)
        or stringprep.in_table_c21_c22(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c6(char)
        or stringprep.in_table_c7(char)
        or stringprep.in_table_c8(char)
        or stringprep.in_table_c9(char)
    )


def salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """Return Hi(password, salt, iterations)."""
    return hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)


def make_verifiers(
    password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS
) -> ClientVerifiers:
    """Return what proves knowledge of ``password``, in every form that our listeners check."""
    salted = salted_password(password, salt, iterations)
    plain = password.encode("utf-8")
    stage1 = hashlib.sha1(plain, usedforsecurity=False).digest()
    return ClientVerifiers(
        scram_salt=salt,
        scram_iterations=iterations,
        scram_stored_key=hashlib.sha256(_hmac(salted, b"Client Key")).digest(),
        scram_server_key=_hmac(salted, b"Server Key"),
        native_stage2=hashlib.sha1(stage1, usedforsecurity=False).digest(),
        caching_stage2=hashlib.sha256(hashlib.sha256(plain).digest()).digest(),
    )


# --- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """A client-first-message, split. ``gs2_header`` ends with its comma, ``bare`` follows it."""

    gs2_header: bytes
    bare: bytes
    nonce: bytes

    @property
    def binding_flag(self) -> bytes:
        """``n`` (none), ``y`` (client could, thinks the server cannot) or ``p=NAME``."""
        return self.gs2_header.split(b",", 1)[0]


def _attributes(message: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for part in message.split(b","):
        if len(part) < 2 or part[1:2] != b"=" or not part[:1].isalpha():
            raise ScramError("malformed SCRAM message")
        if part[:1] in found:
            raise ScramError("SCRAM attribute stands twice")
        found[part[:1]] = part[2:]
    if b"m" in found:
        raise ScramError("SCRAM extension is not supported")
    return found


def _base64(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ScramError("malformed base64 in SCRAM message") from None


def _check_nonce(nonce: bytes) -> None:
    if not nonce or any(not 0x21 <= byte <= 0x7E or byte == 0x2C for byte in nonce):
        raise ScramError("malformed SCRAM nonce")


def read_client_first(message: bytes) -> ClientFirst:
    """Split a client-first-message.

    Raises:
        ScramError: Malformed, or asks for an authorization identity.
    """
    flag, comma, rest = message.partition(b",")
    authzid, comma2, bare = rest.partition(b",")
    if not comma or not comma2:
        raise ScramError("malformed SCRAM message")
    if flag not in (b"n", b"y") and not flag.startswith(b"p="):
        raise ScramError("malformed SCRAM channel binding flag")
    if authzid:
        raise ScramError("SCRAM authorization identity is not supported")
    attributes = _attributes(bare)
    if b"n" not in attributes or b"r" not in attributes:
        raise ScramError("malformed SCRAM message")
    _check_nonce(attributes[b"r"])
    return ClientFirst(flag + b",,", bare, attributes[b"r"])


def server_first(client_first_bare: bytes, nonce: bytes, salt: bytes, iterations: int) -> bytes:
    """Return the server-first-message.

    Args:
        client_first_bare: As the client sent it, without the GS2 header.
        nonce: Our part of the nonce, at least 18 random bytes as base64 text.
        salt: Of the account (or of the steady fake one).
        iterations: Of the account.

    Raises:
        ScramError: The client's message is malformed.
    """
    attributes = _attributes(client_first_bare)
    if b"r" not in attributes:
        raise ScramError("malformed SCRAM message")
    _check_nonce(attributes[b"r"])
    return b"r=%s%s,s=%s,i=%d" % (attributes[b"r"], nonce, base64.b64encode(salt), iterations)


def verify_client_final(
    client_final: bytes,
    *,
    client_first_bare: bytes,
    server_first_message: bytes,
    gs2_header: bytes,
    channel_binding: bytes,
    stored_key: bytes,
    server_key: bytes,
) -> bytes:
    """Check a client-final-message and return the server-final-message.

    Args:
        client_final: As the client sent it.
        client_first_bare: Of the same exchange.
        server_first_message: What we answered.
        gs2_header: Of the client's first message; the proof must repeat it.
        channel_binding: Our certificate's ``tls-server-end-point`` hash; counts where the header
            says ``p=``.
        stored_key: StoredKey of the account.
        server_key: ServerKey of the account.

    Raises:
        ScramError: ``proof_failed`` when the proof is wrong, else malformed or another binding.
    """
    without_proof, comma, proof_part = client_final.rpartition(b",p=")
    if not comma:
        raise ScramError("malformed SCRAM message")
    attributes = _attributes(without_proof)
    expected = gs2_header + (channel_binding if gs2_header.startswith(b"p=") else b"")
    bound = _base64(attributes.get(b"c", b""))
    if not hmac.compare_digest(bound, expected):
        raise ScramError("SCRAM channel binding check failed")
    nonce = _attributes(server_first_message)[b"r"]
    if not hmac.compare_digest(attributes.get(b"r", b""), nonce):
        raise ScramError("SCRAM nonce does not match")
    proof = _base64(proof_part)
    if len(proof) != hashlib.sha256().digest_size:
        raise ScramError("malformed SCRAM proof")
    auth_message = b",".join((client_first_bare, server_first_message, without_proof))
    client_key = _xor(proof, _hmac(stored_key, auth_message))
    if not hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key):
        raise ScramError("SCRAM proof is wrong", proof_failed=True)
    return b"v=" + base64.b64encode(_hmac(server_key, auth_message))


class ScramClient:
    """The client role, once per exchange.

    Args:
        password: The account's password.
        nonce: At least 18 random bytes as base64 text.
        channel_binding: The server certificate's ``tls-server-end-point`` hash, or empty.
        server_offers_plus: Whether the server named SCRAM-SHA-256-PLUS.
    """

    def __init__(
        self, password: str, nonce: bytes, channel_binding: bytes, *, server_offers_plus: bool
    ) -> None:
        self._password = password
        self._nonce = nonce
        plus = bool(channel_binding) and server_offers_plus
        self.mechanism = MECHANISM_PLUS if plus else MECHANISM
        if plus:
            self._header, self._binding = _PLUS_HEADER, channel_binding
        else:
            self._header, self._binding = (b"y,," if channel_binding else b"n,,"), b""
        self._bare = b"n=,r=" + nonce
        self._server_signature = b""

    def first(self) -> bytes:
        """Return the client-first-message. PostgreSQL takes the user from the start-up packet."""
        return self._header + self._bare

    def final(self, server_first_message: bytes) -> bytes:
        """Return the client-final-message.

        Raises:
            ScramError: The server's message is malformed or does not extend our nonce.
        """
        attributes = _attributes(server_first_message)
        nonce = attributes.get(b"r", b"")
        if not nonce.startswith(self._nonce) or len(nonce) <= len(self._nonce):
            raise ScramError("SCRAM nonce of the server does not extend ours")
        salt = _base64(attributes.get(b"s", b""))
        count = attributes.get(b"i", b"")
        if not count.isdigit() or not 1 <= int(count[:10]) <= _ITERATIONS_LIMIT or not salt:
            raise ScramError("SCRAM parameters of the server are out of range")
        salted = salted_password(self._password, salt, int(count[:10]))
        without_proof = b"c=%s,r=%s" % (base64.b64encode(self._header + self._binding), nonce)
        auth_message = b",".join((self._bare, server_first_message, without_proof))
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), auth_message)
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), auth_message)
        return without_proof + b",p=" + base64.b64encode(_xor(client_key, signature))

    def verify(self, server_final_message: bytes) -> None:
        """Check that the server knows the password too.

        Raises:
            ScramError: It does not, or said that the exchange failed.
        """
        kind, _, value = server_final_message.partition(b"=")
        if kind != b"v" or not self._server_signature:
            raise ScramError("SCRAM exchange was refused by the server", proof_failed=True)
        if not hmac.compare_digest(_base64(value.split(b",", 1)[0]), self._server_signature):
            raise ScramError("SCRAM signature of the server is wrong")
