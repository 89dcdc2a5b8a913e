"""Maskers: text -> text. NULL never reaches one; an engine leaves NULL as it is.

Each is total (no input makes it raise), never returns more of a value than it promises, and shows
neither the length nor the shape of what it hides: a value too short to keep a part of is hidden
whole. ``build`` turns a MaskerSpec into a function once per result, so that a row costs one call.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from querykeep_guard.contracts.policy import MaskerSpec

Mask = Callable[[str], str]

FULL_TEXT = "*****"
"""What a wholly hidden value shows where the rule says nothing else."""


class MaskerError(ValueError):
    """A masker is unknown or a parameter is missing, out of range or superfluous."""


@dataclass(frozen=True, slots=True)
class MaskerParam:
    """A parameter of a masker. ``kind``: integer or text; integers lie in minimum..maximum."""

    name: str
    kind: str
    default: str
    minimum: int = 0
    maximum: int = 0


@dataclass(frozen=True, slots=True)
class Masker:
    """A masker by name. ``example`` is (value, what the defaults make of it); ``secret_key`` says
    that it needs the installation's masking key."""

    kind: str
    label_en: str
    label_ko: str
    params: tuple[MaskerParam, ...]
    make: Callable[[Mapping[str, str], bytes], Mask]
    example: tuple[str, str]
    secret_key: bool = False


def _full(params: Mapping[str, str], _key: bytes) -> Mask:
    text = params["text"]
    return lambda _value: text


def _email(_params: Mapping[str, str], _key: bytes) -> Mask:
    def mask(value: str) -> str:
        local, at, domain = value.rpartition("@")
        if not at or not local or not domain:
            return FULL_TEXT
        return f"{local[0]}*****@{domain}"

    return mask


def _keep_last(params: Mapping[str, str], _key: bytes) -> Mask:
    count = int(params["count"])
    prefix = params["prefix"]

    def mask(value: str) -> str:
        kept = [char for char in value if char.isalnum()]
        if len(kept) < 2 * count:
            return prefix + "*" * count
        return prefix + "".join(kept[-count:])

    return mask


def _keep_first(params: Mapping[str, str], _key: bytes) -> Mask:
    count = int(params["count"])
    suffix = params["suffix"]

    def mask(value: str) -> str:
        if len(value) < 2 * count:
            return "*" * count + suffix
        return value[:count] + suffix

    return mask


def _name(_params: Mapping[str, str], _key: bytes) -> Mask:
    def mask(value: str) -> str:
        stripped = value.strip()
        return f"{stripped[0]}**" if len(stripped) > 1 else "***"

    return mask


def _rrn(_params: Mapping[str, str], _key: bytes) -> Mask:
    def mask(value: str) -> str:
        digits = [char for char in value if char.isdigit()]
        if len(digits) != 13:
            return "******-*******"
        return "".join(digits[:6]) + "-*******"

    return mask


def _keyed_hash(params: Mapping[str, str], key: bytes) -> Mask:
    length = int(params["length"])

    def mask(value: str) -> str:
        return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
            :length
        ]

    return mask


MASKERS: dict[str, Masker] = {
    masker.kind: masker
    for masker in (
        Masker(
            "full",
            "Fixed text",
            "고정 문자열",
            (MaskerParam("text", "text", FULL_TEXT),),
            _full,
            ("900101-1234567", FULL_TEXT),
        ),
        Masker(
            "email",
            "E-mail: first letter and domain stay",
            "이메일: 첫 글자와 도메인만 표시",
            (),
            _email,
            ("kim.minsu@example.com", "k*****@example.com"),
        ),
        Masker(
            "keep_last",
            "Last characters stay",
            "마지막 몇 글자만 표시",
            (MaskerParam("count", "integer", "4", 1, 8), MaskerParam("prefix", "text", "****-")),
            _keep_last,
            ("010-1234-5678", "****-5678"),
        ),
        Masker(
            "keep_first",
            "First characters stay",
            "처음 몇 글자만 표시",
            (MaskerParam("count", "integer", "2", 1, 8), MaskerParam("suffix", "text", "****")),
            _keep_first,
            ("Gangnam-gu, Seoul", "Ga****"),
        ),
        Masker(
            "name",
            "Name: first letter stays",
            "이름: 첫 글자만 표시",
            (),
            _name,
            ("김민수", "김**"),
        ),
        Masker(
            "rrn",
            "Resident number: birth date stays",
            "주민등록번호: 생년월일만 표시",
            (),
            _rrn,
            ("900101-1234567", "900101-*******"),
        ),
        Masker(
            "keyed_hash",
            "Keyed hash: equal values look equal",
            "키 해시: 같은 값은 같은 결과",
            (MaskerParam("length", "integer", "16", 8, 64),),
            _keyed_hash,
            ("900101-1234567", "a keyed hash"),
            secret_key=True,
        ),
    )
}
"""Every masker by its kind, in the order in which a form offers them."""


def resolve_params(spec: MaskerSpec) -> dict[str, str]:
    """Return the spec's parameters with defaults filled in.

    Raises:
        MaskerError: The masker or a parameter is unknown, or a number is out of range.
    """
    masker = MASKERS.get(spec.kind)
    if masker is None:
        raise MaskerError(f"no masker {spec.kind!r}; there are: {', '.join(MASKERS)}")
    given = dict(spec.params)
    resolved: dict[str, str] = {}
    for param in masker.params:
        value = given.pop(param.name, param.default)
        if param.kind == "integer":
            if not (value.isascii() and value.isdigit()):
                raise MaskerError(f"{spec.kind}.{param.name}: {value!r} is not a whole number")
            if not param.minimum <= int(value) <= param.maximum:
                raise MaskerError(
                    f"{spec.kind}.{param.name}: {value} is outside {param.minimum}–{param.maximum}"
                )
        elif len(value) > 200 or "\x00" in value:
            raise MaskerError(f"{spec.kind}.{param.name}: at most 200 characters, no NUL")
        resolved[param.name] = value
    if given:
        raise MaskerError(f"{spec.kind}: unknown parameter {', '.join(sorted(given))}")
    return resolved


def build(spec: MaskerSpec, *, key: bytes = b"") -> Mask:
    """Return the masking function of a spec.

    Args:
        spec: Masker and parameters, as a rule holds them.
        key: The installation's masking key; needed by maskers with ``secret_key``.

    Raises:
        MaskerError: See ``resolve_params``; or the key is missing. The caller refuses the result.
    """
    params = resolve_params(spec)
    masker = MASKERS[spec.kind]
    if masker.secret_key and len(key) < 16:
        raise MaskerError(f"{spec.kind}: the masking key is not available here")
    return masker.make(params, key)
