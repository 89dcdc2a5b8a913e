"""Which regular expressions a statement rule may hold.

``re`` backtracks: a repetition inside a repetition, such as ``(a+)+$``, takes exponential time on a
hostile text, and every statement of a connection waits for it. Such patterns are refused when a
rule is saved, and so are back references and many unbounded repetitions side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]  # the only parser of re's syntax
from typing import Any

MAX_LENGTH = 1_000
MAX_UNBOUNDED = 4
_BOUND = 100
"""A repetition up to this often counts as bounded."""
_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT})


def pattern_problem(pattern: str) -> str:
    """Return why a pattern may not be a rule's, in words, or nothing."""
    if len(pattern) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    try:
        re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    unbounded = [0]
    problem = _walk(tree, inside=False, unbounded=unbounded)
    if not problem and unbounded[0] > MAX_UNBOUNDED:
        problem = f"has more than {MAX_UNBOUNDED} unbounded repetitions"
    return problem


def _walk(items: Iterable[Any], *, inside: bool, unbounded: list[int]) -> str:
    for operator, argument in items:
        if operator in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            return "refers back to a group, which can take very long"
        repeats = False
        if operator in _REPEATS:
            _low, high, _body = argument
            repeats = high > _BOUND
            if repeats and inside:
                return "repeats a repetition, which can take very long"
            unbounded[0] += repeats
        for part in _parts(argument):
            problem = _walk(part, inside=inside or repeats, unbounded=unbounded)
            if problem:
                return problem
    return ""


def _parts(argument: Any) -> Iterable[Any]:
    """Return the sub-patterns in an operator's argument, however deep in lists and tuples."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, (list, tuple)):
        for entry in argument:
            yield from _parts(entry)
