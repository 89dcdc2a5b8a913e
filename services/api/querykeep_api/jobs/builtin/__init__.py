"""The jobs of this service; importing this package registers them."""

from querykeep_api.jobs.builtin import audit, cleanup, results

__all__ = ["audit", "cleanup", "results"]
