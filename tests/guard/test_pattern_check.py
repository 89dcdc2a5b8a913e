"""Patterns of statement rules: what may be slow is refused when a rule is saved."""

from __future__ import annotations

import pytest

from querykeep_guard.policy.pattern_check import pattern_problem


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bdrop\s+table\b",
        r"into\s+outfile",
        r"^select .* from secrets",
        r"(a|b){1,3}",
        r"(?i)x*y+",
    ],
)
def test_plain_patterns_may_be_saved(pattern: str) -> None:
    assert pattern_problem(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(a+)+$", "repetition"),
        (r"(.*a)*b", "repetition"),
        (r"((ab?)*c|d)*", "repetition"),
        (r"(?=(x*)*y)", "repetition"),
        (r"(a)\1", "refers back"),
        (r"a*b*c*d*e*", "unbounded"),
        (r"(", "not a regular expression"),
        ("a" * 1001, "longer"),
    ],
)
def test_patterns_that_can_take_very_long_may_not(pattern: str, why: str) -> None:
    assert why in pattern_problem(pattern)
