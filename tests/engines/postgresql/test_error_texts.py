"""What is left of a target's error where masked columns are near."""

from __future__ import annotations

import pytest

from querykeep_engines.postgresql.errors import Texts, texts_under, told
from querykeep_engines.postgresql.wire import encode
from querykeep_guard.policy.decision import MaskPlan

_PLAIN = MaskPlan(None)
_PLACES = MaskPlan(None, redact_places=True)
_HIDDEN = MaskPlan(None, redact_errors=True, redact_places=True)


def _payload(code: str, *more: tuple[str, str]) -> bytes:
    """Return an error's payload: the message without its type and length."""
    fields = [("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", "what happened"), *more]
    return encode.error_response(fields)[5:]


@pytest.mark.parametrize(
    ("plans", "texts"),
    [
        ((), Texts.WHOLE),
        ((_PLAIN,), Texts.WHOLE),
        ((_PLAIN, _PLACES), Texts.WITHOUT_PLACES),
        ((_HIDDEN, _PLACES, _PLAIN), Texts.CODES_AND_NAMES),
    ],
)
def test_the_strictest_plan_speaks_for_all(plans: tuple[MaskPlan, ...], texts: Texts) -> None:
    assert texts_under(plans) is texts


def test_a_key_error_keeps_its_text_but_not_where_it_came_from() -> None:
    payload = _payload("23503", ("D", "Key (a)=(9) is not present"), ("W", "tuple (0,7)"))
    fields = dict(told(payload, Texts.WITHOUT_PLACES))
    assert fields["M"] == "what happened"
    assert fields["D"] == "Key (a)=(9) is not present"
    assert "W" not in fields


@pytest.mark.parametrize("code", ["40P01", "55P03", "57014", "40001", "01000"])
def test_a_text_about_locks_is_hidden_since_it_names_places_of_rows(code: str) -> None:
    payload = _payload(code, ("D", "tuple (0,7) of relation 16386"), ("W", "tuple (0,7)"))
    shown = told(payload, Texts.WITHOUT_PLACES)
    assert "(0,7)" not in repr(shown)
    assert dict(shown)["C"] == code
    assert "hidden" in dict(shown)["M"]
