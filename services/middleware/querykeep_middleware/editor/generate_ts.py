"""Makes the TypeScript side of the editor's messages from the dataclasses.

    python -m querykeep_middleware.editor.generate_ts            writes the file
    python -m querykeep_middleware.editor.generate_ts --check    fails when it is out of date

A type that has no certain TypeScript form is an error, never ``any``.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_origin

from querykeep_middleware.editor import frames, messages

TARGET = Path(__file__).parents[2] / "web" / "src" / "lib" / "editor-messages.gen.ts"
_CONSTANTS = (
    "PROTOCOL_VERSION",
    "MAX_PAGE_ROWS",
    "CELL_PREVIEW_CHARACTERS",
    "MAX_TEXT_CHARACTERS",
    "MAX_TAB_CHARACTERS",
)
_HEADER = """\
// Made by `python -m querykeep_middleware.editor.generate_ts` from editor/messages.py. Do not edit.
"""


def generate() -> str:
    """Return the text of the TypeScript module.

    Raises:
        TypeError: A field has a type that the generator does not know.
    """
    client = get_args(messages.ClientMessage)
    server = get_args(messages.ServerMessage)
    parts = [_HEADER]
    parts += [f"export const {name} = {getattr(messages, name)}\n" for name in _CONSTANTS]
    for shape in _shapes((*client, *server)):
        parts.append(_enum(shape) if issubclass(shape, enum.Enum) else _interface(shape))
    parts += [_interface(cls, type_name=frames.type_name(cls), optional=True) for cls in client]
    parts += [_interface(cls, type_name=frames.type_name(cls)) for cls in server]
    parts.append(_union("ClientMessage", client))
    parts.append(_union("ServerMessage", server))
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with ``--check`` compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the file is out of date")
    options = parser.parse_args(arguments)
    text = generate()
    if options.check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{TARGET.name} is out of date: run this module without --check\n")
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


def _shapes(roots: tuple[type, ...]) -> list[type]:
    """Return every dataclass and enum that the roots' fields reach, without the roots."""
    found: dict[type, None] = {}
    waiting = list(roots)
    while waiting:
        for hint in typing.get_type_hints(waiting.pop(0)).values():
            for named in _named(hint):
                if named not in found and named not in roots:
                    found[named] = None
                    if dataclasses.is_dataclass(named):
                        waiting.append(named)
    return sorted(found, key=lambda cls: cls.__name__)


def _named(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, enum.Enum)):
        yield hint
    for argument in get_args(hint):
        yield from _named(argument)


def _comment(cls: type, indent: str = "") -> str:
    text = " ".join((cls.__doc__ or "").split())
    return f"{indent}/** {text} */\n"


def _enum(cls: type[enum.Enum]) -> str:
    values = " | ".join(f"'{member.value}'" for member in cls)
    return f"{_comment(cls)}export type {cls.__name__} = {values}\n"


def _interface(cls: type, *, type_name: str = "", optional: bool = False) -> str:
    hints = typing.get_type_hints(cls)
    lines = [f"{_comment(cls)}export interface {cls.__name__} {{"]
    if type_name:
        lines.append(f"  type: '{type_name}'")
    for field in dataclasses.fields(cls):
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        mark = "?" if optional and has_default else ""
        lines.append(f"  {field.name}{mark}: {_type(hints[field.name])}")
    lines.append("}\n")
    return "\n".join(lines)


def _union(name: str, members: tuple[type, ...]) -> str:
    lines = "\n".join(f"  | {cls.__name__}" for cls in members)
    return f"export type {name} =\n{lines}\n"


def _type(hint: Any) -> str:
    plain = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    if hint in plain:
        return plain[hint]
    if hint is datetime:
        return "string"
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, enum.Enum)):
        return hint.__name__
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = _type(arguments[0])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if origin is dict:
        return f"Record<{_type(arguments[0])}, {_type(arguments[1])}>"
    raise TypeError(f"no TypeScript form for {hint!r}")


if __name__ == "__main__":
    sys.exit(main())
