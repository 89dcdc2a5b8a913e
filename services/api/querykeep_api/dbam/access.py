"""Who may grant what to whom. Each ``access_*`` returns or raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querykeep_api.dbam.models import Grant, Privilege, Rule
from querykeep_api.iam.facade import Group, User, groups_of, is_owner
from querykeep_api.kernel.errors import Forbidden
from querykeep_api.kernel.principal import Principal


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


def access_loosen(principal: Principal, rule: Rule, data: Mapping[str, Any] | None) -> None:
    """Keep policy administrators from loosening a rule that binds themselves; an owner may.

    Args:
        data: The change; None deletes the rule.

    Raises:
        Forbidden: The rule binds the person where he holds a grant, and would bind him less.
    """
    if is_owner(principal) or not _binds(rule, principal.user) or not _loosens(rule, data):
        return
    raise Forbidden(
        f"The rule {rule.code} binds you yourself: no one loosens such a rule. "
        "Ask another administrator.",
        code="self_grant",
    )


def _binds(rule: Rule, person: User) -> bool:
    mine = {group.id for group in groups_of(person)}

    def names(users: Any, groups: Any) -> bool:
        in_group = groups.filter(pk__in=mine).exists()
        return bool(in_group or users.filter(pk=person.pk).exists())

    if not rule.is_enabled or not (rule.everyone or names(rule.users, rule.groups)):
        return False
    if names(rule.exempt_users, rule.exempt_groups):
        return False
    held = Grant.of_person(person.pk)
    covered = list(rule.connections.values_list("pk", flat=True))
    return (held.filter(connection_id__in=covered) if covered else held).exists()


def _loosens(rule: Rule, data: Mapping[str, Any] | None) -> bool:
    """Return whether a change lets a bound person do more: what only adds is no loosening."""
    if data is None or data.get("is_enabled") is False:
        return True
    if rule.everyone and data.get("everyone") is False:
        return True
    for name in ("users", "groups", "connections"):
        present = set(getattr(rule, name).values_list("pk", flat=True))
        wanted = {item.pk for item in data[name]} if name in data else present
        # No connections means all of them.
        narrowed = wanted and (present - wanted or not present)
        if narrowed if name == "connections" else present - wanted:
            return True
    objects = data.get("objects_json")
    if objects is not None and any(item not in objects for item in rule.objects_json):
        return True
    fixed = ("masker", "relaxations", "check_kind", "effect", "values", "priority")
    return any(name in data and data[name] != getattr(rule, name) for name in fixed)
