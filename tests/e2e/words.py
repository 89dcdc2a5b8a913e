"""The web UI's own words, read from its translations: what tests look for is what people read."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = ("ko", "en")
# For long walks: the pages themselves are drawn in both by quicker tests.
KOREAN_AND_SLOWLY_ENGLISH = ("ko", pytest.param("en", marks=pytest.mark.slow))
FOLDER = Path(__file__).parents[2] / "services/middleware/web/src/i18n"


@cache
def _strings(language: Language) -> dict[str, object]:
    strings = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    assert isinstance(strings, dict)
    return strings


def word(language: Language, key: str, **values: object) -> str:
    """Return the sentence of a key such as ``auth.signIn``, with its places filled in."""
    found: object = _strings(language)
    for part in key.split("."):
        assert isinstance(found, dict), key
        found = found[part]
    assert isinstance(found, str), key
    return re.sub(r"\{\{(\w+)\}\}", lambda place: str(values[place[1]]), found)
