"""The jobs of this service; importing this package registers them."""

from querykeep_api.jobs.builtin import access, audit, cleanup, results

__all__ = ["access", "audit", "cleanup", "results"]
