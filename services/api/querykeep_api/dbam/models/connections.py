"""Connections with their sealed credentials, and the catalogs read from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from querykeep_api.kernel.models import Record, ScopedManager

if TYPE_CHECKING:
    from querykeep_api.kernel.principal import Principal


class Connection(Record):
    """One guarded database with its stored account. Secrets are sealed (``kernel.secrets``) under
    the contexts ``connection.password:<id>`` and ``connection.client_key:<id>``."""

    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100, unique=True)
    engine = models.CharField(max_length=40)
    flavour = models.CharField(max_length=40, blank=True)
    description = models.TextField(blank=True)
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField()
    database = models.CharField(max_length=255)
    username = models.CharField(max_length=255)
    sealed_password = models.TextField(blank=True)
    tls_mode = models.CharField(max_length=20, default="prefer")
    tls_ca_pem = models.TextField(blank=True)
    tls_client_cert_pem = models.TextField(blank=True)
    sealed_client_key = models.TextField(blank=True)
    tls_required = models.BooleanField(default=False)
    tags = models.JSONField(default=dict)
    is_enabled = models.BooleanField(default=True)
    proxy_port = models.PositiveIntegerField(unique=True)
    server_version = models.CharField(max_length=200, blank=True)
    health_state = models.CharField(max_length=20, default="unknown")
    health_checked_at = models.DateTimeField(null=True)
    health_message = models.TextField(blank=True)
    catalog_state = models.CharField(max_length=20, default="never")
    catalog_error = models.TextField(blank=True)
    catalog_checked_at = models.DateTimeField(null=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("name_key",)
        verbose_name = "connection"

    def __str__(self) -> str:
        return self.name

    @property
    def password_context(self) -> str:
        """What the sealed password is bound to."""
        return f"connection.password:{self.pk}"

    @property
    def client_key_context(self) -> str:
        """What the sealed client key is bound to."""
        return f"connection.client_key:{self.pk}"

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """All for those who may see connections or set policy; else those with a grant of his own
        or of his groups that holds now."""
        from querykeep_api.dbam.models.grants import Grant

        if principal.may("connections.view") or principal.may("policy.view"):
            return Q()
        return Q(pk__in=Grant.holding(principal.user.pk).values("connection_id"))


class CatalogVersion(models.Model):
    """A catalog as it was read. ``version`` counts per connection; ``payload`` is the contract's
    JSON, compressed by zlib."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="catalogs")
    version = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=200)
    crawled_at = models.DateTimeField()
    relations = models.PositiveIntegerField()
    complete = models.BooleanField()
    payload = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("connection", "version"), name="dbam_catalog_version_once"
            ),
        )
