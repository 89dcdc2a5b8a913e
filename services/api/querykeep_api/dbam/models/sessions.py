"""Proxy tokens, tickets, live sessions and the enforcement points that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from querykeep_api.dbam.models.connections import Connection
from querykeep_api.iam.facade import Agent, User, WebSession
from querykeep_api.kernel.models import Record, ScopedManager
from querykeep_guard.contracts.session import ClientVerifiers

if TYPE_CHECKING:
    from querykeep_api.kernel.principal import Principal


class ProxyToken(Record):
    """User name and verifiers of a password of 128 random bits or more, for one person and one
    connection. It outlives a grant."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="proxy_tokens")
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="proxy_tokens"
    )
    name = models.CharField(max_length=150)
    username = models.CharField(max_length=100, unique=True)
    scram_salt = models.BinaryField()
    scram_iterations = models.PositiveIntegerField()
    scram_stored_key = models.BinaryField()
    scram_server_key = models.BinaryField()
    native_stage2 = models.BinaryField()
    caching_stage2 = models.BinaryField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "proxy token"

    @property
    def verifiers(self) -> ClientVerifiers:
        """The verifiers as the engines know them."""
        return ClientVerifiers(
            scram_salt=bytes(self.scram_salt),
            scram_iterations=self.scram_iterations,
            scram_stored_key=bytes(self.scram_stored_key),
            scram_server_key=bytes(self.scram_server_key),
            native_stage2=bytes(self.native_stage2),
            caching_stage2=bytes(self.caching_stage2),
        )

    def set_verifiers(self, verifiers: ClientVerifiers) -> None:
        """Store the verifiers of a new password."""
        for name in (
            "scram_salt",
            "scram_iterations",
            "scram_stored_key",
            "scram_server_key",
            "native_stage2",
            "caching_stage2",
        ):
            setattr(self, name, getattr(verifiers, name))

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """One's own."""
        return Q(user=principal.user)


class Ticket(models.Model):
    """A once-only permit of 30 seconds for one agent session. The ticket is stored as its hash."""

    ticket_hash = models.CharField(primary_key=True, max_length=64)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    verifiers = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)
    redeemed_at = models.DateTimeField(null=True)


class EnforcementPoint(models.Model):
    """A process that runs governed sessions; silent for 30 s, its sessions count as ended."""

    ep = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=20, blank=True)
    address = models.CharField(max_length=200, blank=True)
    last_seen_at = models.DateTimeField()


class LiveSession(Record):
    """One governed session, from its grant to its end."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="live_sessions")
    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, related_name="live_sessions"
    )
    route = models.CharField(max_length=20)
    client_address = models.CharField(max_length=64, blank=True)
    client_program = models.CharField(max_length=300, blank=True)
    ep = models.CharField(max_length=200, db_index=True)
    opened_at = models.DateTimeField()
    state = models.CharField(max_length=20, default="idle")
    statement_id = models.CharField(max_length=64, blank=True)
    statement = models.TextField(blank=True)
    statement_since = models.DateTimeField(null=True)
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    proxy_token = models.ForeignKey(
        ProxyToken, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+")
    web_session = models.ForeignKey(
        WebSession, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    end_reason = models.CharField(max_length=40, blank=True)
    end_message = models.TextField(blank=True)
    cancel_requested_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, db_index=True)
    ended_reason = models.CharField(max_length=40, blank=True)
    ended_detail = models.TextField(blank=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "session"

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """Live ones: all for those who may see sessions, else one's own."""
        live = Q(ended_at=None)
        return live if principal.may("sessions.view") else live & Q(user=principal.user)
