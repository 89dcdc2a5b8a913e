"""The PostgreSQL analyzer: statement text, session context and catalog to facts.

Pure: no I/O, no clock. What it cannot understand or prove is a ``Problem``; a value is never called
free of sources by default. The parts are in ``analysis/``.
"""

from __future__ import annotations

from querykeep_engines.postgresql.analysis.names import CatalogCache
from querykeep_engines.postgresql.analysis.shape import shape as text_shape
from querykeep_engines.postgresql.analysis.statements import analyze
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.sql.facts import SessionContext, StatementFacts


class PostgresqlAnalyzer:
    """Implements ``querykeep_guard.sql.analyzer.Analyzer``; shared by sessions and threads."""

    def __init__(self) -> None:
        self._catalogs = CatalogCache()

    def analyze(
        self, text: str, context: SessionContext, catalog: Catalog
    ) -> tuple[StatementFacts, ...]:
        """Return the facts of each statement of a text, in order; an empty text gives none.

        Raises:
            StatementSyntaxError: The text cannot be parsed; nothing of it may run.
        """
        return analyze(text, context, self._catalogs.names_of(catalog))

    def shape(self, text: str, context: SessionContext) -> str | None:
        """Return a cache key that texts share which differ in harmless literals, or None."""
        return text_shape(text)
