"""The kernel as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Tables that belong to no domain: outbox, policy version, enforcement of uniqueness."""

    name = "querykeep_api.kernel"
    label = "kernel"

    def ready(self) -> None:
        """Make the OpenAPI document's security schemes known."""
        import querykeep_api.kernel.rest.security_schemes  # noqa: F401 - registers on import
