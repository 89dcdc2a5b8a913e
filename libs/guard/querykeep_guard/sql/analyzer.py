"""The seam between engines and the guard."""

from __future__ import annotations

from typing import Protocol

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.sql.facts import SessionContext, StatementFacts


class Analyzer(Protocol):
    """Turns text into facts. Pure: same text, context and catalog give the same facts."""

    def analyze(
        self, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        """Return the facts of each statement of a text, in order; an empty text gives none.

        Raises:
            StatementSyntaxError: The text cannot be parsed; nothing of it may run.
        """
        ...

    def shape(self, text: str, context: SessionContext) -> str | None:
        """Return a cache key that is equal for texts that differ only in literals which cannot
        change a decision, or None when the text must not be cached by shape."""
        ...
