"""What the demo seed may do with people: bring accounts and tokens to what a file says."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from querykeep_api.iam.actions import (
    do_change_user,
    do_create_group,
    do_create_user,
    do_set_groups,
    do_set_role_holders,
    do_unlock_user,
)
from querykeep_api.iam.models import ApiToken, Group, Role, User
from querykeep_api.iam.passwords import hash_password, verify_password
from querykeep_api.iam.tokens import do_create_api_token
from querykeep_api.iam.web_sessions import end_sessions
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import InvalidInput
from querykeep_api.kernel.permissions import SCOPES

ALL_SCOPES = "*"


@transaction.atomic
def do_seed_user(
    *,
    username: str,
    password: str,
    display_name: str,
    email: str,
    language: str,
    roles: Sequence[str],
    groups: Sequence[str],
) -> User:
    """Make a person, or bring one back: active, unlocked, with this password, roles and groups."""
    fields = {"display_name": display_name, "email": email, "language": language}
    user = User.everything.filter(username_key=username.casefold()).first()
    if user is None:
        user = do_create_user(username=username, password=password, **fields, acting_user=None)
    else:
        do_change_user(user, {**fields, "is_active": True}, acting_user=None)
        if user.is_locked(clock.now()):
            do_unlock_user(user, acting_user=None)
        if user.must_change_password or not verify_password(user.password_hash, password):
            user.password_hash = hash_password(password)
            user.password_changed_at = clock.now()
            user.must_change_password = False
            user.temporary_password_until = None
            user.save()
            end_sessions(user)
    for name in roles:
        role = Role.objects.filter(name=name).first()
        if role is None:
            raise InvalidInput(f"there is no role {name!r}")
        if not role.users.filter(pk=user.pk).exists():
            do_set_role_holders(role, users=[*role.users.all(), user], acting_user=None)
    if groups:
        wanted = [group_named(name) for name in groups]
        present = list(user.groups.filter(memberships__source="manual"))
        do_set_groups(user, [*present, *wanted], acting_user=None)
    return user


def group_named(name: str) -> Group:
    """Return the group of a name, made when it is missing."""
    found = Group.everything.filter(name_key=name.casefold()).first()
    return found if found is not None else do_create_group(name=name, acting_user=None)


@transaction.atomic
def do_seed_api_token(user: User, *, name: str, scopes: Sequence[str], renew: bool) -> str | None:
    """Make a token when there is none of that name (or all are to be renewed); return its secret,
    or None when the present one stays."""
    present = ApiToken.everything.filter(user=user, name=name)
    if present.exists() and not renew:
        return None
    present.delete()
    wanted = tuple(SCOPES) if ALL_SCOPES in scopes else tuple(scopes)
    return do_create_api_token(user, name=name, scopes=wanted, acting_user=None)[1]
