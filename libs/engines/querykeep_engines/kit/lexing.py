"""Tokens: what every engine's lexer makes and every parser reads.

A lexer of an engine turns text into ``Token`` values and refuses what it cannot cut with certainty.
Nothing here knows a dialect.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class TokenKind(enum.Enum):
    """What a token is. ``WORD`` may be a keyword or a plain identifier: the parser decides."""

    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    HEX = "hexadecimal literal"
    BIT = "bit literal"
    PARAMETER = "parameter"
    USER_VARIABLE = "user variable"
    SYSTEM_VARIABLE = "system variable"
    OPERATOR = "operator"
    HINT = "optimizer hint"
    END = "end of statement"

    __hash__ = object.__hash__


class Token(NamedTuple):
    """One token. ``value`` is what the parser compares: words in upper case, operators as they
    stand, strings and quoted identifiers without quotes and escapes. ``text`` is the source text;
    ``start`` its character offset. ``tight`` says that no white space or comment stands before."""

    kind: TokenKind
    value: str
    text: str
    start: int
    tight: bool = False

    @property
    def end(self) -> int:
        """The character offset behind the token."""
        return self.start + len(self.text)


LITERAL_KINDS = frozenset({TokenKind.STRING, TokenKind.NUMBER, TokenKind.HEX, TokenKind.BIT})
"""Kinds whose values a digest leaves out."""


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text with white space between: how dialects list their keywords."""
    return frozenset(text.split())
