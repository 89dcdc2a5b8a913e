"""Who may grant what to whom. Each ``access_*`` returns or raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querykeep_api.dbam.models import Rule
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
