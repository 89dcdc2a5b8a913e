"""What commands tell: results to standard output, also as JSON, the rest to standard error."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence


class Console:
    """The terminal, or who reads our output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, text: str, data: object) -> None:
        """Tell a result: the text, or the data as one line of JSON."""
        shown = json.dumps(data, ensure_ascii=False) if self.as_json else text
        sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Tell something beside the result."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their heads in columns."""
    lines = [heads, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    """Return the columns that a text takes: Hangul and other wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
