"""Names that differ in letters whose case the server may fold in another way than we do.

Servers compare names without regard to case, each version by its own table of Unicode: to an older
one ``ẞ`` and ``ß`` are two names, and ``İ`` is ``i``. A name that is found in an inner query here
may thus be an outer one's there. So where two names are alike by any table, but not by the letters
that every table folds alike, nobody knows what the statement means.

Source: ``my_strcasecmp`` with utf8mb3_general_ci and its successors; behaviour of real servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_guard.contracts.catalog import Relation

# Latin with accents, Greek (no sigma: its small form depends on its place) and Cyrillic.
_CERTAIN = re.compile("[A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a1\u03a4-\u03a9\u0410-\u042f]+")
_NAME_CHARS = 256
"""The longest alias; a longer string is none."""


def certain_key(name: str) -> str:
    """Return a name with those letters folded that every server folds in this way."""
    return _CERTAIN.sub(lambda found: found[0].lower(), name)


def loose_key(name: str) -> str:
    """Return a key that names share whenever some server takes them for one."""
    return name.upper().casefold().replace("i\u0307", "i")


def names_of(relation: Relation) -> Iterable[str]:
    """Return the names that a relation brings into a statement."""
    return (relation.schema, relation.name, *(column.name for column in relation.columns))


def doubtful_name(tokens: Sequence[Token], names: Iterable[str]) -> str | None:
    """Return a name of a statement that may or may not be the same as another one in it or among
    ``names``, those of the relations that it uses; None: all are clear."""
    known = set(names)
    if all(token.text.isascii() for token in tokens) and all(map(str.isascii, known)):
        return None
    seen: dict[str, str] = {}
    for token in tokens:
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED):
            # A word's value is folded already.
            name = token.text if token.kind is TokenKind.WORD else token.value
            key = certain_key(name)
            if seen.setdefault(loose_key(name), key) != key:
                return name
        elif token.kind is TokenKind.STRING and len(token.value) <= _NAME_CHARS:
            known.add(token.value)  # it may be an alias
    find = seen.setdefault if any(token.value == "NATURAL" for token in tokens) else seen.get
    for name in sorted(known):
        key = certain_key(name)
        if find(loose_key(name), key) != key:
            return name
    return None
