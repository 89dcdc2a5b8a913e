"""Shapes of people, groups, roles and credentials."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from querykeep_api.iam.models import Agent, ApiToken, Group, Role, User
from querykeep_api.kernel import clock
from querykeep_api.kernel.permissions import PERMISSIONS, SCOPES
from querykeep_api.kernel.principal import principal_of
from querykeep_api.kernel.rest.fields import EtagField, ReferenceField

LANGUAGES = ("en", "ko")
THEMES = ("system", "light", "dark")
USERNAME = r"^[^\s\x00-\x1f\x7f/\\?#%,:;\"'<>]+\Z"


def visible_users(request: Any) -> QuerySet[User]:
    """Return the people whom the writer may name."""
    return User.objects.visible_to(principal_of(request))


def visible_groups(request: Any) -> QuerySet[Group]:
    """Return the groups that the writer may name."""
    return Group.objects.visible_to(principal_of(request))


def user_reference(**kwargs: Any) -> ReferenceField:
    """Return a reference to a person."""
    return ReferenceField(model=User, label_field="username", scope=visible_users, **kwargs)


def group_reference(**kwargs: Any) -> ReferenceField:
    """Return a reference to a group."""
    return ReferenceField(model=Group, scope=visible_groups, **kwargs)


class UserSerializer(serializers.ModelSerializer[User]):
    """A person."""

    etag = EtagField()
    username = serializers.RegexField(USERNAME, max_length=150)
    display_name = serializers.CharField(max_length=200, allow_blank=True, required=False)
    email = serializers.EmailField(max_length=254, allow_blank=True, required=False)
    language = serializers.ChoiceField(LANGUAGES, required=False)
    is_active = serializers.BooleanField(required=False)
    deactivation_reason = serializers.CharField(allow_blank=True, required=False, max_length=2000)
    is_locked = serializers.SerializerMethodField()
    groups = group_reference(many=True, required=False)
    roles = ReferenceField(model=Role, many=True, required=False)

    class Meta:
        model = User
        fields = (
            "id", "username", "display_name", "email", "language", "is_active",
            "deactivation_reason", "is_locked", "must_change_password", "last_sign_in_at",
            "groups", "roles", "created_at", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "must_change_password", "last_sign_in_at", "created_at")

    def get_is_locked(self, user: User) -> bool:
        """Return whether sign-in is locked now."""
        return user.is_locked(clock.now())

    def to_representation(self, instance: User) -> dict[str, Any]:
        """Show each group once (a person may be a manual and a directory member)."""
        data = super().to_representation(instance)
        data["groups"] = list({group["id"]: group for group in data["groups"]}.values())
        return data


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group with its members."""

    etag = EtagField()
    name = serializers.CharField(max_length=150)
    description = serializers.CharField(allow_blank=True, required=False, max_length=2000)
    members = user_reference(many=True, required=False)
    member_count = serializers.SerializerMethodField()

    class Meta:
        model = Group
        fields = ("id", "name", "description", "members", "member_count", "created_at", "etag")
        read_only_fields = ("id", "created_at")

    def get_member_count(self, group: Group) -> int:
        """Return how many people are in it."""
        return len({user.pk for user in group.members.all()})

    def to_representation(self, instance: Group) -> dict[str, Any]:
        """Show each member once."""
        data = super().to_representation(instance)
        data["members"] = list({user["id"]: user for user in data["members"]}.values())
        return data


class RoleSerializer(serializers.ModelSerializer[Role]):
    """A role with its holders."""

    etag = EtagField()
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(allow_blank=True, required=False, max_length=2000)
    permissions = serializers.ListField(child=serializers.ChoiceField(sorted(PERMISSIONS)))
    users = user_reference(many=True, required=False)
    groups = group_reference(many=True, required=False)

    class Meta:
        model = Role
        fields = (
            "id", "name", "description", "permissions", "users", "groups", "is_builtin",
            "created_at", "etag",
        )  # fmt: skip
        read_only_fields = ("id", "is_builtin", "created_at")


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    """An API token; its secret stands in the answer to POST only."""

    etag = EtagField()
    user = user_reference(read_only=True)
    name = serializers.CharField(max_length=150)
    scopes = serializers.ListField(child=serializers.ChoiceField(sorted(SCOPES)), required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id", "name", "scopes", "expires_at", "user", "prefix", "created_at", "last_used_at",
            "etag",
        )  # fmt: skip
        read_only_fields = ("id", "prefix", "created_at", "last_used_at")


class MadeApiTokenSerializer(ApiTokenSerializer):
    """A new API token with its secret."""

    secret = serializers.CharField(read_only=True, help_text="Shown in this answer only.")

    class Meta(ApiTokenSerializer.Meta):
        fields = (*ApiTokenSerializer.Meta.fields, "secret")


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """A signed-in agent."""

    user = user_reference(read_only=True)
    etag = EtagField()

    class Meta:
        model = Agent
        fields = ("id", "user", "machine", "address", "created_at", "last_used_at", "etag")
        read_only_fields = fields


class SignInSerializer(serializers.Serializer[Any]):
    """Name and password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class PasswordSerializer(serializers.Serializer[Any]):
    """A change of one's own password."""

    current = serializers.CharField(max_length=4096, trim_whitespace=False)
    new = serializers.CharField(max_length=4096, trim_whitespace=False)


class OwnerLinkSerializer(serializers.Serializer[Any]):
    """The first owner, by a one-time link."""

    link = serializers.CharField(max_length=200)
    username = serializers.RegexField(USERNAME, max_length=150)
    display_name = serializers.CharField(max_length=200, allow_blank=True, default="")
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class MeSerializer(serializers.Serializer[Any]):
    """Who I am; language, theme and display name may be changed."""

    id = serializers.CharField(read_only=True)
    username = serializers.CharField(read_only=True)
    display_name = serializers.CharField(max_length=200, allow_blank=True, required=False)
    email = serializers.CharField(read_only=True)
    language = serializers.ChoiceField(LANGUAGES, required=False)
    theme = serializers.ChoiceField(THEMES, required=False)
    permissions = serializers.ListField(child=serializers.CharField(), read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    groups = serializers.ListField(child=serializers.DictField(), read_only=True)
    must_change_password = serializers.BooleanField(read_only=True)
    session_expires_at = serializers.DateTimeField(read_only=True, allow_null=True)


class WebSessionSerializer(serializers.Serializer[Any]):
    """One of my signed-in browsers."""

    id = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    last_seen_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)
    address = serializers.CharField(read_only=True)
    program = serializers.CharField(read_only=True)
    is_current = serializers.BooleanField(read_only=True)


class AgentLoginSerializer(serializers.Serializer[Any]):
    """What the confirmation page names."""

    machine = serializers.CharField(read_only=True)
    address = serializers.CharField(read_only=True)
    requested_at = serializers.DateTimeField(read_only=True)
    mode = serializers.CharField(read_only=True)
    state = serializers.CharField(read_only=True)


class DeviceCodeSerializer(serializers.Serializer[Any]):
    """The short code of a terminal."""

    user_code = serializers.CharField(max_length=40)


class DeviceLoginSerializer(serializers.Serializer[Any]):
    """The login behind a short code."""

    login_id = serializers.CharField(read_only=True)


class RedirectSerializer(serializers.Serializer[Any]):
    """Where the browser goes next; empty in device mode."""

    redirect = serializers.CharField(read_only=True)


class OncePasswordSerializer(serializers.Serializer[Any]):
    """A password that is shown once."""

    password = serializers.CharField(read_only=True)


class CsrfSerializer(serializers.Serializer[Any]):
    """The token for ``X-CSRFToken``."""

    token = serializers.CharField(read_only=True)
