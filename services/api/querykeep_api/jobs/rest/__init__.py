"""HTTP: ``/api/v1/jobs`` and the internal report of other services."""
