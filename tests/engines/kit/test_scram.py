"""SCRAM against the RFC's own exchange, both roles wired together, and every way to cheat."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_engines.kit import scram

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
BARE = b"n=user,r=" + CLIENT_NONCE
FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def verify(final: bytes, **changes: bytes) -> bytes:
    verifiers = scram.make_verifiers("pencil", SALT, 4096)
    words = {
        "client_first_bare": BARE,
        "server_first_message": scram.server_first(BARE, SERVER_NONCE, SALT, 4096),
        "gs2_header": b"n,,",
        "channel_binding": b"",
        "stored_key": verifiers.scram_stored_key,
        "server_key": verifiers.scram_server_key,
    }
    return scram.verify_client_final(final, **{**words, **changes})


def test_server_role_accepts_the_exchange_of_rfc_7677() -> None:
    assert verify(FINAL) == SERVER_FINAL


def test_server_role_refuses_a_wrong_proof_as_such() -> None:
    wrong = FINAL[:-4] + b"AAA="
    with pytest.raises(scram.ScramError) as caught:
        verify(wrong)
    assert caught.value.proof_failed


@pytest.mark.parametrize(
    ("final", "changes"),
    [
        (FINAL.replace(b"c=biws", b"c=eSws"), {}),
        (FINAL.replace(b"r=rOpr", b"r=sOpr"), {}),
        (FINAL.partition(b",p=")[0], {}),
        (FINAL.replace(b"p=dHzb", b"p=!Hzb"), {}),
        (FINAL + b"AAAA", {}),
        (FINAL, {"gs2_header": b"p=tls-server-end-point,,", "channel_binding": b"x"}),
        (b"", {}),
        (b"m=x," + FINAL, {}),
    ],
)
def test_server_role_refuses_what_is_malformed_or_bound_elsewhere(
    final: bytes, changes: dict[str, bytes]
) -> None:
    with pytest.raises(scram.ScramError) as caught:
        verify(final, **changes)
    assert not caught.value.proof_failed


@pytest.mark.parametrize("binding", [b"", b"certificate-hash"])
@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("password", ["secret", "비밀번호", "a\u00adb", "", "\u0007bell"])
def test_both_roles_agree(binding: bytes, plus: bool, password: str) -> None:
    verifiers = scram.make_verifiers(password, SALT, 10)
    client = scram.ScramClient(password, b"abc", binding, server_offers_plus=plus)
    assert client.mechanism.endswith("-PLUS") == (plus and bool(binding))
    first = scram.read_client_first(client.first())
    server_first = scram.server_first(first.bare, b"def", SALT, 10)
    final = client.final(server_first)
    client.verify(
        scram.verify_client_final(
            final,
            client_first_bare=first.bare,
            server_first_message=server_first,
            gs2_header=first.gs2_header,
            channel_binding=binding,
            stored_key=verifiers.scram_stored_key,
            server_key=verifiers.scram_server_key,
        )
    )


def test_client_role_refuses_a_server_that_does_not_know_the_password() -> None:
    client = scram.ScramClient("pencil", b"abc", b"", server_offers_plus=False)
    client.final(scram.server_first(b"n=,r=abc", b"def", SALT, 10))
    with pytest.raises(scram.ScramError):
        client.verify(b"v=" + base64.b64encode(b"x" * 32))
    with pytest.raises(scram.ScramError):
        client.verify(b"e=other-error")


@pytest.mark.parametrize(
    "message",
    [
        b"r=abc,s=AAAA,i=10",
        b"r=xyzdef,s=AAAA,i=10",
        b"r=abcdef,s=AAAA,i=0",
        b"r=abcdef,s=AAAA,i=99999999999",
        b"r=abcdef,s=,i=10",
        b"r=abcdef,s=AAAA",
        b"m=x,r=abcdef,s=AAAA,i=10",
        b"",
    ],
)
def test_client_role_refuses_bad_challenges(message: bytes) -> None:
    client = scram.ScramClient("pencil", b"abc", b"", server_offers_plus=False)
    with pytest.raises(scram.ScramError):
        client.final(message)


def test_soft_hyphen_is_prepared_away() -> None:
    assert scram.saslprep("a\u00adb") == b"ab"
    assert scram.saslprep("\u2168") == b"IX"
    assert scram.saslprep("x\u0007") == b"x\x07"


def test_verifiers_of_mysql_forms() -> None:
    verifiers = scram.make_verifiers("pencil", SALT, 10)
    assert (
        verifiers.native_stage2.hex() == hashlib.sha1(hashlib.sha1(b"pencil").digest()).hexdigest()
    )
    assert verifiers.caching_stage2 == hashlib.sha256(hashlib.sha256(b"pencil").digest()).digest()
    assert "pencil" not in repr(verifiers)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_scram_error(data: bytes) -> None:
    for work in (
        lambda: scram.read_client_first(data),
        lambda: scram.server_first(data, b"n", SALT, 10),
        lambda: verify(data),
        lambda: scram.ScramClient("p", b"n", b"", server_offers_plus=False).final(data),
    ):
        try:
            work()
        except scram.ScramError:
            continue
