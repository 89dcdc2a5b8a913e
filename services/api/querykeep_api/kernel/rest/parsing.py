"""Bodies of the public API: JSON, bounded before it is read, of characters that can be stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import JSONParser

from querykeep_api.kernel.errors import InvalidInput, TooLarge

BODY_LIMIT_BYTES = 8 * 1024 * 1024
"""A statement of a million characters to explain, each escaped, fits."""
STRANGER_LIMIT_BYTES = 64 * 1024
"""For views that answer before sign-in (``body_limit_bytes``)."""

# NUL is no character of PostgreSQL's texts, and a lone surrogate none of UTF-8.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BoundedJSONParser(JSONParser):
    """Refuses what is too long, too deep, or holds characters that no text here can hold."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's data.

        Raises:
            TooLarge, InvalidInput: As above.
        """
        context = parser_context or {}
        limit = getattr(context.get("view"), "body_limit_bytes", BODY_LIMIT_BYTES)
        length = int(context["request"].META.get("CONTENT_LENGTH") or 0)
        if length > limit:
            raise TooLarge(f"The body has {length} bytes; at most {limit} are read here.")
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise InvalidInput("The body is nested too deeply.", code="too_deep") from error
        check_text(data)
        return data


def check_text(data: Any) -> None:
    """Raise InvalidInput for a character that cannot be stored, anywhere in JSON data."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item):
                raise InvalidInput(
                    "A text holds NUL or half a surrogate pair, which no text here can hold.",
                    code="bad_character",
                )
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
