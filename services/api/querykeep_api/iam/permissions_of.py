"""Which permissions a person holds, through his own roles and his groups'."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from querykeep_api.iam.models import Role, User
from querykeep_api.kernel.permissions import PERMISSIONS

OWNER_ROLE = "owner"


def permissions_of(user: User) -> frozenset[str]:
    """Return the permissions of a person; unknown names in a role count for nothing."""
    if not user.is_active:
        return frozenset()
    rows = Role.objects.filter(Q(users=user) | Q(groups__memberships__user=user)).values_list(
        "permissions", flat=True
    )
    return known(name for row in rows for name in row)


def known(names: Iterable[str]) -> frozenset[str]:
    """Return those names that are permissions."""
    return frozenset(names) & frozenset(PERMISSIONS)
