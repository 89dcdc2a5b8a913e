"""Passwords in statement texts, replaced before a text is recorded or shown."""

from __future__ import annotations

import re

import postgast
from postgast import pg_query_pb2 as pb

# Texts that may hold a secret: cheap to test, and never missed.
_MAY_HOLD = re.compile(r"password|user\s*mapping|subscription|conninfo|options", re.I | re.S)
_STRINGS = frozenset({pb.SCONST, pb.USCONST, pb.XCONST, pb.BCONST})
_PLACEHOLDER = "'***'"
_WORDS = frozenset({"password", "connection", "user", "secret", "passwd", "conninfo"})


def redacted(text: str) -> str | None:
    """Return the text with secrets replaced, or None when it holds none.

    A string literal is replaced when it follows PASSWORD or CONNECTION, or stands in an OPTIONS
    list of a server or user mapping after a name that tells a secret.
    """
    if _MAY_HOLD.search(text) is None:
        return None
    data = text.encode("utf-8")
    pieces: list[bytes] = []
    done = 0
    recent: list[str] = []
    try:
        tokens = postgast.scan(text).tokens
    except postgast.PgQueryError:
        return "***"
    for token in tokens:
        word = data[token.start : token.end]
        if token.token in _STRINGS:
            if _WORDS.intersection(recent[-2:]):
                pieces += [data[done : token.start], _PLACEHOLDER.encode()]
                done = token.end
            recent.append("")
        elif token.token not in (pb.SQL_COMMENT, pb.C_COMMENT):
            recent.append(word.decode("utf-8", "replace").lower().strip('"'))
    if not pieces:
        return None
    return (b"".join(pieces) + data[done:]).decode("utf-8")
