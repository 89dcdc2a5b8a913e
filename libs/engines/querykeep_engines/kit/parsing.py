"""The core of a hand-written parser: a cursor over tokens with bounded depth, and precedence
climbing driven by an operator table.

A dialect subclasses ``TokenCursor`` and gives its tables. Every refusal is a
``StatementSyntaxError`` with the position of the token that does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_guard.sql.facts import StatementSyntaxError

_WORD = TokenKind.WORD
_OPERATOR = TokenKind.OPERATOR
_END = TokenKind.END

MAX_DEPTH = 72
"""Nesting of parentheses, subqueries and the like: beyond what people write, far from the
interpreter's own stack limit (one level takes up to nine frames here and as many in analysis)."""


@dataclass(frozen=True, slots=True)
class BinaryOperator:
    """An infix operator: how tightly it binds (higher is tighter), as the engine's grammar has
    it."""

    power: int
    right_associative: bool = False


class TokenCursor:
    """Reads a token list that ends with an END token. Subclasses are the grammar."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The token at hand."""
        return self.tokens[self.index]

    def peek(self, ahead: int = 1) -> Token:
        """Return a token further on; the END token beyond the end."""
        index = self.index + ahead
        return self.tokens[index] if index < len(self.tokens) else self.tokens[-1]

    def advance(self) -> Token:
        """Take the token at hand."""
        token = self.tokens[self.index]
        if token.kind is not _END:
            self.index += 1
        return token

    def at_word(self, *words: str) -> bool:
        """True when the token is one of these words, unquoted."""
        token = self.tokens[self.index]
        return token.kind is _WORD and token.value in words

    def at_words(self, *words: str) -> bool:
        """True when exactly these words come next, in order."""
        for offset, word in enumerate(words):
            token = self.peek(offset)
            if token.kind is not _WORD or token.value != word:
                return False
        return True

    def at(self, *operators: str) -> bool:
        """True when the token is one of these operators or punctuation marks."""
        token = self.tokens[self.index]
        return token.kind is _OPERATOR and token.value in operators

    def at_end(self) -> bool:
        """True when nothing is left."""
        return self.tokens[self.index].kind is _END

    def accept_word(self, *words: str) -> str | None:
        """Take the token when it is one of these words; return which."""
        token = self.tokens[self.index]
        if token.kind is _WORD and token.value in words:
            self.index += 1
            return token.value
        return None

    def accept_words(self, *words: str) -> bool:
        """Take these words when all of them come next, in order."""
        if not self.at_words(*words):
            return False
        self.index += len(words)
        return True

    def accept(self, *operators: str) -> str | None:
        """Take the token when it is one of these operators; return which."""
        token = self.tokens[self.index]
        if token.kind is _OPERATOR and token.value in operators:
            self.index += 1
            return token.value
        return None

    def expect_word(self, *words: str) -> str:
        """Take one of these words or refuse."""
        found = self.accept_word(*words)
        if found is None:
            self.fail(f"expected {' or '.join(words)}")
        return found

    def expect(self, *operators: str) -> str:
        """Take one of these operators or refuse."""
        found = self.accept(*operators)
        if found is None:
            self.fail("expected " + " or ".join(f'"{o}"' for o in operators))
        return found

    def fail(self, why: str = "") -> NoReturn:
        """Refuse the text at the token at hand."""
        raise self.failure(why)

    def failure(self, why: str = "") -> StatementSyntaxError:
        """Return the refusal of the token at hand, for the caller to raise."""
        token = self.tokens[self.index]
        near = "end of statement" if token.kind is _END else f'"{token.text[:40]}"'
        message = f"syntax error near {near}"
        return StatementSyntaxError(f"{message}: {why}" if why else message, token.start)

    def enter(self) -> None:
        """Go one level of nesting down; refuses beyond the bound. Pair with ``leave``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise StatementSyntaxError(
                f"the statement is nested more than {MAX_DEPTH} levels deep", self.token.start
            )

    def leave(self) -> None:
        """Come one level of nesting up."""
        self._depth -= 1
