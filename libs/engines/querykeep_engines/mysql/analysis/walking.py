"""Walks over syntax trees."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from querykeep_engines.kit.lexing import Token
from querykeep_engines.mysql.syntax import nodes as n


def names_within(value: object) -> list[tuple[str, int]]:
    """Return (folded name, position) of every unqualified column name inside an expression."""
    found: list[tuple[str, int]] = []
    waiting = [value]
    while waiting:
        at = waiting.pop()
        if isinstance(at, n.ColumnRef):
            if len(at.parts) == 1:
                found.append((at.parts[0].value.lower(), at.position))
        elif isinstance(at, tuple) and not isinstance(at, Token):
            waiting.extend(at)
        elif is_dataclass(at) and not isinstance(at, n.QueryExpression):
            waiting.extend(getattr(at, field.name) for field in fields(at))
    return found
