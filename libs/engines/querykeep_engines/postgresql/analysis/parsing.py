"""PostgreSQL's own grammar (libpg_query 18, through postgast), with bounds around it.

libpg_query recurses in C without a limit of its own for left-deep chains (``1+1+1+…`` thirty
thousand times ends the process), so depth is estimated from the tokens before anything is parsed.
Offsets of the parser are bytes; everything that leaves this package is characters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Any

import postgast
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as pb

from querykeep_guard.sql.facts import StatementSyntaxError

# A 50 MB INSERT must pass; the wire's own limit is 64 MB.
MAX_TEXT_BYTES = 64 * 1024 * 1024
# Estimated nesting of one statement; of the order of PostgreSQL's own (stack depth 2 MB).
MAX_DEPTH = 1500
# Of those, brackets and CASE: what the analyzer itself walks by recursion.
MAX_NESTING = 120

# Tokens that may each make a tree one level deeper. Of those, set operations and joins go on across
# AND, OR and commas; the others start anew there.
_STICKY = frozenset({pb.UNION, pb.INTERSECT, pb.EXCEPT, pb.JOIN, pb.NATURAL, pb.WITH, pb.WITH_LA})
_LOOSE = frozenset(
    {
        *(ord(character) for character in "+-*/<>=%^:["),
        *(pb.Op, pb.TYPECAST, pb.LESS_EQUALS, pb.GREATER_EQUALS, pb.NOT_EQUALS, pb.NOT, pb.NOT_LA),
        *(pb.COLLATE, pb.IS, pb.ISNULL, pb.NOTNULL, pb.AT, pb.LIKE, pb.ILIKE, pb.SIMILAR),
        *(pb.BETWEEN, pb.IN_P, pb.SELECT, pb.OPERATOR, pb.ESCAPE, pb.EQUALS_GREATER),
    }
)
_RESETS = frozenset({pb.AND, pb.OR, pb.WHEN, pb.THEN, pb.ELSE, ord(",")})
_OPENS = frozenset({ord("("), ord("["), pb.CASE})
_CLOSES = frozenset({ord(")"), ord("]"), pb.END_P})
_SEMICOLON = ord(";")
# A shorter text cannot be deep enough to matter.
_SHORT_TEXT_BYTES = 400


class TooComplexError(Exception):
    """A text is beyond a bound; the statement is refused with ``too_complex``."""


def _raise_decoder_depth() -> None:
    """Let protobuf decode trees deeper than its default of 100 messages (forty ``||`` reach that).

    The setting is process-wide; depth is bounded before parsing. With another protobuf
    implementation the default stays, and deeper trees are refused.
    """
    try:
        from google._upb import _message
    except ImportError:
        return
    _message.SetAllowOversizeProtos(True)


_raise_decoder_depth()


@dataclass(frozen=True, slots=True)
class Offsets:
    """Turns byte offsets of a text into character offsets."""

    text: str
    marks: tuple[tuple[int, int], ...] | None

    @classmethod
    def of(cls, text: str) -> Offsets:
        """Prepare the table; free for ASCII texts."""
        if text.isascii():
            return cls(text, None)
        marks = [(0, 0)]
        total = 0
        for start in range(0, len(text), 256):
            marks.append((total, start))
            total += len(text[start : start + 256].encode("utf-8"))
        return cls(text, tuple(marks))

    def char(self, offset: int) -> int:
        """Return the character offset of a byte offset; -1 stays -1."""
        if self.marks is None or offset < 0:
            return offset
        index = bisect_right(self.marks, (offset, len(self.text))) - 1
        base_bytes, base_char = self.marks[index]
        rest = self.text[base_char : base_char + 512].encode("utf-8")[: offset - base_bytes]
        return base_char + len(rest.decode("utf-8", "ignore"))


def parse(text: str) -> Any:
    """Return the ``ParseResult`` of a text.

    Raises:
        StatementSyntaxError: The grammar refuses it.
        TooComplexError: It is longer or deeper than what is walked.
    """
    if "\x00" in text:
        raise StatementSyntaxError("a statement cannot hold a NUL character", text.index("\x00"))
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise StatementSyntaxError("the text is not valid Unicode", error.start) from None
    if len(data) > MAX_TEXT_BYTES:
        raise TooComplexError(f"the text is longer than {MAX_TEXT_BYTES} bytes")
    try:
        if len(data) > _SHORT_TEXT_BYTES:
            _check_depth(text)
        return postgast.parse(text)
    except postgast.PgQueryError as error:
        if "memory exhausted" in str(error) or "stack depth" in str(error):
            raise TooComplexError("the statement is nested too deeply") from None
        raise _syntax_error(error, text) from None
    except DecodeError:
        raise TooComplexError("the statement is nested too deeply") from None


def _syntax_error(error: postgast.PgQueryError, text: str) -> StatementSyntaxError:
    message = str(error).split("\n")[0]
    position = int(getattr(error, "cursorpos", 0) or 0) - 1
    return StatementSyntaxError(message, position if 0 <= position <= len(text) else -1)


def _check_depth(text: str) -> None:
    """Estimate depth from tokens: open brackets, plus operators chained at each level."""
    kinds = [token.token for token in postgast.scan(text).tokens]
    counts = Counter(kinds)
    chained = sum(counts[kind] for kind in _STICKY) + sum(counts[kind] for kind in _LOOSE)
    opened = sum(counts[kind] for kind in _OPENS)
    if chained <= MAX_DEPTH and opened <= MAX_NESTING:
        return
    levels: list[list[int]] = [[0, 0]]
    total = 0
    for kind in kinds:
        if kind in _LOOSE:
            levels[-1][1] += 1
            total += 1
        elif kind in _STICKY:
            levels[-1][0] += 1
            total += 1
        elif kind in _RESETS:
            total -= levels[-1][1]
            levels[-1][1] = 0
        elif kind in _CLOSES and len(levels) > 1:
            sticky, loose = levels.pop()
            total -= 1 + sticky + loose
        elif kind == _SEMICOLON:
            levels, total = [[0, 0]], 0
        if kind in _OPENS:
            levels.append([0, 0])
            total += 1
            if len(levels) > MAX_NESTING:
                raise TooComplexError(f"the statement is nested deeper than {MAX_NESTING} levels")
        if total > MAX_DEPTH:
            raise TooComplexError(f"the statement is deeper than {MAX_DEPTH} levels")


def statement_span(raw: Any, data_length: int) -> tuple[int, int]:
    """Return the byte span of one ``RawStmt`` within its text."""
    start = raw.stmt_location
    length = raw.stmt_len or data_length - start
    return start, start + length


__all__ = ["Offsets", "TooComplexError", "parse", "pb", "statement_span"]
