"""``users``, ``groups``, ``roles``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from querykeep_api.iam import access, actions, sign_in
from querykeep_api.iam.models import Group, Role, User
from querykeep_api.iam.rest.serializers import (
    GroupSerializer,
    OncePasswordSerializer,
    RoleSerializer,
    UserSerializer,
)
from querykeep_api.kernel.rest.filters import Condition, by, flag
from querykeep_api.kernel.rest.views import ResourceView


class UserView(ResourceView):
    """People. Deactivating keeps an account with all that it holds; deleting removes it with its
    tokens, grants and places in rules. The audit log goes on naming it either way."""

    serializer_class = UserSerializer
    queryset = User.everything.none()
    permissions: ClassVar[Mapping[str, str]] = {"read": "users.view", "write": "users.change"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "username": by("username_key"),
        "is_active": flag("is_active"),
        "group": by("memberships__group_id", "memberships__group__name"),
        "role": by("roles__id", "roles__name"),
    }
    search_fields = ("username", "display_name", "email")
    ordering_fields = ("username", "display_name", "email", "created_at")
    ordering_names: ClassVar[Mapping[str, str]] = {"username": "username_key"}

    def get_queryset(self) -> QuerySet[User]:
        """Return the people in reach."""
        found = User.objects.visible_to(self.principal).prefetch_related("groups", "roles")
        return found.distinct()

    def on_create(self, data: Mapping[str, Any]) -> User:
        """Make a person with his groups and roles."""
        actor = self.principal.user
        roles, groups = data.get("roles", []), data.get("groups", [])
        access.access_change_roles(self.principal, roles)
        names = ("username", "display_name", "email", "language")
        user = actions.do_create_user(
            **{name: data[name] for name in names if name in data}, acting_user=actor
        )
        self._set_groups(user, groups)
        self._set_roles(user, roles)
        return user

    def on_update(self, record: User, data: Mapping[str, Any]) -> None:
        """Change a person, his groups and his roles."""
        access.access_change_user(self.principal, record)
        if "groups" in data:
            self._set_groups(record, data["groups"])
        if "roles" in data:
            self._set_roles(record, data["roles"])
        actions.do_change_user(record, data, acting_user=self.principal.user)

    def on_delete(self, record: User) -> None:
        """Delete a person."""
        access.access_change_user(self.principal, record)
        access.access_delete_user(self.principal, record)
        actions.do_delete_user(record, acting_user=self.principal.user)

    def _set_groups(self, user: User, groups: list[Group]) -> None:
        present = {group.pk: group for group in user.groups.all()}
        wanted = {group.pk: group for group in groups}
        changed = present.keys() ^ wanted.keys()
        for group in ({**present, **wanted}[pk] for pk in changed):
            access.access_change_members(self.principal, group, [user])
        if changed:
            actions.do_set_groups(user, groups, acting_user=self.principal.user)

    def _set_roles(self, user: User, roles: list[Role]) -> None:
        present = {role.pk: role for role in user.roles.all()}
        wanted = {role.pk: role for role in roles}
        changed = [{**present, **wanted}[pk] for pk in present.keys() ^ wanted.keys()]
        access.access_change_roles(self.principal, changed)
        for role in changed:
            holders = {holder.pk: holder for holder in role.users.all()}
            if role.pk in wanted:
                holders[user.pk] = user
            else:
                holders.pop(user.pk, None)
            actions.do_set_role_holders(
                role, users=list(holders.values()), acting_user=self.principal.user
            )

    @extend_schema(request=None, responses=UserSerializer)
    @action(detail=True, methods=["post"])
    def unlock(self, request: Request, pk: str) -> Response:
        """Let a locked person try again."""

        def unlock(user: User) -> User:
            access.access_change_user(self.principal, user)
            actions.do_unlock_user(user, acting_user=self.principal.user)
            return user

        return self.entry(self.access(self.act(request, pk, unlock).pk))

    @extend_schema(request=None, responses=OncePasswordSerializer)
    @action(detail=True, methods=["post"], url_path="temporary-password")
    def temporary_password(self, request: Request, pk: str) -> Response:
        """Give a temporary password, shown once."""

        def give(user: User) -> str:
            access.access_change_user(self.principal, user)
            return sign_in.do_set_temporary_password(user, acting_user=self.principal.user)

        return Response({"password": self.act(request, pk, give)})


class GroupView(ResourceView):
    """Groups of people."""

    serializer_class = GroupSerializer
    queryset = Group.everything.none()
    permissions: ClassVar[Mapping[str, str]] = {"read": "users.view", "write": "users.change"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "name": by("name"),
        "user": by("memberships__user_id", "memberships__user__username"),
    }
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at")
    ordering_names: ClassVar[Mapping[str, str]] = {"name": "name_key"}

    def get_queryset(self) -> QuerySet[Group]:
        """Return the groups in reach."""
        found = Group.objects.visible_to(self.principal).prefetch_related("members")
        return found.distinct()

    def on_create(self, data: Mapping[str, Any]) -> Group:
        """Make a group with its members."""
        actor = self.principal.user
        group = actions.do_create_group(
            name=data["name"], description=data.get("description", ""), acting_user=actor
        )
        members = data.get("members", [])
        access.access_change_members(self.principal, group, members)
        actions.do_set_members(group, members, acting_user=actor)
        return group

    def on_update(self, record: Group, data: Mapping[str, Any]) -> None:
        """Change a group and its members."""
        actor = self.principal.user
        if "members" in data:
            present = {user.pk: user for user in record.members.all()}
            wanted = {user.pk: user for user in data["members"]}
            changed = [{**present, **wanted}[pk] for pk in present.keys() ^ wanted.keys()]
            access.access_change_members(self.principal, record, changed)
            if changed:
                actions.do_set_members(record, data["members"], acting_user=actor)
        actions.do_change_group(
            record,
            name=data.get("name", record.name),
            description=data.get("description", record.description),
            acting_user=actor,
        )

    def on_delete(self, record: Group) -> None:
        """Delete a group."""
        access.access_change_members(self.principal, record, list(record.members.all()))
        actions.do_delete_group(record, acting_user=self.principal.user)


class RoleView(ResourceView):
    """Roles on Querykeep itself."""

    serializer_class = RoleSerializer
    queryset = Role.objects.none()
    permissions: ClassVar[Mapping[str, str]] = {"read": "users.view", "write": "roles.change"}
    filter_conditions: ClassVar[Mapping[str, Condition]] = {
        "name": by("name"),
        "is_builtin": flag("is_builtin"),
        "user": by("users__id", "users__username"),
        "group": by("groups__id", "groups__name"),
    }
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[Role]:
        """Return every role; who may see people may see them."""
        return Role.objects.prefetch_related("users", "groups").distinct()

    def on_create(self, data: Mapping[str, Any]) -> Role:
        """Make a role."""
        actor = self.principal.user
        access.access_confer(self.principal, data["permissions"], "The role")
        role = actions.do_create_role(
            name=data["name"],
            description=data.get("description", ""),
            permissions=data["permissions"],
            acting_user=actor,
        )
        actions.do_set_role_holders(
            role, users=data.get("users"), groups=data.get("groups"), acting_user=actor
        )
        return role

    def on_update(self, record: Role, data: Mapping[str, Any]) -> None:
        """Change a role and its holders; no one gives or takes more than he holds."""
        actor = self.principal.user
        access.access_confer(self.principal, record.permissions, f"The role {record.name}")
        permissions = data.get("permissions", record.permissions)
        access.access_confer(self.principal, permissions, f"The role {record.name}")
        actions.do_change_role(
            record,
            name=data.get("name", record.name),
            description=data.get("description", record.description),
            permissions=permissions,
            acting_user=actor,
        )
        actions.do_set_role_holders(
            record, users=data.get("users"), groups=data.get("groups"), acting_user=actor
        )

    def on_delete(self, record: Role) -> None:
        """Delete a role."""
        access.access_confer(self.principal, record.permissions, f"The role {record.name}")
        actions.do_delete_role(record, acting_user=self.principal.user)
