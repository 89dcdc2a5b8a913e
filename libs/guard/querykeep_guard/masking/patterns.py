"""A masker by regular expression: what matches is replaced, what does not is hidden whole.

RE2, which takes linear time whatever the pattern and the value are: values come from anyone, and
every row of a result waits for its masks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # ships no types

from querykeep_guard.masking.masker import Mask, Masker, MaskerError, MaskerParam

_MEMORY_BYTES = 1 << 20
_OPTIONS = re2.Options()
_OPTIONS.max_mem = _MEMORY_BYTES
_OPTIONS.log_errors = False
_REFERENCE = re.compile(r"\\(.?)", re.DOTALL)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        raise MaskerError(f"regex.pattern: {pattern!r} is not one of RE2: {error}") from None


def _replacement(text: str, groups: int) -> list[str | int]:
    """Split a replacement into texts and numbers of groups: ``\\1`` to ``\\9``, ``\\\\``."""
    parts: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        char = found[1]
        if char == "\\":
            parts.append(char)
        elif char in tuple("123456789") and int(char) <= groups:
            parts.append(int(char))
        else:
            raise MaskerError(
                f"regex.replacement: {found[0]} names no group of the pattern, which has {groups}"
            )
    return [*parts, text[at:]]


def _check(params: Mapping[str, str]) -> None:
    _replacement(params["replacement"], _compiled(params["pattern"]).groups)


def _regex(params: Mapping[str, str], _key: bytes) -> Mask:
    pattern = _compiled(params["pattern"])
    parts = _replacement(params["replacement"], pattern.groups)

    def mask(value: str) -> str | None:
        found = pattern.fullmatch(value.encode("utf-8", "replace").decode("utf-8"))
        if found is None:
            return None
        return "".join(
            [part if isinstance(part, str) else found.group(part) or "" for part in parts]
        )

    return mask


MASKERS = (
    Masker(
        "regex",
        "Regular expression over the whole value",
        "정규식: 값 전체에 적용",
        _regex,
        ("ORD-2026-000123", "ORD-****"),
        (
            MaskerParam("pattern", "pattern", r"([A-Z]{3})-\d{4}-\d+"),
            MaskerParam("replacement", "text", r"\1-****"),
        ),
        check=_check,
    ),
)
