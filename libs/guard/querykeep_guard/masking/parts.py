"""Maskers that show a part of a text, or nothing of any value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from querykeep_guard.masking.graphemes import graphemes
from querykeep_guard.masking.masker import (
    FAR_CHARS,
    FULL_TEXT,
    Mask,
    Masker,
    MaskerParam,
    ValueKind,
)

Params = Mapping[str, str]


def _full(params: Params, _key: bytes) -> Mask:
    text = params["text"]
    return lambda _value: text


def _null(_params: Params, _key: bytes) -> Mask:
    return lambda _value: None


def _keep_last(params: Params, _key: bytes) -> Mask:
    count = int(params["count"])
    prefix = params["prefix"]

    def mask(value: str) -> str:
        near = value if value.isascii() else value[-FAR_CHARS:]
        kept = [char for char in graphemes(near) if char[0].isalnum()]
        if len(kept) < 2 * count:
            return prefix + "*" * count
        return prefix + "".join(kept[-count:])

    return mask


def _keep_first(params: Params, _key: bytes) -> Mask:
    count = int(params["count"])
    suffix = params["suffix"]

    def mask(value: str) -> str:
        chars = graphemes(value[:FAR_CHARS])
        if len(chars) < 2 * count:
            return "*" * count + suffix
        return "".join(chars[:count]) + suffix

    return mask


def _keep_ends(params: Params, _key: bytes) -> Mask:
    first, last = int(params["first"]), int(params["last"])

    def mask(value: str) -> str | None:
        chars = graphemes(value) if len(value) <= FAR_CHARS else []
        if len(chars) < 2 * (first + last):
            return None
        return "".join(chars[:first]) + "****" + "".join(chars[-last:])

    return mask


def _name(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        chars = graphemes(value.strip()[:FAR_CHARS])
        return f"{chars[0]}**" if len(chars) > 1 else "***"

    return mask


def _name_middle(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        chars = graphemes(value.strip()) if len(value) <= FAR_CHARS else []
        if len(chars) < 3:
            return f"{chars[0]}*" if len(chars) == 2 else "**"
        return f"{chars[0]}*{chars[-1]}"

    return mask


def _initials(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str | None:
        words = value.split() if len(value) <= FAR_CHARS else []
        if not words or any(len(graphemes(word)) < 2 for word in words):
            return None
        return " ".join(f"{graphemes(word)[0]}**" for word in words[:4])

    return mask


def _email(_params: Params, _key: bytes) -> Mask:
    return _email_with(lambda local: graphemes(local[:FAR_CHARS])[0])


def _email_domain(_params: Params, _key: bytes) -> Mask:
    return _email_with(lambda _local: "")


def _email_with(kept: Callable[[str], str]) -> Mask:
    def mask(value: str) -> str | None:
        local, at, domain = value.rpartition("@")
        if not at or not local or not domain:
            return None
        return f"{kept(local)}*****@{domain}"

    return mask


def _address(params: Params, _key: bytes) -> Mask:
    count = int(params["words"])

    def mask(value: str) -> str | None:
        words = value.split() if len(value) <= FAR_CHARS else []
        if len(words) < count + 2:
            return None
        return " ".join((*words[:count], FULL_TEXT))

    return mask


_COUNT = ("count", "integer")

MASKERS = (
    Masker(
        "full",
        "Fixed text",
        "고정 문자열",
        _full,
        ("900101-1234567", FULL_TEXT),
        (MaskerParam("text", "text", FULL_TEXT),),
    ),
    Masker(
        "null",
        "Always NULL",
        "항상 NULL",
        _null,
        ("900101-1234567", "NULL"),
        fits=frozenset(ValueKind),
        shows_null=True,
    ),
    Masker(
        "keep_last",
        "Last characters stay",
        "마지막 몇 글자만 표시",
        _keep_last,
        ("010-1234-5678", "****-5678"),
        (MaskerParam(*_COUNT, "4", 1, 8), MaskerParam("prefix", "text", "****-")),
    ),
    Masker(
        "keep_first",
        "First characters stay",
        "처음 몇 글자만 표시",
        _keep_first,
        ("Gangnam-gu, Seoul", "Ga****"),
        (MaskerParam(*_COUNT, "2", 1, 8), MaskerParam("suffix", "text", "****")),
    ),
    Masker(
        "keep_ends",
        "First and last characters stay",
        "처음과 마지막 글자만 표시",
        _keep_ends,
        ("KR-2026-0042-ABCD", "KR****CD"),
        (MaskerParam("first", "integer", "2", 1, 8), MaskerParam("last", "integer", "2", 1, 8)),
    ),
    Masker("name", "Name: first letter stays", "이름: 첫 글자만 표시", _name, ("김민수", "김**")),
    Masker(
        "name_middle",
        "Name: first and last letter stay",
        "이름: 가운데 글자 가림",
        _name_middle,
        ("김민수", "김*수"),
    ),
    Masker(
        "initials",
        "Name: first letter of each word stays",
        "이름: 단어마다 첫 글자만 표시",
        _initials,
        ("Kim Min-su", "K** M**"),
    ),
    Masker(
        "email",
        "E-mail: first letter and domain stay",
        "이메일: 첫 글자와 도메인만 표시",
        _email,
        ("kim.minsu@example.com", "k*****@example.com"),
    ),
    Masker(
        "email_domain",
        "E-mail: domain stays",
        "이메일: 도메인만 표시",
        _email_domain,
        ("kim.minsu@example.com", "*****@example.com"),
    ),
    Masker(
        "address",
        "Address: first words stay",
        "주소: 앞의 몇 단어만 표시",
        _address,
        ("서울특별시 강남구 테헤란로 123", f"서울특별시 강남구 {FULL_TEXT}"),
        (MaskerParam("words", "integer", "2", 1, 4),),
    ),
)
