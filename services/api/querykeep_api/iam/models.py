"""People, groups, roles, and everything that a person signs in with."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from querykeep_api.kernel.ids import ID_LENGTH, new_id
from querykeep_api.kernel.models import Record, ScopedManager

if TYPE_CHECKING:
    from querykeep_api.kernel.principal import Principal


class User(Record):
    """A person (or service account). ``username_key`` is the name without regard to case."""

    username = models.CharField(max_length=150)
    username_key = models.CharField(max_length=150, unique=True)
    display_name = models.CharField(max_length=200, blank=True)
    email = models.CharField(max_length=254, blank=True)
    language = models.CharField(max_length=10, default="en")
    theme = models.CharField(max_length=10, default="system")
    is_active = models.BooleanField(default=True)
    deactivation_reason = models.TextField(blank=True)
    password_hash = models.CharField(max_length=255, blank=True)
    password_changed_at = models.DateTimeField(null=True)
    must_change_password = models.BooleanField(default=False)
    temporary_password_until = models.DateTimeField(null=True)
    failed_sign_ins = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    locked_until = models.DateTimeField(null=True)
    last_sign_in_at = models.DateTimeField(null=True)

    # Declared first: the default manager, also for relations. Views use ``objects``.
    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    is_authenticated = True
    is_anonymous = False

    class Meta:
        ordering = ("username_key",)
        verbose_name = "user"

    def __str__(self) -> str:
        return self.username

    @property
    def name(self) -> str:
        """The name in references."""
        return self.username

    def is_locked(self, now: datetime) -> bool:
        """Return whether sign-in is locked at ``now``."""
        return self.locked_until is not None and self.locked_until > now

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """Everyone for those who may see people (or set policy for them), else himself."""
        if principal.may("users.view") or principal.may("policy.view"):
            return Q()
        return Q(pk=principal.user.pk)


class PasswordRecord(models.Model):
    """A former password's hash, so that it is not taken again."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="former_passwords")
    password_hash = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)


class Group(Record):
    """People who hold grants, rules and roles together."""

    name = models.CharField(max_length=150)
    name_key = models.CharField(max_length=150, unique=True)
    description = models.TextField(blank=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="groups"
    )

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("name_key",)
        verbose_name = "group"

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """All for those who may see people (or set policy for them), else his own."""
        if principal.may("users.view") or principal.may("policy.view"):
            return Q()
        return Q(memberships__user=principal.user)


class Membership(models.Model):
    """A person in a group. ``source`` tells manual members from those that a directory set."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    source = models.CharField(max_length=40, default="manual")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("group", "user", "source"), name="iam_member_once"),
        )


class Role(Record):
    """A named set of permissions on Querykeep itself; never gives access to data."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    permissions = models.JSONField(default=list)
    is_builtin = models.BooleanField(default=False)
    users: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        User, related_name="roles", blank=True
    )
    groups: models.ManyToManyField[Group, models.Model] = models.ManyToManyField(
        Group, related_name="roles", blank=True
    )

    class Meta:
        ordering = ("name",)
        verbose_name = "role"

    def __str__(self) -> str:
        return self.name


class WebSession(models.Model):
    """A signed-in browser. The cookie's key is stored as its SHA-256 only."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    key_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="web_sessions")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=64, blank=True)
    program = models.CharField(max_length=300, blank=True)


class ApiToken(Record):
    """A token for scripts: SHA-256 of 256 random bits; scopes cut the person's permissions."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=150)
    prefix = models.CharField(max_length=20)
    secret_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "API token"

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """His own; an owner (who may change roles) sees all."""
        return Q() if principal.may("roles.change") else Q(user=principal.user)


class OwnerLink(models.Model):
    """A one-time link that makes the first owner of an installation."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    secret_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class AgentLogin(models.Model):
    """One ``qk login`` in progress. ``login_id`` comes from the agent (128 random bits)."""

    class State(models.TextChoices):
        """Where it stands; ``expired`` follows from the time and is never stored."""

        WAITING = "waiting"
        CONFIRMED = "confirmed"
        DENIED = "denied"
        REDEEMED = "redeemed"

    login_id = models.CharField(primary_key=True, max_length=32)
    code_challenge = models.CharField(max_length=128)
    agent_key = models.CharField(max_length=64)
    mode = models.CharField(max_length=10)
    machine = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=64, blank=True)
    redirect_port = models.PositiveIntegerField(null=True)
    user_code_hash = models.CharField(max_length=64, blank=True, db_index=True)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")


class DeviceCodeTry(models.Model):
    """A wrong short code that someone typed: what the rate limit counts."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_index=True)


class Agent(Record):
    """A signed-in agent: one machine of one person, bound to its Ed25519 key."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="agents")
    machine = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=64, blank=True)
    agent_key = models.CharField(max_length=64)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "agent"

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """His own; an owner (who may change roles) sees all. Revoked ones are gone."""
        return Q(revoked_at=None) & (
            Q() if principal.may("roles.change") else Q(user=principal.user)
        )


class AgentCredential(models.Model):
    """A refresh or access token of an agent, by hash. ``used_at``: when an access token came first,
    which shows that the rotation which made it has arrived."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=10)
    secret_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    spent_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
