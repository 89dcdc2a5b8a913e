"""Which permissions a person holds, through his own roles and his groups'."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from querykeep_api.iam.models import Role, User
from querykeep_api.kernel.permissions import OWN_PERMISSIONS, PERMISSIONS, SCOPES

OWNER_ROLE = "owner"


def permissions_of(user: User) -> frozenset[str]:
    """Return what a person may do: what his roles confer, and what is everyone's over his own."""
    return conferred_on(user) | frozenset(OWN_PERMISSIONS) if user.is_active else frozenset()


def conferred_on(user: User) -> frozenset[str]:
    """Return what a person's roles confer while he is active, whether he is or not; unknown names
    in a role count for nothing."""
    rows = Role.objects.filter(Q(users=user) | Q(groups__memberships__user=user)).values_list(
        "permissions", flat=True
    )
    return frozenset(name for row in rows for name in row) & frozenset(PERMISSIONS)


def known(names: Iterable[str]) -> frozenset[str]:
    """Return those names that are permissions or scopes."""
    return frozenset(names) & frozenset(SCOPES)
