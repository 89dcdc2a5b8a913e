"""Writes to people, groups and roles, each with its event in the outbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import transaction

from querykeep_api.iam.access import is_held_by, keep_an_owner
from querykeep_api.iam.models import Group, Membership, Role, User
from querykeep_api.iam.passwords import hash_password
from querykeep_api.iam.permissions_of import OWNER_ROLE
from querykeep_api.iam.web_sessions import end_sessions
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import Conflict, InvalidInput, NotFound
from querykeep_api.kernel.models import Record
from querykeep_api.kernel.outbox import SubjectRef, differences, record
from querykeep_api.kernel.permissions import PERMISSIONS
from querykeep_api.kernel.policy_version import raise_version

USER_FIELDS = (
    "username", "display_name", "email", "language", "theme", "is_active", "deactivation_reason",
)  # fmt: skip


def user_subject(user: User) -> SubjectRef:
    """Return how events name a person."""
    return SubjectRef("user", user.pk, user.username)


def group_subject(group: Group) -> SubjectRef:
    """Return how events name a group."""
    return SubjectRef("group", group.pk, group.name)


def role_subject(role: Role) -> SubjectRef:
    """Return how events name a role."""
    return SubjectRef("role", role.pk, role.name)


def lock_user(user: User) -> None:
    """Read a person's row anew and lock it until the transaction ends: what another request wrote
    since it was read, such as a deactivation, is not written back.

    Raises:
        NotFound: The account was deleted meanwhile.
    """
    try:
        user.refresh_from_db(from_queryset=User.everything.select_for_update())
    except User.DoesNotExist as error:
        raise NotFound("The account was deleted meanwhile.") from error


@transaction.atomic
def do_create_user(
    *,
    username: str,
    display_name: str = "",
    email: str = "",
    language: str = "en",
    theme: str = "system",
    password: str | None = None,
    acting_user: User | None,
) -> User:
    """Make a person; without a password he cannot sign in until he is given a temporary one.

    Raises:
        InvalidInput: The user name is taken (without regard to case).
    """
    _check_free(User, "username_key", username, field="username")
    user = User.everything.create(
        username=username,
        username_key=username.casefold(),
        display_name=display_name,
        email=email,
        language=language,
        theme=theme,
        password_hash=hash_password(password) if password else "",
        password_changed_at=clock.now() if password else None,
    )
    record(
        "user.created",
        actor=acting_user,
        subject=user_subject(user),
        summary=f"Added the user {username}",
        after={name: getattr(user, name) for name in USER_FIELDS},
    )
    return user


@transaction.atomic
def do_change_user(user: User, changes: Mapping[str, Any], *, acting_user: User | None) -> None:
    """Change a person's fields (names in ``USER_FIELDS``). Deactivating ends all his sessions.

    Raises:
        InvalidInput: The user name is taken, or a deactivation gives no reason.
        Conflict: He is the last owner.
    """
    lock_user(user)
    before = {name: getattr(user, name) for name in USER_FIELDS}
    for name in USER_FIELDS:
        if name in changes:
            setattr(user, name, changes[name])
    changed_before, changed_after = differences(
        before, {name: getattr(user, name) for name in USER_FIELDS}
    )
    if not changed_after:
        return
    if "username" in changed_after and user.username.casefold() != user.username_key:
        _check_free(User, "username_key", user.username, field="username")
    user.username_key = user.username.casefold()
    if user.is_active:
        user.deactivation_reason = ""
    elif "is_active" in changed_after and not user.deactivation_reason.strip():
        raise InvalidInput(
            "Say why the account is deactivated.",
            fields={"deactivation_reason": ["Say why the account is deactivated."]},
        )
    user.save()
    user.raise_revision()
    if changed_after.get("is_active") is False:
        if is_held_by(user):
            keep_an_owner()
        end_sessions(user)
    raise_version("user", user.pk)
    record(
        "user.deactivated" if changed_after.get("is_active") is False else "user.changed",
        actor=acting_user,
        subject=user_subject(user),
        summary=f"Changed the user {user.username}: {', '.join(changed_after)}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_user(user: User, *, acting_user: User | None) -> None:
    """Delete a person with his tokens, agents, grants, memberships and places in rules; what he has
    open ends within a second. Events and statements keep his id and name as they were.

    Raises:
        Conflict: He is the last owner.
    """
    subject = user_subject(user)
    before = {name: getattr(user, name) for name in USER_FIELDS}
    before["groups"] = sorted(user.groups.values_list("name", flat=True))
    before["roles"] = sorted(user.roles.values_list("name", flat=True))
    was_owner = is_held_by(user)
    user.delete()
    if was_owner:
        keep_an_owner()
    raise_version("all")
    record(
        "user.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the user {subject.name}",
        before=before,
    )


@transaction.atomic
def do_unlock_user(user: User, *, acting_user: User | None) -> None:
    """Let a locked person try again."""
    user.locked_until = None
    user.failed_sign_ins = 0
    user.failing_since = None
    user.save(update_fields=["locked_until", "failed_sign_ins", "failing_since"])
    user.raise_revision()
    raise_version("user", user.pk)
    record(
        "user.unlocked",
        actor=acting_user,
        subject=user_subject(user),
        summary=f"Unlocked the user {user.username}",
    )


@transaction.atomic
def do_set_groups(user: User, groups: Collection[Group], *, acting_user: User | None) -> None:
    """Make a person's manual memberships exactly ``groups``; those of a directory stay."""
    wanted = {group.pk: group for group in groups}
    present = {
        item.group_id: item
        for item in Membership.objects.filter(user=user, source="manual").select_related("group")
    }
    directory = set(
        Membership.objects.filter(user=user)
        .exclude(source="manual")
        .values_list("group_id", flat=True)
    )
    for group_id in wanted.keys() - present.keys() - directory:
        _add_member(wanted[group_id], user, acting_user)
    for group_id in present.keys() - wanted.keys():
        _remove_member(present[group_id], user, acting_user)


@transaction.atomic
def do_set_members(group: Group, users: Collection[User], *, acting_user: User | None) -> None:
    """Make a group's manual members exactly ``users``; those of a directory stay."""
    wanted = {user.pk: user for user in users}
    present = {
        item.user_id: item
        for item in Membership.objects.filter(group=group, source="manual").select_related(
            "user", "group"
        )
    }
    directory = set(
        Membership.objects.filter(group=group)
        .exclude(source="manual")
        .values_list("user_id", flat=True)
    )
    for user_id in wanted.keys() - present.keys() - directory:
        _add_member(group, wanted[user_id], acting_user)
    for user_id in present.keys() - wanted.keys():
        _remove_member(present[user_id], present[user_id].user, acting_user)


def _add_member(group: Group, user: User, acting_user: User | None) -> None:
    Membership.objects.create(group=group, user=user)
    _membership_changed(group, user)
    record(
        "group.member_added",
        actor=acting_user,
        subject=group_subject(group),
        summary=f"Added {user.username} to the group {group.name}",
        after={"user": user.username},
    )


def _remove_member(membership: Membership, user: User, acting_user: User | None) -> None:
    group = membership.group
    membership.delete()
    _membership_changed(group, user)
    if is_held_by(group):
        keep_an_owner()
    record(
        "group.member_removed",
        actor=acting_user,
        subject=group_subject(group),
        summary=f"Removed {user.username} from the group {group.name}",
        before={"user": user.username},
    )


def _membership_changed(group: Group, user: User) -> None:
    group.raise_revision()
    user.raise_revision()
    raise_version("user", user.pk)


@transaction.atomic
def do_create_group(*, name: str, description: str = "", acting_user: User | None) -> Group:
    """Make a group; raises InvalidInput when the name is taken."""
    _check_free(Group, "name_key", name, field="name")
    group = Group.everything.create(name=name, name_key=name.casefold(), description=description)
    record(
        "group.created",
        actor=acting_user,
        subject=group_subject(group),
        summary=f"Added the group {name}",
        after={"name": name, "description": description},
    )
    return group


@transaction.atomic
def do_change_group(group: Group, *, name: str, description: str, acting_user: User | None) -> None:
    """Change a group's name or description."""
    before = {"name": group.name, "description": group.description}
    changed_before, changed_after = differences(before, {"name": name, "description": description})
    if not changed_after:
        return
    if name.casefold() != group.name_key:
        _check_free(Group, "name_key", name, field="name")
    group.name, group.name_key, group.description = name, name.casefold(), description
    group.save()
    group.raise_revision()
    if "name" in changed_after:
        raise_version("all")
    record(
        "group.changed",
        actor=acting_user,
        subject=group_subject(group),
        summary=f"Changed the group {name}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_group(group: Group, *, acting_user: User | None) -> None:
    """Delete a group with its memberships, grants and places in rules.

    Raises:
        Conflict: The last owner is owner through it.
    """
    subject = group_subject(group)
    members = sorted(group.members.values_list("username", flat=True))
    carried_owner = is_held_by(group)
    group.delete()
    if carried_owner:
        keep_an_owner()
    raise_version("all")
    record(
        "group.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the group {subject.name}",
        before={"name": subject.name, "members": members},
    )


@transaction.atomic
def do_create_role(
    *, name: str, description: str = "", permissions: Collection[str], acting_user: User | None
) -> Role:
    """Make a role of one's own; raises InvalidInput when the name is taken."""
    if Role.objects.filter(name__iexact=name).exists():
        raise _taken("name", name)
    role = Role.objects.create(name=name, description=description, permissions=_sorted(permissions))
    record(
        "role.created",
        actor=acting_user,
        subject=role_subject(role),
        summary=f"Added the role {name}",
        after={"name": name, "permissions": role.permissions},
    )
    return role


@transaction.atomic
def do_change_role(
    role: Role,
    *,
    name: str,
    description: str,
    permissions: Collection[str],
    acting_user: User | None,
) -> None:
    """Change a role of one's own.

    Raises:
        Conflict: The role is built in.
    """
    after = {"name": name, "description": description, "permissions": _sorted(permissions)}
    before = {key: getattr(role, key) for key in after}
    changed_before, changed_after = differences(before, after)
    if not changed_after:
        return
    if role.is_builtin:
        raise Conflict(f"The role {role.name} is built in: make a role of your own instead.")
    if Role.objects.filter(name__iexact=name).exclude(pk=role.pk).exists():
        raise _taken("name", name)
    for key, value in after.items():
        setattr(role, key, value)
    role.save()
    role.raise_revision()
    record(
        "role.changed",
        actor=acting_user,
        subject=role_subject(role),
        summary=f"Changed the role {name}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_role(role: Role, *, acting_user: User | None) -> None:
    """Delete a role of one's own; raises Conflict for a built-in one."""
    if role.is_builtin:
        raise Conflict(f"The role {role.name} is built in and stays.")
    subject = role_subject(role)
    before = {"name": role.name, "permissions": role.permissions}
    role.delete()
    record(
        "role.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the role {subject.name}",
        before=before,
    )


@transaction.atomic
def do_set_role_holders(
    role: Role,
    *,
    users: Collection[User] | None = None,
    groups: Collection[Group] | None = None,
    acting_user: User | None,
) -> None:
    """Make the holders of a role exactly these (None = as they are).

    Raises:
        Conflict: It would leave no owner.
    """
    before = _holders(role)
    if users is not None:
        role.users.set(users)
    if groups is not None:
        role.groups.set(groups)
    after = _holders(role)
    if before == after:
        return
    if role.name == OWNER_ROLE and any(set(before[kind]) - set(after[kind]) for kind in before):
        keep_an_owner()
    role.raise_revision()
    names = {*before["users"], *after["users"]}
    for user in User.everything.filter(username__in=names):
        user.raise_revision()
    record(
        "role.holders_changed",
        actor=acting_user,
        subject=role_subject(role),
        summary=f"Changed who holds the role {role.name}",
        before=before,
        after=after,
    )


def _holders(role: Role) -> dict[str, list[str]]:
    return {
        "users": sorted(role.users.values_list("username", flat=True)),
        "groups": sorted(role.groups.values_list("name", flat=True)),
    }


def _sorted(permissions: Collection[str]) -> list[str]:
    unknown = set(permissions) - set(PERMISSIONS)
    if unknown:
        text = f"Unknown permissions: {', '.join(sorted(unknown))}."
        raise InvalidInput(text, fields={"permissions": [text]})
    return sorted(set(permissions))


def _check_free(model: type[Record], key_field: str, name: str, *, field: str) -> None:
    if model._base_manager.filter(**{key_field: name.casefold()}).exists():
        raise _taken(field, name)


def _taken(field: str, name: str) -> InvalidInput:
    text = f"The name {name} is taken."
    return InvalidInput(text, code="name_taken", fields={field: [text]})
