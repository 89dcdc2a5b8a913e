"""The analyzer's parts: parsing, names, scopes, expressions, queries, writes, the rest."""
