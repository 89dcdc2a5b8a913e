"""Which character sets a client may speak. A statement is judged as text, so its bytes must mean
to us what they mean to the server; sets in which a byte can swallow the next one are refused."""

from __future__ import annotations

from querykeep_engines.mysql.syntax.modes import is_utf8

UTF8MB4 = 45

# Collation ids of utf8mb4 and utf8mb3, as MySQL 8/9 and MariaDB 10/11 number them; one byte in the
# handshake, so that ids above 255 never stand there.
_UTF8_IDS = frozenset({33, 45, 46, 76, 83, *range(192, 216), 223, *range(224, 248), 255})
_LATIN1_IDS = frozenset({5, 8, 15, 31, 47, 48, 49, 94})
_ASCII_IDS = frozenset({11, 65})


def encoding_of(charset_id: int) -> str | None:
    """Return Python's name of a handshake's character set, None for one that is refused.

    0 means that the client leaves it to the server; utf8mb4 then.
    """
    if charset_id == 0 or charset_id in _UTF8_IDS:
        return "utf-8"
    if charset_id in _LATIN1_IDS:
        return "cp1252"
    if charset_id in _ASCII_IDS:
        return "ascii"
    return None


def encoding_named(name: str) -> str | None:
    """Return Python's name of a character set that the server names; None: it is refused."""
    lowered = name.lower()
    if is_utf8(lowered):
        return "utf-8"
    return {"latin1": "cp1252", "ascii": "ascii"}.get(lowered)
