"""StatementFacts (what a statement does, as an analyzer found it) and the Analyzer protocol."""
