"""Maskers of numbers that name a person, a thing or a place: what stays is what the trade shows.

Each takes the value's digits whatever stands between them and prints its own form; a value that is
not of the expected length is hidden whole.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from querykeep_guard.masking.masker import (
    FAR_CHARS,
    FULL_TEXT,
    Mask,
    Masker,
    MaskerParam,
    ValueKind,
)

Params = Mapping[str, str]

_LICENCE_PLATE = re.compile(r"\s*(?:[가-힣]{2}\s*)?(\d{2,3})\s*([가-힣])\s*\d{4}\s*")
_PASSPORT = re.compile(r"\s*([A-Za-z])[A-Za-z0-9]{7,8}\s*")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?")


def _digits(value: str) -> str:
    return "".join([char for char in value if "0" <= char <= "9"]) if _is_near(value) else ""


def _is_near(value: str) -> bool:
    return len(value) <= FAR_CHARS


def _rrn(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        looked_at = value if value.isascii() or _is_near(value) else ""
        digits = [char for char in looked_at if char.isdigit()]
        if len(digits) != 13:
            return "******-*******"
        return "".join(digits[:6]) + "-*******"

    return mask


def _rrn_sex(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        if len(digits) != 13:
            return "******-*******"
        return f"{digits[:6]}-{digits[6]}******"

    return mask


def _phone(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        if not 9 <= len(digits) <= 15:
            return "***-****-****"
        if value.lstrip().startswith("+"):
            return f"+{'82' if digits.startswith('82') else '**'}-****-{digits[-4:]}"
        kept = 2 if digits.startswith("02") else 3
        return f"{digits[:kept]}-****-{digits[-4:]}"

    return mask


def _card(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        if not 12 <= len(digits) <= 19:
            return "****-****-****-****"
        return f"{digits[:4]}-{digits[4:6]}**-****-{digits[-4:]}"

    return mask


def _card_last(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        last = digits[-4:] if 12 <= len(digits) <= 19 else "****"
        return f"****-****-****-{last}"

    return mask


def _account(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        return f"*****{digits[-3:]}" if 10 <= len(digits) <= 20 else "********"

    return mask


def _business_number(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        return f"{digits[:3]}-**-*****" if len(digits) == 10 else "***-**-*****"

    return mask


def _driver_licence(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        return f"{digits[:2]}-**-******-**" if len(digits) == 12 else "**-**-******-**"

    return mask


def _passport(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        found = _PASSPORT.fullmatch(value)
        return f"{found[1].upper() if found else '*'}********"

    return mask


def _licence_plate(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        found = _LICENCE_PLATE.fullmatch(value)
        return f"{found[1]}{found[2]}****" if found else "********"

    return mask


def _postal_code(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = _digits(value)
        return f"{digits[:2]}***" if 5 <= len(digits) <= 9 else "*****"

    return mask


def _ip(params: Params, _key: bytes) -> Mask:
    kept = {4: int(params["ipv4_bits"]), 6: int(params["ipv6_bits"])}

    def mask(value: str) -> str | None:
        try:
            address = ipaddress.ip_interface(value.strip()).ip
        except ValueError:
            return None
        hidden = address.max_prefixlen - kept[address.version]
        return str(type(address)(int(address) >> hidden << hidden))

    return mask


def _url(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str | None:
        try:
            parts = urlsplit(value.strip())
        except ValueError:
            return None
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme not in ("http", "https", "ftp", "ws", "wss") or not _HOST.fullmatch(host):
            return None
        return f"{parts.scheme}://{host}/{FULL_TEXT}"

    return mask


MASKERS = (
    Masker(
        "rrn",
        "Resident number: birth date stays",
        "주민등록번호: 생년월일만 표시",
        _rrn,
        ("900101-1234567", "900101-*******"),
    ),
    Masker(
        "rrn_sex",
        "Resident number: birth date and sex digit stay",
        "주민등록번호: 생년월일과 성별 자리만 표시",
        _rrn_sex,
        ("900101-1234567", "900101-1******"),
    ),
    Masker(
        "phone",
        "Phone: prefix and last four digits stay",
        "전화번호: 앞자리와 마지막 네 자리만 표시",
        _phone,
        ("010-1234-5678", "010-****-5678"),
    ),
    Masker(
        "card",
        "Card number: first six and last four digits stay",
        "카드번호: 처음 여섯 자리와 마지막 네 자리만 표시",
        _card,
        ("1234-5678-9012-3456", "1234-56**-****-3456"),
    ),
    Masker(
        "card_last",
        "Card number: last four digits stay",
        "카드번호: 마지막 네 자리만 표시",
        _card_last,
        ("1234-5678-9012-3456", "****-****-****-3456"),
    ),
    Masker(
        "account_number",
        "Bank account: last three digits stay",
        "계좌번호: 마지막 세 자리만 표시",
        _account,
        ("110-123-456789", "*****789"),
    ),
    Masker(
        "business_number",
        "Business number: first three digits stay",
        "사업자등록번호: 처음 세 자리만 표시",
        _business_number,
        ("123-45-67890", "123-**-*****"),
    ),
    Masker(
        "driver_licence",
        "Driver's licence: region stays",
        "운전면허번호: 지역 번호만 표시",
        _driver_licence,
        ("11-12-345678-90", "11-**-******-**"),
    ),
    Masker(
        "passport",
        "Passport: first letter stays",
        "여권번호: 첫 글자만 표시",
        _passport,
        ("M12345678", "M********"),
    ),
    Masker(
        "licence_plate",
        "Licence plate: last four digits hidden",
        "차량번호: 마지막 네 자리 가림",
        _licence_plate,
        ("12가3456", "12가****"),
    ),
    Masker(
        "postal_code",
        "Postal code: first two digits stay",
        "우편번호: 처음 두 자리만 표시",
        _postal_code,
        ("06236", "06***"),
    ),
    Masker(
        "ip",
        "IP address: network stays",
        "IP 주소: 네트워크 부분만 표시",
        _ip,
        ("203.0.113.57", "203.0.0.0"),
        (
            MaskerParam("ipv4_bits", "integer", "16", 0, 24),
            MaskerParam("ipv6_bits", "integer", "32", 0, 64),
        ),
        fits=frozenset({ValueKind.TEXT, ValueKind.INET}),
    ),
    Masker(
        "url",
        "URL: scheme and host stay",
        "URL: 스킴과 호스트만 표시",
        _url,
        ("https://www.example.com/orders/42?key=abc", f"https://www.example.com/{FULL_TEXT}"),
    ),
)
