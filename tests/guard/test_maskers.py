"""Maskers: each keeps what it promises and nothing more, for any text."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking import (
    FULL_TEXT,
    MASKERS,
    MaskerError,
    ValueKind,
    build,
    parts,
    resolve_params,
)
from querykeep_guard.masking.ff1 import Ff1
from querykeep_guard.masking.graphemes import graphemes
from querykeep_guard.masking.masker import FAR_CHARS

KEY = b"k" * 32


@pytest.mark.parametrize("kind", [kind for kind, m in MASKERS.items() if not m.secret_key])
def test_the_example_of_each_masker_is_true(kind: str) -> None:
    value, masked = MASKERS[kind].example
    assert (build(MaskerSpec(kind))(value) or "NULL") == masked


VALUES = st.one_of(
    st.text(),
    st.text("0123456789-+. :/@가a", max_size=30),
    st.sampled_from([m.example[0] for m in MASKERS.values()]),
    st.datetimes().map(str),
    st.decimals().map(str),
    st.ip_addresses().map(str),
)


@given(kind=st.sampled_from(sorted(MASKERS)), value=VALUES, value_kind=st.sampled_from(ValueKind))
def test_no_text_makes_a_masker_fail(kind: str, value: str, value_kind: ValueKind) -> None:
    shown = build(MaskerSpec(kind), key=KEY, kind=value_kind)(value)
    assert shown is None or isinstance(shown, str)
    if value_kind is ValueKind.TEXT and kind != "null":
        assert shown is not None


@given(kind=st.sampled_from(sorted(MASKERS)), value=st.text())
def test_what_does_not_fit_is_hidden_whole(kind: str, value: str) -> None:
    for value_kind in set(ValueKind) - MASKERS[kind].fits:
        assert build(MaskerSpec(kind), key=KEY, kind=value_kind)(value) is None


# masker with parameters, two values that differ in what it hides, what both show
SAME = [
    ("phone", {}, "010-1234-5678", "010 9999 5678", "010-****-5678"),
    ("phone", {}, "02-123-4567", "02-9999-4567", "02-****-4567"),
    ("phone", {}, "+82 10 1234 5678", "+82 2 999 5678", "+82-****-5678"),
    ("phone", {}, "+1 415 555 2671", "+44 20 7946 2671", "+**-****-2671"),
    ("phone", {}, "12345678", "1", "***-****-****"),
    ("card", {}, "1234567890123456", "1234 5699 9999 999 3456", "1234-56**-****-3456"),
    ("card", {}, "12345678901", "5", "****-****-****-****"),
    ("account_number", {}, "110-123-456789", "99999999789", "*****789"),
    ("account_number", {}, "123456789", "12", "********"),
    ("licence_plate", {}, "12가3456", "12 가 9999", "12가****"),
    ("licence_plate", {}, "서울 12가3456", "부산12가0000", "12가****"),
    ("passport", {}, "M12345678", "m99999999", "M********"),
    ("postal_code", {}, "06236", "06-999", "06***"),
    ("ip", {}, "203.0.113.57", "203.0.9.1/24", "203.0.0.0"),
    ("ip", {}, "2001:db8:1::5", "2001:0db8:ffff::", "2001:db8::"),
    ("ip", {"ipv4_bits": "0"}, "203.0.113.57", "8.8.8.8", "0.0.0.0"),
    (
        "url",
        {},
        "https://user:pw@example.com/a?b=c#d",
        "https://example.com",
        "https://example.com/*****",
    ),
    ("url", {}, "javascript:alert(1)", "//example.com", "*****"),
    ("email_domain", {}, "kim@example.com", "lee.min@example.com", "*****@example.com"),
    (
        "address",
        {},
        "서울특별시 강남구 테헤란로 123",
        "서울특별시 강남구 역삼동 1 2 3",
        "서울특별시 강남구 *****",
    ),
    ("address", {}, "서울특별시 강남구 7", "Seoul", "*****"),
    ("rrn_sex", {}, "900101-1234567", "9001011999999", "900101-1******"),
    ("business_number", {}, "123-45-67890", "1239999999", "123-**-*****"),
    ("driver_licence", {}, "11-12-345678-90", "119999999999", "11-**-******-**"),
    ("number_round", {}, "5432100", "5999999.99", "5000000"),
    ("number_round", {"step": "10"}, "-1", "-9.5", "-10"),
    ("number_round", {}, "9" * 401, "NaN", "*****"),
    ("date_year", {}, "1990-03-15", "1990-12-31", "1990-01-01"),
    ("date_year", {}, "1990-07-15 10:11:12+09", "1990-02-28T23:59:59Z", "1990-01-01 00:00:00+00"),
    ("date_month", {}, "2024-02-29", "2024-02-01", "2024-02-01"),
    ("date_decade", {}, "1994-03-15", "1999-01-01", "1990-01-01"),
    ("date_fixed", {}, "1994-03-15", "2026-11-24", "1970-01-01"),
    ("date_year", {}, "0000-00-00", "15/03/1990", "*****"),
    (
        "json_values",
        {},
        '{"a": ["x", 1, true]}',
        '{"a":["yy",2.5,false]}',
        '{"a": ["*****", 0, false]}',
    ),
    ("json_values", {}, "[" * 100_000, "{", "*****"),
    ("regex", {}, "ORD-2026-000123", "ORD-1999-7", "ORD-****"),
    ("regex", {}, "an ORD-2026-000123", "\udc80", "*****"),
    ("keep_ends", {}, "KR-2026-0042-ABCD", "KR99999999CD", "KR****CD"),
    ("keep_ends", {}, "1234567", "", "*****"),
    ("initials", {}, "Kim Min-su", "Kang Ma", "K** M**"),
    ("name_middle", {}, "김민수", "김철철수", "김*수"),
    ("name_middle", {}, "이산", "이솔", "이*"),
]


@pytest.mark.parametrize(("kind", "params", "one", "other", "shown"), SAME)
def test_what_a_mask_hides_changes_nothing(
    kind: str, params: dict[str, str], one: str, other: str, shown: str
) -> None:
    mask = build(MaskerSpec(kind, tuple(params.items())))
    assert (mask(one), mask(other)) == (shown, shown)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("e\u0301a", ["e\u0301", "a"]),
        ("\u1100\u1161\u11a8\u1102\u1161", ["\u1100\u1161\u11a8", "\u1102\u1161"]),
        ("각\u11a8", ["각\u11a8"]),
        ("👍🏽b", ["👍🏽", "b"]),
        ("👨‍👩‍👧x", ["👨‍👩‍👧", "x"]),
        ("🇰🇷🇺🇸", ["🇰🇷", "🇺🇸"]),
        ("김민수", ["김", "민", "수"]),
        ("\r\n", ["\r", "\n"]),
    ],
)
def test_a_character_is_never_cut(text: str, characters: list[str]) -> None:
    assert graphemes(text) == characters
    shown = build(MaskerSpec("keep_first", (("count", "1"),)))(text * 2)
    assert shown == characters[0] + "****"


# NIST SP 800-38G, FF1 samples 1, 2, 3, 7, 8, 9.
FF1_KEY = "2B7E151628AED2A6ABF7158809CF4F3C"
FF1_LONG_KEY = f"{FF1_KEY}EF4359D8D580AA4F7F036D6F04FC6A94"
FF1_TWEAK, FF1_TEXT_TWEAK = "39383736353433323130", "3737373770717273373737"


@pytest.mark.parametrize(
    ("key", "radix", "tweak", "plain", "image"),
    [
        (FF1_KEY, 10, "", "0123456789", "2433477484"),
        (FF1_KEY, 10, FF1_TWEAK, "0123456789", "6124200773"),
        (FF1_KEY, 36, FF1_TEXT_TWEAK, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
        (FF1_LONG_KEY, 10, "", "0123456789", "6657667009"),
        (FF1_LONG_KEY, 10, FF1_TWEAK, "0123456789", "1001623463"),
        (FF1_LONG_KEY, 36, FF1_TEXT_TWEAK, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
    ],
)
def test_ff1_gives_the_standards_samples(
    key: str, radix: int, tweak: str, plain: str, image: str
) -> None:
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    cipher = Ff1(bytes.fromhex(key), radix, bytes.fromhex(tweak))
    assert "".join(alphabet[d] for d in cipher.encrypt([alphabet.index(c) for c in plain])) == image


@given(value=st.from_regex(r"[0-9]{6,20}", fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_same_digits_keeps_the_form_and_tells_values_apart(value: str) -> None:
    mask = build(MaskerSpec("same_digits"), key=KEY)
    shown, other = (
        mask(f"{value[:3]}-{value[3:]}"),
        mask(f"{value[:3]}-{value[3:-1]}{(int(value[-1]) + 1) % 10}"),
    )
    assert shown is not None
    assert shown[3] == "-"
    assert len(shown) == len(value) + 1
    assert shown != other


@pytest.mark.parametrize("value", ["12345", "김 010-1234-5678", "", "-" * 50, "1" * 1001])
def test_what_cannot_keep_its_form_is_hidden_whole(value: str) -> None:
    assert build(MaskerSpec("same_digits"), key=KEY)(value) == "*****"


@given(day=st.dates(min_value=date(1000, 1, 1), max_value=date(9000, 1, 1)))
def test_a_shifted_day_is_near_it_and_never_itself(day: date) -> None:
    shown = build(MaskerSpec("date_shift", (("days", "3"),)), key=KEY)(str(day))
    assert shown is not None
    assert 1 <= abs((date.fromisoformat(shown) - day).days) <= 3


def test_no_pattern_is_slow_on_any_value() -> None:
    """With a backtracking matcher this does not end."""
    mask = build(MaskerSpec("regex", (("pattern", "(a*)*b"), ("replacement", "x"))))
    assert mask("a" * 1_000_000) == "*****"


@pytest.mark.parametrize("kind", MASKERS)
@pytest.mark.parametrize("part", ["한", "a\u0301", "가 ", "1-한", "\u1100"])
def test_a_huge_value_is_not_looked_at_whole(
    kind: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sessions of a process wait while it masks a value."""
    looked_at: list[int] = []

    def spy(text: str) -> list[str]:
        looked_at.append(len(text))
        return graphemes(text)

    monkeypatch.setattr(parts, "graphemes", spy)
    mask = build(MaskerSpec(kind), key=KEY)
    shown = mask(part * 20_000) or ""
    assert max(looked_at, default=0) <= FAR_CHARS
    assert len(shown) <= FAR_CHARS


def test_only_the_shown_end_of_a_long_value_is_shown() -> None:
    long = "처음" + "가운데 " * 20_000 + "끝1234"
    assert build(MaskerSpec("keep_first"))(long) == "처음****"
    assert build(MaskerSpec("keep_last"))(long) == "****-1234"
    assert build(MaskerSpec("name"))(long) == "처**"
    for kind in ("keep_ends", "initials", "address", "same_digits"):
        assert build(MaskerSpec(kind), key=KEY)(long) == FULL_TEXT
    assert build(MaskerSpec("name_middle"))(long) == "**"
    assert build(MaskerSpec("phone"))("한" * 5000 + "010-1234-5678") == "***-****-****"


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
        MaskerSpec("date_fixed", (("date", "1970-13-01"),)),
        MaskerSpec("number_round", (("step", "1"),)),
        MaskerSpec("regex", (("pattern", "("),)),
        MaskerSpec("regex", (("pattern", "(a){1000}{1000}"),)),
        MaskerSpec("regex", (("pattern", "a"), ("replacement", "\\1"))),
        MaskerSpec("regex", (("pattern", "(a)"), ("replacement", "\\g<1>"))),
    ],
)
def test_a_bad_spec_is_an_error(spec: MaskerSpec) -> None:
    with pytest.raises(MaskerError):
        resolve_params(spec)


def test_each_masker_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "masking.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*→ `", manual, re.MULTILINE)
    assert rows == list(MASKERS)
