"""Authentication towards a target, as pure functions; verifying clients is the API's work.

Source: MySQL Server Doxygen documentation, "Authentication Phase"; MariaDB Knowledge Base,
"Authentication Plugin - ed25519".
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
SHA256 = "sha256_password"
CLEARTEXT = "mysql_clear_password"
ED25519 = "client_ed25519"
PARSEC = "parsec"
IN_ONE_STEP = (NATIVE, CACHING_SHA2, ED25519)
"""Those whose first answer needs the password and the nonce alone."""
PARSEC_NONCE_BYTES = 32
_PARSEC_ITERATIONS, _PARSEC_MAX_FACTOR = 1024, 6


class AuthError(Exception):
    """The exchange cannot go on; the text holds no secret."""


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def native_response(password: str, nonce: bytes) -> bytes:
    """Return SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))); empty for no password."""
    if not password:
        return b""
    stage1 = hashlib.sha1(password.encode("utf-8"), usedforsecurity=False).digest()
    stage2 = hashlib.sha1(stage1, usedforsecurity=False).digest()
    return _xor(stage1, hashlib.sha1(nonce + stage2, usedforsecurity=False).digest())


def caching_sha2_response(password: str, nonce: bytes) -> bytes:
    """Return SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce)."""
    if not password:
        return b""
    stage1 = hashlib.sha256(password.encode("utf-8")).digest()
    stage2 = hashlib.sha256(stage1).digest()
    return _xor(stage1, hashlib.sha256(stage2 + nonce).digest())


def encrypted_password(password: str, nonce: bytes, public_key_pem: bytes) -> bytes:
    """Return the password, XORed with the nonce, under the server's RSA key (OAEP, SHA-1).

    Raises:
        AuthError: What the server sent is no RSA public key.
    """
    try:
        key = serialization.load_pem_public_key(public_key_pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthError("the target sent no usable public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise AuthError("the target's public key is no RSA key")
    plain = password.encode("utf-8") + b"\x00"
    mixed = bytes(byte ^ nonce[i % len(nonce)] for i, byte in enumerate(plain))
    oaep = padding.OAEP(
        mgf=padding.MGF1(algorithm=hashes.SHA1()),  # noqa: S303 - the protocol fixes SHA-1
        algorithm=hashes.SHA1(),  # noqa: S303 - the protocol fixes SHA-1
        label=None,
    )
    return key.encrypt(mixed, oaep)


def parsec_response(password: str, nonce: bytes, salt_packet: bytes, own_nonce: bytes) -> bytes:
    """Return ``own_nonce`` and the Ed25519 signature over both nonces, with the key that PBKDF2
    makes of the password and the server's extended salt ("P", a factor of iterations, the salt).

    Raises:
        AuthError: The server asks for another derivation, or for more work than is due.

    Source: MariaDB documentation, "Authentication Plugin - PARSEC".
    """
    if salt_packet[:1] != b"P" or len(salt_packet) < 3:
        raise AuthError("the target asks for a key derivation that is not known")
    factor, salt = salt_packet[1], salt_packet[2:]
    if factor > _PARSEC_MAX_FACTOR:
        raise AuthError("the target asks for too many rounds of key derivation")
    rounds = _PARSEC_ITERATIONS << factor
    secret = hashlib.pbkdf2_hmac("sha512", password.encode("utf-8"), salt, rounds, 32)
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(nonce + own_nonce)
    return own_nonce + signature


# --- Ed25519 with a password of any length as its secret (MariaDB), RFC 8032 arithmetic -----------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_GY = 4 * pow(5, _P - 2, _P) % _P
_Point = tuple[int, int, int, int]


def _recover_x(y: int) -> int:
    x2 = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(x2, (_P + 3) // 8, _P)
    if (x * x - x2) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    return _P - x if x & 1 else x


_GX = _recover_x(_GY)
_G: _Point = (_GX, _GY, 1, _GX * _GY % _P)


def _add(left: _Point, right: _Point) -> _Point:
    a = (left[1] - left[0]) * (right[1] - right[0]) % _P
    b = (left[1] + left[0]) * (right[1] + right[0]) % _P
    c = 2 * left[3] * right[3] * _D % _P
    d = 2 * left[2] * right[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _compress(point: _Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519_response(password: str, nonce: bytes) -> bytes:
    """Return the Ed25519 signature over the nonce, with SHA-512(password) as expanded secret.

    Not constant in time: it runs in our process on our own stored secret, over a random nonce.
    """
    expanded = hashlib.sha512(password.encode("utf-8")).digest()
    scalar = int.from_bytes(expanded[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = _compress(_multiply(scalar, _G))
    r = int.from_bytes(hashlib.sha512(expanded[32:] + nonce).digest(), "little") % _L
    commitment = _compress(_multiply(r, _G))
    k = int.from_bytes(hashlib.sha512(commitment + public + nonce).digest(), "little") % _L
    return commitment + ((r + k * scalar) % _L).to_bytes(32, "little")
