"""Maskers of numbers, dates and documents: what they show has the value's own kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation

from querykeep_guard.masking.masker import (
    DATES,
    FULL_TEXT,
    NUMBERS,
    TEXT_ONLY,
    Mask,
    Masker,
    MaskerParam,
    ValueKind,
)

Params = Mapping[str, str]

_MAX_DIGITS = 400
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d{1,6})?([+-]\d\d(?::?\d\d(?::?\d\d)?)?|Z)?)?",
    re.ASCII,
)
_FLOOR = Context(prec=2 * _MAX_DIGITS, rounding=ROUND_FLOOR)


def _number_fixed(params: Params, _key: bytes) -> Mask:
    value = params["value"]
    return lambda _value: value


def _number_round(params: Params, _key: bytes) -> Mask:
    step = Decimal(params["step"])

    def mask(value: str) -> str | None:
        if len(value) > _MAX_DIGITS or not _NUMBER.fullmatch(value):
            return None
        try:
            steps = _FLOOR.to_integral_value(_FLOOR.divide(Decimal(value), step))
            rounded = _FLOOR.multiply(steps, step)
        except InvalidOperation:
            return None
        return format(rounded, "f") if rounded else "0"

    return mask


def read_moment(value: str) -> tuple[datetime, bool, bool] | None:
    """Return (date and time, in UTC where it has an offset; it has a time; it has an offset).

    An offset is never kept: it tells summer from winter. Fractions of a second are dropped.
    """
    found = _MOMENT.fullmatch(value)
    if found is None:
        return None
    day, time, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00:00'}{offset or ''}")
        if offset:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=None), time is not None, offset is not None


def show_day(day: date, *, has_time: bool, has_offset: bool) -> str:
    """Return a day as text of the kind that was read: midnight where there is a time."""
    text = f"{day.year:04}-{day.month:02}-{day.day:02}"
    return text + (" 00:00:00" if has_time else "") + ("+00" if has_offset else "")


def _on_day(change: Callable[[datetime], date]) -> Mask:
    def mask(value: str) -> str | None:
        read = read_moment(value)
        if read is None:
            return None
        moment, has_time, has_offset = read
        return show_day(change(moment), has_time=has_time, has_offset=has_offset)

    return mask


def _date_fixed(params: Params, _key: bytes) -> Mask:
    day = date.fromisoformat(params["date"])
    return _on_day(lambda _moment: day)


def _date_year(_params: Params, _key: bytes) -> Mask:
    return _on_day(lambda moment: date(moment.year, 1, 1))


def _date_month(_params: Params, _key: bytes) -> Mask:
    return _on_day(lambda moment: date(moment.year, moment.month, 1))


def _date_decade(_params: Params, _key: bytes) -> Mask:
    return _on_day(lambda moment: date(max(1, moment.year // 10 * 10), 1, 1))


def _json_values(_params: Params, _key: bytes) -> Mask:
    def mask(value: str) -> str | None:
        try:
            document = json.loads(value, parse_int=_zero, parse_float=_zero, parse_constant=_zero)
            return json.dumps(_hidden(document), ensure_ascii=False)
        except (ValueError, RecursionError):
            return None

    return mask


def _zero(_text: str) -> int:
    return 0


def _hidden(value: object) -> object:
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if isinstance(value, str):
        return FULL_TEXT
    return False if isinstance(value, bool) else value


MASKERS = (
    Masker(
        "number_fixed",
        "Number: always the same",
        "숫자: 항상 같은 값",
        _number_fixed,
        ("5400000", "0"),
        (MaskerParam("value", "integer", "0", 0, 2_000_000_000),),
        fits=NUMBERS | TEXT_ONLY,
    ),
    Masker(
        "number_round",
        "Number: rounded down to a step",
        "숫자: 단위로 내림",
        _number_round,
        ("5432100", "5000000"),
        (MaskerParam("step", "integer", "1000000", 2, 1_000_000_000),),
        fits=NUMBERS | TEXT_ONLY,
    ),
    Masker(
        "date_fixed",
        "Date: always the same",
        "날짜: 항상 같은 값",
        _date_fixed,
        ("1990-03-15", "1970-01-01"),
        (MaskerParam("date", "date", "1970-01-01"),),
        fits=DATES | TEXT_ONLY,
    ),
    Masker(
        "date_year",
        "Date: year stays",
        "날짜: 연도만 표시",
        _date_year,
        ("1990-03-15", "1990-01-01"),
        fits=DATES | TEXT_ONLY,
    ),
    Masker(
        "date_month",
        "Date: year and month stay",
        "날짜: 연도와 월만 표시",
        _date_month,
        ("1990-03-15", "1990-03-01"),
        fits=DATES | TEXT_ONLY,
    ),
    Masker(
        "date_decade",
        "Date: decade stays",
        "날짜: 10년 단위만 표시",
        _date_decade,
        ("1994-03-15", "1990-01-01"),
        fits=DATES | TEXT_ONLY,
    ),
    Masker(
        "json_values",
        "JSON: keys stay, values hidden",
        "JSON: 키만 표시하고 값은 가림",
        _json_values,
        ('{"name": "김민수", "age": 36}', '{"name": "*****", "age": 0}'),
        fits=frozenset({ValueKind.JSON, ValueKind.TEXT}),
    ),
)
