"""The REST resources of database access."""
