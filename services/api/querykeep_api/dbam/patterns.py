"""Between stored JSON and the guard's contracts: object patterns, hours, maskers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from querykeep_api.kernel.errors import InvalidInput
from querykeep_guard.contracts.policy import AllowedHours, MaskerSpec, ObjectPattern
from querykeep_guard.masking import MaskerError, resolve_params

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


def object_patterns(stored: Iterable[Mapping[str, str]]) -> tuple[ObjectPattern, ...]:
    """Return stored patterns as the guard reads them; none stored means every object."""
    patterns = tuple(
        ObjectPattern(
            schema=item.get("schema") or "*",
            table=item.get("table") or "*",
            column=item.get("column") or "*",
        )
        for item in stored
    )
    return patterns or (ObjectPattern(),)


def allowed_hours(stored: Mapping[str, Any] | None) -> AllowedHours | None:
    """Return stored hours as the guard reads them."""
    if not stored:
        return None
    return AllowedHours(
        weekdays=tuple(sorted(stored["weekdays"])),
        start_minute=minute_of_day(stored["start"]),
        end_minute=minute_of_day(stored["end"]),
        zone=stored["zone"],
    )


def minute_of_day(text: str) -> int:
    """Return minutes since midnight of ``HH:MM`` (00:00 to 24:00); raises ValueError."""
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text!r} is not a time as HH:MM")
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def check_zone(name: str) -> None:
    """Raise ValueError unless ``name`` is an IANA zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not the name of a time zone, such as Asia/Seoul") from error


def masker_spec(stored: Mapping[str, Any]) -> MaskerSpec:
    """Return a stored masker as the guard reads it."""
    params = stored.get("params") or {}
    return MaskerSpec(
        kind=str(stored.get("kind", "")),
        params=tuple(sorted((str(key), str(value)) for key, value in params.items())),
    )


def checked_masker(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a masker as it is stored; raises InvalidInput for one that the guard does not know."""
    spec = masker_spec(given)
    try:
        resolve_params(spec)
    except MaskerError as error:
        raise InvalidInput(f"masker: {error}", fields={"masker": [str(error)]}) from error
    return {"kind": spec.kind, "params": dict(spec.params)}
