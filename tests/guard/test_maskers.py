"""Maskers: each keeps what it promises and nothing more, for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking import MASKERS, MaskerError, build, resolve_params

KEY = b"k" * 32


@pytest.mark.parametrize("kind", [kind for kind, m in MASKERS.items() if not m.secret_key])
def test_the_example_of_each_masker_is_true(kind: str) -> None:
    value, masked = MASKERS[kind].example
    assert build(MaskerSpec(kind))(value) == masked


@given(kind=st.sampled_from(sorted(MASKERS)), value=st.text())
def test_no_text_makes_a_masker_fail(kind: str, value: str) -> None:
    assert isinstance(build(MaskerSpec(kind), key=KEY)(value), str)


@given(local=st.text(min_size=1).filter(lambda t: "@" not in t), tail=st.text())
def test_an_email_shows_its_first_letter_and_domain_only(local: str, tail: str) -> None:
    mask = build(MaskerSpec("email"))
    assert mask(f"{local}@example.com") == mask(f"{local[0]}{tail.replace('@', '')}@example.com")


@given(hidden=st.text(alphabet="0123456789", min_size=4, max_size=30))
def test_keep_last_hides_how_much_it_hides(hidden: str) -> None:
    assert build(MaskerSpec("keep_last"))(f"{hidden}5678") == "****-5678"


@given(value=st.text(alphabet="0123456789", max_size=7))
def test_a_short_value_is_hidden_whole(value: str) -> None:
    assert build(MaskerSpec("keep_last"))(value) == "****-****"


def test_a_keyed_hash_needs_its_key() -> None:
    with pytest.raises(MaskerError, match="key"):
        build(MaskerSpec("keyed_hash"))
    one, two = (
        build(MaskerSpec("keyed_hash"), key=KEY),
        build(MaskerSpec("keyed_hash"), key=b"x" * 32),
    )
    assert one("a") == one("a") != two("a")


@pytest.mark.parametrize(
    "spec",
    [
        MaskerSpec("nothing"),
        MaskerSpec("keep_last", (("count", "0"),)),
        MaskerSpec("keep_last", (("count", "x"),)),
        MaskerSpec("email", (("count", "1"),)),
        MaskerSpec("full", (("text", "a" * 201),)),
    ],
)
def test_a_bad_spec_is_an_error(spec: MaskerSpec) -> None:
    with pytest.raises(MaskerError):
        resolve_params(spec)
