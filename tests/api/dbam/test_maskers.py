"""Which maskers a rule may use, and what each makes of values before a rule is saved."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

RULE = {
    "name": "PII",
    "objects": [{"schema": "*", "table": "customers", "column": "email"}],
    "applies_to": {"everyone": True},
}


def test_each_masker_says_what_it_fits_and_shows_its_example(as_owner: Any) -> None:
    listed = as_owner.get("masking-rules/maskers").json()["results"]
    assert len(listed) >= 25
    for masker in listed:
        assert masker["fits"]
        assert masker["label_en"]
        assert masker["label_ko"]
        body = {"masker": {"kind": masker["kind"]}, "values": [masker["example"]["value"]]}
        (shown,) = as_owner.post("masking-rules/preview", body).json()["values"]
        assert shown != masker["example"]["value"]


def test_a_preview_shows_null_as_null(as_owner: Any) -> None:
    body = {"masker": {"kind": "null"}, "values": ["a", ""]}
    assert as_owner.post("masking-rules/preview", body).json() == {"values": [None, None]}


@pytest.mark.parametrize(
    ("masker", "told"),
    [
        ({"kind": "regex", "params": {"pattern": "("}}, "regex.pattern"),
        ({"kind": "regex", "params": {"replacement": "\\2"}}, "names no group"),
        ({"kind": "date_fixed", "params": {"date": "31.1.1970"}}, "not a date such as 1970-01-01"),
        ({"kind": "number_round", "params": {"step": "0"}}, "outside 2–1000000000"),
        ({"kind": "ip", "params": {"ipv4_bits": "32"}}, "outside 0–24"),
    ],
)
def test_a_rule_is_not_saved_with_a_masker_that_cannot_work(
    as_owner: Any, masker: dict[str, Any], told: str
) -> None:
    answer = as_owner.post("masking-rules", {**RULE, "masker": masker})
    assert answer.status_code == 400
    assert told in str(answer.json())
    preview = as_owner.post("masking-rules/preview", {"masker": masker, "values": ["x"]})
    assert preview.status_code == 400
    assert told in str(preview.json())
