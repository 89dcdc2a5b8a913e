"""Who a request acts for, with which permissions: what authentication leaves behind."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rest_framework.request import Request

from querykeep_api.kernel.errors import NotSignedIn

if TYPE_CHECKING:
    from querykeep_api.iam.models import User


class CredentialKind(enum.Enum):
    """By what a request was authenticated."""

    WEB_SESSION = "web_session"
    API_TOKEN = "api_token"  # noqa: S105 - a kind, no secret


@dataclass(frozen=True, slots=True)
class Principal:
    """A person with the permissions that count in this request: those of his roles, cut down to the
    token's scopes. ``credential_id`` is the web session's or the token's id."""

    user: User
    permissions: frozenset[str]
    kind: CredentialKind
    credential_id: str

    def may(self, permission: str) -> bool:
        """Return whether this request carries ``permission``."""
        return permission in self.permissions


def principal_of(request: Request) -> Principal:
    """Return the principal of a request; raises NotSignedIn where there is none."""
    principal = request.auth
    if not isinstance(principal, Principal):
        raise NotSignedIn("This needs a signed-in person: sign in, or send an API token.")
    return principal


def acting_user(request: Request) -> User:
    """Return the person that a request acts for."""
    return principal_of(request).user
