"""Writes of database access, each with its event in the outbox."""
