"""Token lists as keys: digest of a statement, cache shape of a text, text without secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from querykeep_engines.kit.lexing import LITERAL_KINDS, Token, TokenKind
from querykeep_engines.mysql.syntax.modes import LexicalModes

_SHAPED = frozenset({"SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "("})
_KEEP = frozenset(
    {"SELECT", "RETURNING", "ORDER", "GROUP", "SET", "VALUES", "VALUE", "WITH", "DUPLICATE"}
)
_STRIP = frozenset({"FROM", "WHERE", "HAVING", "ON", "LIMIT"})
_LONG_LITERAL = 32
_MARKS = {
    TokenKind.STRING: "'s'",
    TokenKind.NUMBER: "9",
    TokenKind.HEX: "0x",
    TokenKind.BIT: "0b",
}
_SECRET_WORDS = frozenset({"PASSWORD", "OLD_PASSWORD", "PREPARE", "EXECUTE"})
_SECRET_CALLS = frozenset({"PASSWORD", "OLD_PASSWORD"})


def digest(tokens: Sequence[Token]) -> str:
    """Return SHA-256 (hex) over the normalized tokens: words in upper case, literals left out."""
    parts = []
    for token in tokens:
        kind = token.kind
        if kind in LITERAL_KINDS or kind is TokenKind.PARAMETER:
            parts.append("?")
        elif kind is TokenKind.QUOTED:
            parts.append(f"`{token.value}`")
        elif kind is TokenKind.USER_VARIABLE:
            parts.append(f"@{token.value}")
        else:
            parts.append(token.value)
    return hashlib.sha256(" ".join(parts).encode("utf-8")).hexdigest()


def shape(statements: Sequence[Sequence[Token]], modes: LexicalModes) -> str | None:
    """Return a key without the literals that cannot change facts, or None.

    Kept are literals in select lists (they name output columns), in ORDER BY and GROUP BY (they may
    be ordinals), in VALUES and SET (they may be a mask written back), and long ones. Only queries
    and statements that change rows have a shape.
    """
    parts = [f"{modes.is_mariadb:d}{modes.pipes_as_concat:d}{modes.high_not_precedence:d}"]
    for tokens in statements:
        if tokens[0].value not in _SHAPED or tokens[0].kind not in (
            TokenKind.WORD,
            TokenKind.OPERATOR,
        ):
            return None
        _shape_one(tokens, parts)
    return "\x1f".join(parts)


def _shape_one(tokens: Sequence[Token], parts: list[str]) -> None:
    keep, is_query = True, True
    outer: list[tuple[bool, bool]] = []
    for token in tokens:
        kind = token.kind
        if kind is TokenKind.WORD:
            value = token.value
            if value in _KEEP:
                keep = True
                is_query = is_query or value == "SELECT"
            elif value in _STRIP and is_query:
                keep = False
            parts.append(token.text)
        elif kind is TokenKind.OPERATOR:
            if token.value == "(":
                outer.append((keep, is_query))
                is_query = False
            elif token.value == ")" and outer:
                keep, is_query = outer.pop()
            parts.append(token.value)
        elif kind in _MARKS and not keep and len(token.value) <= _LONG_LITERAL:
            parts.append(_MARKS[kind])
        else:
            parts.append(token.text)
    parts.append(";")


def redacted(text: str, tokens: Sequence[Token], *, about_accounts: bool, start: int) -> str | None:
    """Return ``text`` with every secret replaced, or None when it holds none.

    Args:
        text: The statement's own text.
        tokens: Its tokens.
        about_accounts: The statement is about accounts, replication or servers: every string
            behind IDENTIFIED or a word that ends with PASSWORD is a secret.
        start: Where ``text`` starts in the text that the tokens' offsets count in.
    """
    if not about_accounts and not any(
        token.kind is TokenKind.WORD and token.value in _SECRET_WORDS for token in tokens
    ):
        return None
    pieces: list[str] = []
    at = 0
    is_secret = False
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.WORD:
            is_secret = is_secret or (
                about_accounts and (token.value == "IDENTIFIED" or token.value.endswith("PASSWORD"))
            )
        elif token.kind in (TokenKind.STRING, TokenKind.HEX):
            following = tokens[index + 1] if index + 1 < len(tokens) else token
            is_account = following.kind is TokenKind.USER_VARIABLE
            hides = is_secret and not is_account
            if not hides and index >= 2 and tokens[index - 1].value == "(":
                hides = tokens[index - 2].value in _SECRET_CALLS
            if not hides and not about_accounts and tokens[0].value in ("PREPARE", "EXECUTE"):
                lowered = token.value.lower()
                hides = "password" in lowered or "identified" in lowered
            if hides:
                pieces += [text[at : token.start - start], "'***'"]
                at = token.end - start
    if not pieces:
        return None
    return "".join((*pieces, text[at:]))
