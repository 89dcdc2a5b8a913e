"""Who may grant what to whom. Each ``access_*`` returns or raises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from querykeep_api.dbam.models import Grant, Privilege, Rule
from querykeep_api.iam.facade import Group, User, groups_of, is_owner
from querykeep_api.kernel.errors import Forbidden
from querykeep_api.kernel.principal import Principal
from querykeep_guard.contracts.policy import RuleEffect


def access_grant(principal: Principal, user: User | None, group: Group | None) -> None:
    """Keep policy administrators from granting themselves data; an owner may.

    Raises:
        Forbidden: The grant is for the person himself or for a group of his.
    """
    if is_owner(principal):
        return
    me = principal.user
    own_group = group is not None and any(item.id == group.pk for item in groups_of(me))
    if own_group or (user is not None and user.pk == me.pk):
        raise Forbidden(
            "No one grants himself access to data. Ask another administrator.", code="self_grant"
        )


def access_exempt(principal: Principal, rule: Rule | None, data: Mapping[str, Any]) -> None:
    """Keep policy administrators from exempting themselves from a rule; an owner may.

    Raises:
        Forbidden: An exemption is added for the person himself or for a group of his.
    """
    if is_owner(principal):
        return
    users = {user.pk for user in data.get("exempt_users", ())}
    groups = {group.pk for group in data.get("exempt_groups", ())}
    if rule is not None:
        users -= set(rule.exempt_users.values_list("pk", flat=True))
        groups -= set(rule.exempt_groups.values_list("pk", flat=True))
    own_groups = {item.id for item in groups_of(principal.user)} if groups else set()
    if principal.user.pk in users or groups & own_groups:
        raise Forbidden(
            "No one exempts himself from a rule. Ask another administrator.", code="self_grant"
        )


def access_privilege(principal: Principal, privilege: Privilege, data: Mapping[str, Any]) -> None:
    """Keep policy administrators from widening what they hold themselves; an owner may.

    Raises:
        Forbidden: The person holds a grant with this privilege, and more would be allowed by it.
    """
    gained = set(data.get("kinds", ())) - set(privilege.kinds)
    gained |= set(data.get("functions", ())) - set(privilege.functions)
    if is_owner(principal) or not gained:
        return
    if Grant.of_person(principal.user.pk).filter(privilege=privilege).exists():
        raise Forbidden(
            "No one widens a privilege that he holds himself. Ask another administrator.",
            code="self_grant",
        )


def access_loosen(principal: Principal, rule: Rule | None, data: Mapping[str, Any] | None) -> None:
    """Keep policy administrators from loosening what binds themselves; an owner may.

    A rule that refuses or masks binds less when it is narrowed, switched off or deleted; a rule
    that allows stands before denials of later priority, so making or widening one loosens as well.

    Args:
        rule: What is changed; None makes a rule.
        data: The change; None deletes the rule.

    Raises:
        Forbidden: The person would be bound less where he holds a grant.
    """
    if is_owner(principal):
        return
    person = principal.user
    if rule is not None and not _allows(rule, {}) and _Reach.of(rule, {}).covers(person):
        is_loosened = data is None or _binds_less(rule, data)
    else:
        is_loosened = False
    if data is not None and _allows(rule, data) and _Reach.of(rule, data).covers(person):
        is_loosened = is_loosened or rule is None or bool(_changed(rule, data) - {"name"})
    if is_loosened:
        what = f"The rule {rule.code}" if rule is not None else "The rule"
        raise Forbidden(
            f"{what} concerns you yourself: no one loosens what binds him. "
            "Ask another administrator.",
            code="self_grant",
        )


_LINKS = ("users", "groups", "exempt_users", "exempt_groups", "connections")


@dataclass(frozen=True, slots=True)
class _Reach:
    """Whom a rule concerns and where (ids; no connections = all of them)."""

    is_enabled: bool
    everyone: bool
    users: frozenset[str]
    groups: frozenset[str]
    exempt_users: frozenset[str]
    exempt_groups: frozenset[str]
    connections: frozenset[str]

    @staticmethod
    def of(rule: Rule | None, data: Mapping[str, Any]) -> _Reach:
        """Return the reach of a rule as ``data`` would leave it."""
        return _Reach(
            is_enabled=data.get("is_enabled", rule.is_enabled if rule is not None else True),
            everyone=data.get("everyone", rule.everyone if rule is not None else False),
            **{name: _linked(rule, data, name) for name in _LINKS},
        )

    def covers(self, person: User) -> bool:
        """Return whether it concerns a person where he holds a grant."""
        mine = {group.id for group in groups_of(person)}
        if not self.is_enabled or person.pk in self.exempt_users or mine & self.exempt_groups:
            return False
        if not (self.everyone or person.pk in self.users or mine & self.groups):
            return False
        held = Grant.of_person(person.pk)
        if self.connections:
            held = held.filter(connection_id__in=self.connections)
        return held.exists()


def _linked(rule: Rule | None, data: Mapping[str, Any], name: str) -> frozenset[str]:
    if name in data:
        return frozenset(item.pk for item in data[name])
    if rule is None:
        return frozenset()
    return frozenset(getattr(rule, name).values_list("pk", flat=True))


def _allows(rule: Rule | None, data: Mapping[str, Any]) -> bool:
    effect = data.get("effect", getattr(rule, "effect", RuleEffect.DENY.value))
    return bool(effect == RuleEffect.ALLOW.value)


def _changed(rule: Rule, data: Mapping[str, Any]) -> set[str]:
    """Return the names of what differs in a change."""
    return {
        name
        for name in data
        if (
            _linked(rule, {}, name) != _linked(rule, data, name)
            if name in _LINKS
            else getattr(rule, name) != data[name]
        )
    }


def _binds_less(rule: Rule, data: Mapping[str, Any]) -> bool:
    """Return whether a change lets a bound person do more: what only adds is no loosening."""
    changed = _changed(rule, data)
    if changed & {"masker", "relaxations", "check_kind", "effect", "values", "priority"}:
        return True
    if any(name in changed and data[name] is False for name in ("is_enabled", "everyone")):
        return True
    if any(_linked(rule, {}, name) - _linked(rule, data, name) for name in ("users", "groups")):
        return True
    before, after = _linked(rule, {}, "connections"), _linked(rule, data, "connections")
    return _is_narrowed(before, after) or (
        "objects_json" in changed and _is_narrowed(rule.objects_json, data["objects_json"])
    )


def _is_narrowed(before: Collection[object], after: Collection[object]) -> bool:
    """Return whether places fall out of a rule; none named means all of them."""
    if not after:
        return False
    return not before or any(item not in after for item in before)
