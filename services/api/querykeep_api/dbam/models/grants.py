"""Privileges and grants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from querykeep_api.dbam.models.connections import Connection
from querykeep_api.iam.facade import Group, User
from querykeep_api.kernel import clock
from querykeep_api.kernel.models import Record, ScopedManager

if TYPE_CHECKING:
    from querykeep_api.kernel.principal import Principal


EVERYTHING: Mapping[str, str] = {"schema": "*", "table": "*"}


def everything() -> list[dict[str, str]]:
    """Return the patterns of a grant over the whole database."""
    return [dict(EVERYTHING)]


class Privilege(Record):
    """A named set of statement kinds and editor functions."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    kinds = models.JSONField(default=list)
    functions = models.JSONField(default=list)
    is_builtin = models.BooleanField(default=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "privilege"

    def __str__(self) -> str:
        return self.name


UNUSED = Q(is_dormant=True) | Q(is_asleep=True)
"""Grants that nobody has used for long."""


class Grant(Record):
    """A privilege for one person or one group on one connection, over some objects, for a time."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="grants")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="grants")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="grants")
    privilege = models.ForeignKey(Privilege, on_delete=models.PROTECT, related_name="grants")
    objects_json = models.JSONField(default=everything)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True, db_index=True)
    hours = models.JSONField(null=True)
    # Reported as unused; it holds all the same until it is put to sleep as well.
    is_dormant = models.BooleanField(default=False)
    is_asleep = models.BooleanField(default=False)
    last_used_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    expiry_noted_at = models.DateTimeField(null=True)

    everything: ClassVar[models.Manager[Self]] = models.Manager()
    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        ordering = ("-id",)
        verbose_name = "grant"
        constraints = (
            models.CheckConstraint(
                condition=Q(user=None, group__isnull=False) | Q(user__isnull=False, group=None),
                name="dbam_grant_one_holder",
            ),
        )

    def state(self, now: datetime) -> str:
        """Return active, scheduled, expired or dormant at ``now``."""
        if self.valid_until is not None and self.valid_until <= now:
            return "expired"
        if self.is_dormant or self.is_asleep:
            return "dormant"
        if self.valid_from is not None and self.valid_from > now:
            return "scheduled"
        return "active"

    @classmethod
    def of_person(cls, user_id: str) -> models.QuerySet[Grant]:
        """Return the grants of a person and of his groups, whatever their state."""
        return Grant.everything.filter(
            Q(user_id=user_id)
            | Q(group_id__in=Group.everything.filter(memberships__user_id=user_id).values("pk"))
        )

    @classmethod
    def holding(cls, user_id: str) -> models.QuerySet[Grant]:
        """Return a person's grants that hold now (their hours apart)."""
        now = clock.now()
        return cls.of_person(user_id).filter(
            Q(valid_from=None) | Q(valid_from__lte=now),
            Q(valid_until=None) | Q(valid_until__gt=now),
            is_asleep=False,
        )

    @staticmethod
    def visible_filter(principal: Principal) -> Q:
        """All for those who may see policy; else his own and his groups'."""
        if principal.may("policy.view"):
            return Q()
        mine = Group.everything.filter(memberships__user=principal.user).values("pk")
        return Q(user=principal.user) | Q(group_id__in=mine)
