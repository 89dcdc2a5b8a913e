"""The governed PostgreSQL session: a client and a target back to back, sans I/O."""

from querykeep_engines.postgresql.session.core import PostgresqlSession

__all__ = ["PostgresqlSession"]
