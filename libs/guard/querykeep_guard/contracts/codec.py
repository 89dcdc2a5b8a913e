"""One JSON form for every contract: dataclasses, enums, tuples and optional values, nothing else.

Unknown fields are ignored, so that an older service reads what a newer one sends; a missing field
takes its default or raises. Sets become sorted lists, times RFC 3339 in UTC, bytes base64.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")
_PLAIN = frozenset({str, int, float, bool, type(None)})
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class ContractError(ValueError):
    """A JSON document does not have the shape of the contract; the text names the field."""


def to_json(value: object) -> Any:
    """Return plain JSON data (dict, list, str, int, float, bool, None) for a contract value.

    Raises:
        TypeError: The value holds a type that no contract uses.
    """
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(kind)
    if names is not None:
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((to_json(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is not part of any contract")


def from_json(cls: type[T], data: object) -> T:
    """Build ``cls`` from plain JSON data; a contract value may stand in it as it is.

    Raises:
        ContractError: A field is missing or has another type; the text names its path.
    """
    try:
        return typing.cast(T, _reader(typing.cast(Any, cls))(data))
    except (_MisfitError, ContractError):
        # Read once more, more slowly: for the error's text, and for what is rare but right.
        return typing.cast(T, _read(cls, data, cls.__name__))


def dumps(value: object) -> bytes:
    """Return the canonical JSON bytes of a contract: sorted keys, no spaces, UTF-8."""
    return _ENCODER.encode(to_json(value)).encode("utf-8")


def loads(cls: type[T], data: bytes | str) -> T:
    """Parse JSON text into ``cls``; raises ContractError for bad JSON as for a bad shape."""
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise ContractError(f"{cls.__name__}: not JSON: {error}") from error
    return from_json(cls, parsed)


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


class _MisfitError(Exception):
    """Data that the quick reader does not take; ``_read`` has the last word on it."""


@cache
def _reader(kind: Any) -> Callable[[Any], object]:
    """Return the quick reader of a type. What it takes, it reads as ``_read`` does."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(get_args(kind))
    if origin in (tuple, list, frozenset):
        return _sequence_reader(origin, get_args(kind))
    if origin is dict:
        return _dict_reader(_reader(get_args(kind)[1]))
    if kind is Any or kind is object:
        return lambda data: data
    if not isinstance(kind, type):
        return _refuse
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if issubclass(kind, enum.Enum):
        return _enum_reader({member.value: member for member in kind})
    if kind in (str, int, bool):
        return _exact_reader(kind)
    return lambda data: _read_plain(kind, data, "")


def _refuse(_data: object) -> object:
    raise _MisfitError


def _exact_reader(kind: type) -> Callable[[object], object]:
    def read(data: object) -> object:
        if type(data) is not kind:
            raise _MisfitError
        return data

    return read


def _enum_reader(members: dict[Any, object]) -> Callable[[Any], object]:
    def read(data: Any) -> object:
        try:
            return members[data]
        except (KeyError, TypeError):
            raise _MisfitError from None

    return read


def _dict_reader(read_value: Callable[[object], object]) -> Callable[[Any], object]:
    def read(data: Any) -> object:
        if not isinstance(data, dict):
            raise _MisfitError
        return {str(key): read_value(item) for key, item in data.items()}

    return read


def _union_reader(options: tuple[Any, ...]) -> Callable[[Any], object]:
    takes_none = type(None) in options
    readers = [_reader(option) for option in options if option is not type(None)]

    def read(data: Any) -> object:
        if data is None and takes_none:
            return None
        if len(readers) != 1:
            raise _MisfitError
        return readers[0](data)

    return read


def _sequence_reader(origin: Any, args: tuple[Any, ...]) -> Callable[[Any], object]:
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        readers = [_reader(arg) for arg in args]

        def read_fixed(data: Any) -> object:
            if not isinstance(data, list) or len(data) != len(readers):
                raise _MisfitError
            return tuple([read(item) for read, item in zip(readers, data, strict=True)])

        return read_fixed
    read_item = _reader(args[0])

    def read(data: Any) -> object:
        if not isinstance(data, list):
            raise _MisfitError
        return origin([read_item(item) for item in data])

    return read


def _dataclass_reader(kind: type) -> Callable[[Any], object]:
    plan: list[tuple[str, Callable[[Any], object], bool]] | None = None

    def make_plan() -> list[tuple[str, Callable[[Any], object], bool]]:
        found = _hints(kind)
        return [
            (
                field.name,
                _reader(found[field.name]),
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(kind)
        ]

    def read(data: Any) -> object:
        nonlocal plan
        if type(data) is kind:
            return data
        if not isinstance(data, dict):
            raise _MisfitError
        if plan is None:
            plan = make_plan()  # not before: a type may hold itself
        values = {}
        for name, read_value, needed in plan:
            if name in data:
                values[name] = read_value(data[name])
            elif needed:
                raise _MisfitError
        return kind(**values)

    return read


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _read(kind: Any, data: object, path: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(kind, data, path)
    if origin in (tuple, list, frozenset):
        return _read_sequence(kind, origin, data, path)
    if origin is dict:
        if not isinstance(data, dict):
            raise ContractError(f"{path}: expected an object")
        value_kind = get_args(kind)[1]
        return {str(key): _read(value_kind, item, f"{path}.{key}") for key, item in data.items()}
    if isinstance(kind, type):
        return _read_plain(kind, data, path)
    if kind is Any or kind is object:
        return data
    raise ContractError(f"{path}: unsupported contract type {kind!r}")


def _read_union(kind: Any, data: object, path: str) -> object:
    options = get_args(kind)
    if data is None and type(None) in options:
        return None
    errors: list[str] = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _read(option, data, path)
        except ContractError as error:
            errors.append(str(error))
    raise ContractError("; ".join(errors) or f"{path}: null is not allowed")


def _read_sequence(kind: Any, origin: Any, data: object, path: str) -> object:
    if not isinstance(data, list):
        raise ContractError(f"{path}: expected a list")
    args = get_args(kind)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        if len(args) != len(data):
            raise ContractError(f"{path}: expected {len(args)} items, got {len(data)}")
        pairs = zip(args, data, strict=True)
        return tuple(_read(k, item, f"{path}[{i}]") for i, (k, item) in enumerate(pairs))
    items = (_read(args[0], item, f"{path}[{i}]") for i, item in enumerate(data))
    return origin(items)


def _read_plain(kind: type, data: object, path: str) -> object:
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, data, path)
    if issubclass(kind, enum.Enum):
        try:
            return kind(data)
        except ValueError as error:
            raise ContractError(f"{path}: {data!r} is not one of {kind.__name__}") from error
    if kind is datetime:
        return _read_datetime(data, path)
    if kind is bytes:
        if not isinstance(data, str):
            raise ContractError(f"{path}: expected base64 text")
        try:
            return base64.b64decode(data, validate=True)
        except ValueError as error:
            raise ContractError(f"{path}: not base64") from error
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if kind is int and isinstance(data, bool):
        raise ContractError(f"{path}: expected int, got bool")
    if kind is object or isinstance(data, kind):
        return data
    raise ContractError(f"{path}: expected {kind.__name__}, got {type(data).__name__}")


def _read_dataclass(kind: type, data: object, path: str) -> object:
    if type(data) is kind:
        return data
    if not isinstance(data, dict):
        raise ContractError(f"{path}: expected an object")
    hints = _hints(kind)
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _read(hints[field.name], data[field.name], f"{path}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{path}.{field.name}: missing")
    return kind(**values)


def _read_datetime(data: object, path: str) -> datetime:
    if not isinstance(data, str):
        raise ContractError(f"{path}: expected a time as RFC 3339 text")
    try:
        moment = datetime.fromisoformat(data.replace("Z", "+00:00"))
    except ValueError as error:
        raise ContractError(f"{path}: not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise ContractError(f"{path}: a time needs its zone")
    return moment.astimezone(UTC)
