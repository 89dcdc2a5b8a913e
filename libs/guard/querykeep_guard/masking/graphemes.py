"""Characters as people see them, so that no part that stays is half of one.

A letter with its combining marks, a Hangul syllable of conjoining jamo, an emoji with its skin tone
or joined from several, and a flag are one each. Close to UAX #29, extended grapheme clusters.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_MARKS = frozenset({"Mn", "Me", "Mc"})


def graphemes(text: str) -> list[str]:
    """Split a text into characters as people see them. ASCII texts: one per character."""
    if text.isascii():
        return list(text)
    found: list[str] = []
    for char in text:
        if found and _continues(found[-1], char):
            found[-1] += char
        else:
            found.append(char)
    return found


def _continues(before: str, char: str) -> bool:
    last = before[-1]
    code = ord(char)
    if unicodedata.category(char) in _MARKS or char == _JOINER or 0x1F3FB <= code <= 0x1F3FF:
        return True
    if last == _JOINER:
        return True
    if _is_flag_letter(char):
        return len(before) % 2 == 1 and all(map(_is_flag_letter, before))
    return _jamo(last) + _jamo(char) in ("LL", "LV", "VV", "VT", "TT", "ST")


def _is_flag_letter(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def _jamo(char: str) -> str:
    """L, V, T: a leading consonant, vowel, trailing consonant; S: a whole syllable; else nothing
    that joins."""
    code = ord(char)
    if 0x1100 <= code <= 0x115F:
        return "L"
    if 0x1160 <= code <= 0x11A7:
        return "V"
    if 0x11A8 <= code <= 0x11FF:
        return "T"
    return "S" if 0xAC00 <= code <= 0xD7A3 else "-"
