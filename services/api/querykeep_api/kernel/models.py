"""The base of all records, the outbox of admin events, and the policy version."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.db import models
from django.db.models import F

from querykeep_api.kernel.ids import ID_LENGTH, new_id

M = TypeVar("M", bound=models.Model)


class UnscopedQueryError(RuntimeError):
    """Code asked a scoped model for rows without saying for whom."""


class ScopedManager(models.Manager[M], Generic[M]):
    """The default manager of what people may see in part only.

    ``Model.objects.visible_to(principal)`` is the only way through it; every other query raises, so
    that a forgotten scope is an error and not a leak. Code that acts for the system itself says so
    with ``Model.everything``.
    """

    def get_queryset(self) -> models.QuerySet[M]:
        """Refuse: the scope is missing."""
        raise UnscopedQueryError(
            f"{self.model.__name__}.objects needs visible_to(principal); "
            f"the system itself uses {self.model.__name__}.everything"
        )

    def visible_to(self, principal: Any) -> models.QuerySet[M]:
        """Return what ``principal`` may see; the model's ``visible_filter`` says what that is."""
        queryset: models.QuerySet[M] = super().get_queryset()
        condition = self.model.visible_filter(principal)  # type: ignore[attr-defined]  # each scoped model has it
        return queryset.filter(condition)


class Record(models.Model):
    """A row with an opaque id and a revision, which is its entity tag."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)
    revision = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        abstract = True

    @property
    def etag(self) -> str:
        """The entity tag as it stands in entries and in the ETag header (without quotes)."""
        return f"r{self.revision}"

    def raise_revision(self) -> None:
        """Count one change; each ``do_*`` that changes a record calls it in its transaction."""
        type(self)._base_manager.filter(pk=self.pk).update(revision=F("revision") + 1)
        self.revision += 1


class OutboxEvent(models.Model):
    """An admin event, written in the transaction that made it true and moved to the audit store
    at least once (``auditlog`` de-duplicates by id)."""

    id = models.CharField(primary_key=True, max_length=ID_LENGTH, default=new_id)
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=80)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    subject_kind = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    subject_name = models.CharField(max_length=300, blank=True)
    connection_id = models.CharField(max_length=64, blank=True)
    summary = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    delivered_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ("id",)


class PolicyVersion(models.Model):
    """One row. Raised inside the transaction of every write that can change a policy; its row lock
    makes versions visible in order, which a sequence would not."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    value = models.BigIntegerField(default=0)


class PolicyChange(models.Model):
    """What a policy version was about: ``user``, ``connection``, ``session`` or ``all``."""

    version = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=16)
    subject_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)


class SeedMark(models.Model):
    """What the demo seed made once, so that it does not bring back what a person deleted."""

    key = models.CharField(primary_key=True, max_length=300)
    at = models.DateTimeField(auto_now_add=True)
