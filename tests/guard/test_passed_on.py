"""What a service says about a client holds only with its own signature, and only for a while."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_guard.contracts.passed_on import (
    VALID_S,
    PassedOnError,
    check_passed_on,
    passed_on_proof,
)

KEY = "key of the middleware"
DIGESTS = {
    "middleware": hashlib.sha256(KEY.encode()).hexdigest(),
    "proxy": hashlib.sha256(b"another key").hexdigest(),
}
NOW_S = 1_800_000_000.5


@given(st.text(), st.integers(-VALID_S + 1, VALID_S - 1))
def test_own_proof_holds(forwarded_for: str, late_s: int) -> None:
    proof = passed_on_proof("middleware", KEY, forwarded_for, now_s=NOW_S)
    found = check_passed_on(proof, DIGESTS, forwarded_for, now_s=NOW_S + late_s)
    assert found == "middleware"
    assert KEY not in proof


@pytest.mark.parametrize("late_s", [-VALID_S - 1, VALID_S + 1, 86_400])
def test_old_and_future_proofs_do_not_hold(late_s: int) -> None:
    proof = passed_on_proof("middleware", KEY, "1.1.1.1", now_s=NOW_S)
    with pytest.raises(PassedOnError, match="clock"):
        check_passed_on(proof, DIGESTS, "1.1.1.1", now_s=NOW_S + late_s)


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PassedOnError):
        check_passed_on(text, DIGESTS, "1.1.1.1", now_s=NOW_S)


def test_every_part_is_signed() -> None:
    service, at, mac = passed_on_proof("middleware", KEY, "1.1.1.1", now_s=NOW_S).split()
    for proof, forwarded_for in (
        (f"proxy {at} {mac}", "1.1.1.1"),
        (f"{service} {int(at) + 1} {mac}", "1.1.1.1"),
        (f"{service} {at} {mac[:-1]}", "1.1.1.1"),
        (f"{service} {at} {mac}", "1.1.1.2"),
        (f"unknown {at} {mac}", "1.1.1.1"),
    ):
        with pytest.raises(PassedOnError, match="signature"):
            check_passed_on(proof, DIGESTS, forwarded_for, now_s=NOW_S)


def test_service_without_a_key_cannot_sign() -> None:
    proof = passed_on_proof("tool", "", "1.1.1.1", now_s=NOW_S)
    with pytest.raises(PassedOnError, match="signature"):
        check_passed_on(proof, {"tool": ""}, "1.1.1.1", now_s=NOW_S)
