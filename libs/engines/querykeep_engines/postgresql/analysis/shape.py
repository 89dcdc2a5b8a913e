"""Shape of a text: a cache key that leaves out literals that cannot change a decision.

Only where it is certain: a literal right after a comparison, in an IN list, or after LIMIT and
OFFSET, of a SELECT or DELETE. All else stays in the key, spelled as it is.
"""

from __future__ import annotations

import postgast
from postgast import pg_query_pb2 as pb

_STARTS = frozenset({pb.SELECT, pb.WITH, pb.TABLE, pb.VALUES, pb.DELETE_P})
_LITERALS = frozenset({pb.SCONST, pb.ICONST, pb.FCONST})
_COMPARISONS = frozenset(
    {
        *(ord("="), ord("<"), ord(">"), pb.LESS_EQUALS, pb.GREATER_EQUALS, pb.NOT_EQUALS),
        *(pb.LIMIT, pb.OFFSET, pb.LIKE, pb.ILIKE),
    }
)
# Between the parentheses of IN: a query, whose commas part ordinals and output columns as well.
_QUERY_WORDS = frozenset(
    {
        *(pb.SELECT, pb.VALUES, pb.TABLE, pb.UNION, pb.INTERSECT, pb.EXCEPT),
        *(pb.ORDER, pb.GROUP_P),
    }
)
_COMMENTS = frozenset({pb.SQL_COMMENT, pb.C_COMMENT})
# Calls whose arguments the analyzer reads.
_READ_LITERALS = ("set_config", "dblink")
_MAX_BYTES = 100_000
_OPEN, _CLOSE, _COMMA = ord("("), ord(")"), ord(",")


def shape(text: str) -> str | None:
    """Return the key, or None when the text must not be cached by shape."""
    if len(text) > _MAX_BYTES or "\x00" in text:
        return None
    lowered = text.lower()
    if any(word in lowered for word in _READ_LITERALS):
        return None
    try:
        data = text.encode("utf-8")
        tokens = postgast.scan(text).tokens
    except (postgast.PgQueryError, UnicodeEncodeError):
        return None
    parts: list[str] = []
    lists: list[bool] = []
    before = 0
    for number, token in enumerate(tokens):
        kind = token.token
        if kind in _COMMENTS:
            continue
        if not parts and kind != _OPEN and kind not in _STARTS:
            return None
        if kind == _OPEN:
            lists.append(before == pb.IN_P)
        elif kind == _CLOSE and lists:
            lists.pop()
        elif kind in _QUERY_WORDS and lists:
            lists[-1] = False
        in_list = bool(lists) and lists[-1] and before in (_OPEN, _COMMA)
        if kind in _LITERALS and (before in _COMPARISONS or in_list):
            follower = tokens[number + 1].token if number + 1 < len(tokens) else 0
            if follower not in (pb.TYPECAST, pb.SCONST, pb.UESCAPE):
                parts.append("?s" if kind == pb.SCONST else "?n")
                before = kind
                continue
        parts.append(data[token.start : token.end].decode("utf-8"))
        before = kind
    return " ".join(parts) if parts else None
