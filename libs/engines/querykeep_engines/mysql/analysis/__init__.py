"""Trees + catalog -> facts: names, lineage, roles, functions, problems. Knows no policy."""
