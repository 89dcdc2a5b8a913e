"""Skeleton of a text: a cheap key for texts of one shape, made without a lexer of the dialect.

``Analyzer.shape`` cuts a text into the tokens of its dialect, which takes longer than all else that
is done for a statement whose decision is known. A skeleton is what is left of a text when plain
literals are taken out with one regular expression. Texts of one skeleton consist of the same tokens
but for the values of those literals, so what is harmless at a place in one of them is so in all;
which places these are is found by asking ``shape``, when a skeleton comes for the second time: most
texts that come once never come again.

That holds only for texts in which nothing can hide a quote or a digit from the expression, in any
dialect: ASCII, no quoted names, comments, backslashes, variables, or dollar quotes. All other texts
have no skeleton, and their shape is made each time.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable

# Not part of a name, a longer number, a string with a prefix, or two quotes in a row. Short:
# a dialect may tell long literals apart.
_LITERAL = re.compile(
    r"""((?<![\w$@.&'"])'[^'\\]{0,32}'(?!')|(?<![\w$@.:])[0-9]{1,18}(?![\w$@.]))""", re.ASCII
)
_HIDES = re.compile(r"""['"`\\$#@\[\]{}\0]|--|/\*""")
_KEPT_SKELETONS = 512
_LONGEST = 4096
_SEEN_ONCE = (-1,)

Key = tuple[object, ...]
_Skeleton = tuple[object, ...]


class Skeletons:
    """What is known of the skeletons of texts under one session context."""

    def __init__(self, shape: Callable[[str], str | None]) -> None:
        """``shape`` is the analyzer's, for that context."""
        self._shape = shape
        self._known: OrderedDict[_Skeleton, tuple[int, ...] | None] = OrderedDict()

    def key(self, text: str) -> Key | None:
        """Return a key that texts share only if their shapes are equal, or None."""
        if len(text) > _LONGEST or not text.isascii():
            return None
        parts = _LITERAL.split(text)
        literals = parts[1::2]
        skeleton: _Skeleton = (
            "\0".join(parts[::2]),
            *[literal[0] == "'" for literal in literals],
        )
        try:
            kept = self._known[skeleton]
        except KeyError:
            self._keep(skeleton, _SEEN_ONCE)
            return None
        if kept is _SEEN_ONCE:
            kept = self._learn(parts, text)
            self._keep(skeleton, kept)
        if kept is None:
            return None
        return (skeleton, *[literals[place] for place in kept])

    def _keep(self, skeleton: _Skeleton, kept: tuple[int, ...] | None) -> None:
        self._known[skeleton] = kept
        while len(self._known) > _KEPT_SKELETONS:
            self._known.popitem(last=False)

    def _learn(self, parts: list[str], text: str) -> tuple[int, ...] | None:
        """Find the literals that stand in the shape."""
        kept: tuple[int, ...] | None = None
        shape = None if _HIDES.search("".join(parts[::2])) else self._shape(text)
        if shape is not None:
            kept = tuple(
                place
                for place in range(len(parts) // 2)
                if self._shape(_with_other(parts, 2 * place + 1)) != shape
            )
        return kept


def _with_other(parts: list[str], place: int) -> str:
    """Return the text with another value of the same kind and length for one literal."""
    literal = parts[place]
    if literal[0] != "'":
        other = ("2" if literal[0] == "1" else "1") + literal[1:]
    elif literal == "''":
        other = "'a'"
    else:
        other = "'" + ("b" if literal[1] == "a" else "a") + literal[2:]
    return "".join([*parts[:place], other, *parts[place + 1 :]])
