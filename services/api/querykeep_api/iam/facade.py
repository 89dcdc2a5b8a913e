"""What other apps of the service may use of iam; nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass

from querykeep_api.iam.access import access_lifetime, is_owner
from querykeep_api.iam.agent_keys import verify_signature
from querykeep_api.iam.agent_tokens import agent_of_access_token, do_refresh, do_revoke_by_token
from querykeep_api.iam.agents import do_redeem_login, do_start_login, login_progress
from querykeep_api.iam.models import Agent, Group, User, WebSession
from querykeep_api.iam.permissions_of import permissions_of
from querykeep_api.iam.seeding import do_seed_api_token, do_seed_user, group_named
from querykeep_api.iam.web_sessions import ends_at, is_live
from querykeep_api.iam.web_sessions import resolve as resolve_web_session

__all__ = [
    "Agent",
    "Group",
    "GroupRef",
    "User",
    "WebSession",
    "access_lifetime",
    "agent_of_access_token",
    "clean_up_expired",
    "do_redeem_login",
    "do_refresh",
    "do_revoke_by_token",
    "do_seed_api_token",
    "do_seed_user",
    "do_start_login",
    "ends_at",
    "group_named",
    "groups_of",
    "is_live",
    "is_owner",
    "login_progress",
    "permissions_of",
    "resolve_web_session",
    "verify_signature",
]


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A group that a person belongs to."""

    id: str
    name: str


def groups_of(user: User) -> tuple[GroupRef, ...]:
    """Return the groups of a person, by name, each once."""
    rows = (
        Group.everything.filter(memberships__user=user)
        .order_by("name_key")
        .values_list("pk", "name")
        .distinct()
    )
    return tuple(GroupRef(pk, name) for pk, name in rows)


def clean_up_expired() -> dict[str, int]:
    """Delete what has run out: web sessions, API tokens, agent logins and tokens, owner links.

    Returns:
        How many rows of each were deleted.
    """
    from querykeep_api.iam.cleanup import do_clean_up_expired

    return do_clean_up_expired()
