"""Every masker by name, and the function of one with its parameters.

NULL never reaches a masker; an engine leaves NULL as it is. Each is total (no value makes it raise)
and never returns more of a value than it promises; those that keep a part show neither the length
nor the shape of the rest, and a value too short to keep a part of is hidden whole.
"""

from __future__ import annotations

from datetime import date

from querykeep_guard.contracts.policy import MaskerSpec
from querykeep_guard.masking import identifiers, keyed, measures, parts, patterns
from querykeep_guard.masking.masker import (
    FULL_TEXT,
    Mask,
    Masker,
    MaskerError,
    MaskerParam,
    ValueKind,
)

MASKERS: dict[str, Masker] = {
    masker.kind: masker
    for masker in (
        *parts.MASKERS,
        *identifiers.MASKERS,
        *measures.MASKERS,
        *patterns.MASKERS,
        *keyed.MASKERS,
    )
}
"""Every masker by its kind, in the order in which a form offers them."""

_MAX_TEXT = 200
_MAX_PATTERN = 1000
_MIN_KEY = 16


def resolve_params(spec: MaskerSpec) -> dict[str, str]:
    """Return the spec's parameters with defaults filled in.

    Raises:
        MaskerError: The masker or a parameter is unknown, or a value is not one that it takes.
    """
    masker = MASKERS.get(spec.kind)
    if masker is None:
        raise MaskerError(f"no masker {spec.kind!r}; there are: {', '.join(MASKERS)}")
    given = dict(spec.params)
    resolved: dict[str, str] = {}
    for param in masker.params:
        value = given.pop(param.name, param.default)
        _check_param(f"{spec.kind}.{param.name}", param, value)
        resolved[param.name] = value
    if given:
        raise MaskerError(f"{spec.kind}: unknown parameter {', '.join(sorted(given))}")
    if masker.check is not None:
        masker.check(resolved)
    return resolved


def _check_param(name: str, param: MaskerParam, value: str) -> None:
    if param.kind == "integer":
        if not (value.isascii() and value.isdigit() and len(value) <= 12):
            raise MaskerError(f"{name}: {value!r} is not a whole number")
        if not param.minimum <= int(value) <= param.maximum:
            raise MaskerError(f"{name}: {value} is outside {param.minimum}–{param.maximum}")
    elif param.kind == "date":
        try:
            date.fromisoformat(value)
        except ValueError:
            raise MaskerError(f"{name}: {value!r} is not a date such as 1970-01-01") from None
    else:
        longest = _MAX_PATTERN if param.kind == "pattern" else _MAX_TEXT
        if len(value) > longest or "\x00" in value:
            raise MaskerError(f"{name}: at most {longest} characters, no NUL")


def build(spec: MaskerSpec, *, key: bytes = b"", kind: ValueKind = ValueKind.TEXT) -> Mask:
    """Return the masking function of a spec for values of a kind.

    A kind that the masker does not fit is hidden whole: text as ``FULL_TEXT``, others as NULL.

    Args:
        spec: Masker and parameters, as a rule holds them.
        key: The installation's masking key; needed by maskers with ``secret_key``.
        kind: What the values are.

    Raises:
        MaskerError: See ``resolve_params``; or the key is missing. The caller refuses the result.
    """
    params = resolve_params(spec)
    masker = MASKERS[spec.kind]
    if masker.secret_key and len(key) < _MIN_KEY:
        raise MaskerError(f"{spec.kind}: the masking key is not available here")
    if kind not in masker.fits:
        return _hide
    mask = masker.make(params, key)
    if kind is not ValueKind.TEXT or masker.shows_null:
        return mask

    def mask_text(value: str) -> str:
        shown = mask(value)
        return FULL_TEXT if shown is None else shown

    return mask_text


def _hide(_value: str) -> None:
    return None
