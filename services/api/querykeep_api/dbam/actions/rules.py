"""Makes, changes and deletes access, masking and statement rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F

from querykeep_api.dbam.models import Rule, RuleNumber
from querykeep_api.iam.facade import User
from querykeep_api.kernel.outbox import SubjectRef, differences, record
from querykeep_api.kernel.policy_version import raise_version

R = TypeVar("R", bound=Rule)

PLAIN = (
    "name", "objects_json", "everyone", "is_enabled", "masker", "relaxations", "check_kind",
    "effect", "values", "priority",
)  # fmt: skip
LINKS = ("connections", "users", "groups", "exempt_users", "exempt_groups")


def rule_subject(rule: Rule) -> SubjectRef:
    """Return how events name a rule."""
    return SubjectRef(rule.kind, rule.pk, f"{rule.name} ({rule.code})")


@transaction.atomic
def do_create_rule(model: type[R], data: Mapping[str, Any], *, acting_user: User | None) -> R:
    """Make a rule with the next number of its kind."""
    rule = model._base_manager.create(
        number=_next_number(model), **{name: data[name] for name in PLAIN if name in data}
    )
    _set_links(rule, data)
    raise_version("all")
    record(
        f"{rule.kind}.created",
        actor=acting_user,
        subject=rule_subject(rule),
        summary=f"Added the rule {rule}",
        after=snapshot(rule),
    )
    return rule


@transaction.atomic
def do_change_rule(rule: Rule, data: Mapping[str, Any], *, acting_user: User | None) -> None:
    """Change a rule."""
    before = snapshot(rule)
    for name in PLAIN:
        if name in data:
            setattr(rule, name, data[name])
    _set_links(rule, data)
    changed_before, changed_after = differences(before, snapshot(rule))
    if not changed_after:
        return
    rule.save()
    rule.raise_revision()
    raise_version("all")
    record(
        f"{rule.kind}.changed",
        actor=acting_user,
        subject=rule_subject(rule),
        summary=f"Changed the rule {rule}: {', '.join(changed_after)}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_rule(rule: Rule, *, acting_user: User | None) -> None:
    """Delete a rule; its number is not given again."""
    subject, before, kind = rule_subject(rule), snapshot(rule), rule.kind
    rule.delete()
    raise_version("all")
    record(
        f"{kind}.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the rule {subject.name}",
        before=before,
    )


def snapshot(rule: Rule) -> dict[str, Any]:
    """Return what a rule says, for events and comparison."""
    plain = {name: getattr(rule, name) for name in PLAIN if hasattr(rule, name)}
    links = {name: sorted(str(item) for item in getattr(rule, name).all()) for name in LINKS}
    return {**plain, **links}


def _next_number(model: type[Rule]) -> int:
    RuleNumber.objects.get_or_create(kind=model.kind)
    RuleNumber.objects.filter(kind=model.kind).update(last=F("last") + 1)
    return RuleNumber.objects.values_list("last", flat=True).get(kind=model.kind)


def _set_links(rule: Rule, data: Mapping[str, Any]) -> None:
    for name in LINKS:
        if name in data:
            getattr(rule, name).set(data[name])
