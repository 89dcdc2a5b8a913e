"""Sign-in at targets: what is sent, checked with the public half."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from querykeep_engines.mysql import errors
from querykeep_engines.mysql.wire import auth
from querykeep_engines.mysql.wire.handshake import decode_auth_switch

SALT, NONCE, OWN = bytes(range(18)), b"\x07" * 32, b"\x09" * 32


def test_parsec_signs_both_nonces_with_the_derived_key() -> None:
    answer = auth.parsec_response("secret 한글", NONCE, b"P\x01" + SALT, OWN)
    assert answer[:32] == OWN
    derived = hashlib.pbkdf2_hmac("sha512", "secret 한글".encode(), SALT, 2048, 32)
    public = Ed25519PrivateKey.from_private_bytes(derived).public_key()
    public.verify(answer[32:], NONCE + OWN)
    other = auth.parsec_response("secret", NONCE, b"P\x01" + SALT, OWN)
    with pytest.raises(InvalidSignature):
        public.verify(other[32:], NONCE + OWN)


@pytest.mark.parametrize("salt", [b"", b"P", b"Q\x00" + SALT, b"P\x07" + SALT, b"P\xff" + SALT])
def test_parsec_refuses_unknown_or_endless_derivations(salt: bytes) -> None:
    with pytest.raises(auth.AuthError):
        auth.parsec_response("secret", NONCE, salt, OWN)


def test_a_nonce_keeps_a_zero_that_belongs_to_it() -> None:
    nonce = b"\x01" * 31 + b"\x00"
    assert decode_auth_switch(b"\xfeparsec\x00" + nonce) == ("parsec", nonce)
    native = b"\x02" * 20
    answer = decode_auth_switch(b"\xfemysql_native_password\x00" + native + b"\x00")
    assert answer == ("mysql_native_password", native)


def test_own_errors_have_no_number_of_the_clients_range() -> None:
    numbers = [
        value
        for name, value in vars(errors).items()
        if name.startswith("ER_") and isinstance(value, int)
    ]
    assert len(numbers) > 20
    assert [number for number in numbers if 2000 <= number <= 2999] == []
