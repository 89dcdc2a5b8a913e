"""Access, masking and statement rules."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from querykeep_api.dbam.models.connections import Connection
from querykeep_api.iam.facade import Group, User
from querykeep_api.kernel.models import Record


class RuleNumber(models.Model):
    """The last number given to a kind of rule. Numbers are never given twice: the audit log names
    rules by them."""

    kind = models.CharField(primary_key=True, max_length=20)
    last = models.PositiveIntegerField(default=0)


class Rule(Record):
    """What the three kinds have in common. No connection named means all connections."""

    letter: ClassVar[str]
    kind: ClassVar[str]

    number = models.PositiveIntegerField(unique=True, editable=False)
    name = models.CharField(max_length=200)
    connections: models.ManyToManyField[Connection, models.Model] = models.ManyToManyField(
        Connection, blank=True, related_name="+"
    )
    objects_json = models.JSONField(default=list)
    everyone = models.BooleanField(default=False)
    users: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        User, blank=True, related_name="+"
    )
    groups: models.ManyToManyField[Group, models.Model] = models.ManyToManyField(
        Group, blank=True, related_name="+"
    )
    exempt_users: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        User, blank=True, related_name="+"
    )
    exempt_groups: models.ManyToManyField[Group, models.Model] = models.ManyToManyField(
        Group, blank=True, related_name="+"
    )
    is_enabled = models.BooleanField(default=True)

    class Meta:
        abstract = True
        ordering = ("number",)

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def code(self) -> str:
        """The short name that people quote, such as M-17."""
        return f"{self.letter}-{self.number}"


class AccessRule(Rule):
    """Refuses tables or columns."""

    letter = "A"
    kind = "access_rule"

    class Meta(Rule.Meta):
        verbose_name = "access rule"


class MaskingRule(Rule):
    """Masks columns."""

    letter = "M"
    kind = "masking_rule"

    masker = models.JSONField(default=dict)
    relaxations = models.JSONField(default=list)

    class Meta(Rule.Meta):
        verbose_name = "masking rule"


class StatementRule(Rule):
    """Refuses or allows statements by their shape."""

    letter = "S"
    kind = "statement_rule"

    check_kind = models.CharField(max_length=40)
    effect = models.CharField(max_length=20, default="deny")
    values = models.JSONField(default=list)
    priority = models.IntegerField(default=100)

    class Meta(Rule.Meta):
        verbose_name = "statement rule"
