"""Who may do what to people, groups and roles. Each ``access_*`` returns or raises."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from querykeep_api.iam.models import ApiToken, Group, Role, User
from querykeep_api.iam.permissions_of import OWNER_ROLE, conferred_on, known
from querykeep_api.kernel.errors import Conflict, Forbidden, NotSignedIn
from querykeep_api.kernel.permissions import PERMISSIONS
from querykeep_api.kernel.principal import CredentialKind, Principal

ALL_PERMISSIONS = frozenset(PERMISSIONS)


def is_owner(principal: Principal) -> bool:
    """Return whether a request carries every permission: nothing could raise him further."""
    return principal.permissions >= ALL_PERMISSIONS


def access_confer(principal: Principal, permissions: Iterable[str], what: str) -> None:
    """Let a person give (or take) only permissions that he holds himself.

    Raises:
        Forbidden: ``what`` would confer a permission beyond his own.
    """
    beyond = known(permissions) - principal.permissions
    if beyond:
        raise Forbidden(
            f"{what} carries permissions that you do not hold: {', '.join(sorted(beyond))}. "
            "Ask an owner of Querykeep.",
            code="cannot_raise",
        )


def access_lifetime(principal: Principal, expires_at: datetime | None) -> None:
    """Let an API token make no token (and make itself none) that is good for longer than it is.

    Args:
        expires_at: The end of what is made or changed; None = never.

    Raises:
        Forbidden: It would outlive the token of this request.
    """
    if principal.kind is not CredentialKind.API_TOKEN:
        return
    token = ApiToken.everything.filter(pk=principal.credential_id).first()
    if token is None:
        raise NotSignedIn("The API token was revoked meanwhile.", code="bad_token")
    ends = token.expires_at
    if ends is not None and (expires_at is None or expires_at > ends):
        text = f"A token gives no longer life than its own, which ends {ends.isoformat()}."
        raise Forbidden(text, code="cannot_raise", fields={"expires_at": [text]})


def access_change_user(principal: Principal, target: User) -> None:
    """Let a person change another's account only if that one holds no more than he does: who can
    reset a password can become its person. A deactivated account counts as what it would be again.

    Raises:
        Forbidden: The target holds more.
    """
    if target.pk != principal.user.pk:
        access_confer(principal, conferred_on(target), f"The account {target.username}")


def access_delete_user(principal: Principal, target: User) -> None:
    """Keep a person from deleting the account that he is signed in with.

    Raises:
        Conflict: It is his own.
    """
    if target.pk == principal.user.pk:
        raise Conflict(
            "No one deletes his own account. Ask another administrator.", code="own_account"
        )


def access_change_roles(principal: Principal, roles: Iterable[Role]) -> None:
    """Check a change of who holds ``roles``; needs ``roles.change`` and every permission in them.

    Raises:
        Forbidden: The permission is lacking, or the roles carry more than the person holds.
    """
    roles = list(roles)
    if roles and not principal.may("roles.change"):
        raise Forbidden(
            "Changing who holds a role needs the permission roles.change.",
            code="permission_needed",
        )
    for role in roles:
        access_confer(principal, role.permissions, f"The role {role.name}")


def access_change_members(principal: Principal, group: Group, changed: Iterable[User]) -> None:
    """Check a change of a group's members.

    A group may carry roles, so the members gain its permissions; and it may carry grants on data,
    so only an owner adds or removes himself.

    Raises:
        Forbidden: A role of the group carries more than the person holds, or he changes himself.
    """
    changed = list(changed)
    if not changed:
        return
    for role in group.roles.all():
        access_confer(principal, role.permissions, f"The group {group.name}")
    if not is_owner(principal) and any(user.pk == principal.user.pk for user in changed):
        raise Forbidden(
            "No one changes his own membership of a group. Ask another administrator.",
            code="cannot_raise",
        )


def is_held_by(holder: User | Group) -> bool:
    """Return whether the owner role is this group's, or this person's in any way."""
    if isinstance(holder, Group):
        return holder.roles.filter(name=OWNER_ROLE).exists()
    held = Q(users=holder) | Q(groups__memberships__user=holder)
    return Role.objects.filter(held, name=OWNER_ROLE).exists()


def keep_an_owner() -> None:
    """Raise Conflict when no active person would hold the owner role after the present write."""
    # Two owners who take the role from each other at once would each still see the other.
    Role.objects.select_for_update().filter(name=OWNER_ROLE).values_list("pk").first()
    owners = User.everything.filter(is_active=True).filter(
        Q(roles__name=OWNER_ROLE) | Q(memberships__group__roles__name=OWNER_ROLE)
    )
    if not owners.exists():
        raise Conflict(
            "This would leave Querykeep without an active owner. Make another person owner first.",
            code="last_owner",
        )
