"""The permissions on Querykeep itself, and the check that every view passes.

A role confers permissions of ``PERMISSIONS``. ``OWN_PERMISSIONS`` are everyone's, over what is his
own; they exist so that an API token can lack them: scopes are names of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from querykeep_api.kernel.errors import Forbidden, NotSignedIn
from querykeep_api.kernel.principal import CredentialKind, Principal

PERMISSIONS: dict[str, str] = {
    "users.view": "See people, groups and roles",
    "users.change": "Add and change people and groups",
    "roles.change": "Change roles and who holds them",
    "connections.view": "See all connections",
    "connections.change": "Add and change connections",
    "policy.view": "See grants, privileges and rules",
    "policy.change": "Change grants, privileges and rules",
    "sessions.view": "See live sessions",
    "sessions.end": "End live sessions and cancel statements",
    "jobs.view": "See jobs and their runs",
    "jobs.run": "Run and switch jobs",
    "audit.view": "See the audit log",
    "audit.export": "Export and verify the audit log",
    "explain.use": "Ask what the policy would say",
}

OWN_PERMISSIONS: dict[str, str] = {
    "own.view": "See one's own connections, sessions, tokens and agents",
    "own.change": "Change one's own account, end one's own sessions and agents",
    "own.tokens": "Make and revoke one's own proxy tokens and API tokens",
}
SCOPES: dict[str, str] = {**PERMISSIONS, **OWN_PERMISSIONS}

# Names of enumerations in the OpenAPI document.
PERMISSION_NAMES = sorted(PERMISSIONS)
SCOPE_NAMES = sorted(SCOPES)

Declared = Mapping[str, str | tuple[str, ...]]
"""What a view says: see ``HasPermission``."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ANYONE_SIGNED_IN = ""  # for what any credential shows: who it belongs to


class HasPermission(BasePermission):
    """Asks the view for the permission of the present action.

    A view declares ``permissions`` by action name (``list``, ``create``, an extra action's method
    name) or HTTP method: a permission, several of which one is enough, or ``ANYONE_SIGNED_IN``. A
    view that declares nothing is refused: a forgotten declaration is no permission.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True or raise what the client is told."""
        needed = self.needed(view, request.method or "")
        principal = request.auth
        if not isinstance(principal, Principal):
            raise NotSignedIn("Sign in, or send an API token as 'Authorization: Bearer …'.")
        if principal.user.must_change_password and not getattr(
            view, "before_password_change", False
        ):
            raise Forbidden(
                "Change your temporary password first (POST /api/v1/auth/password).",
                code="must_change_password",
            )
        if needed is None:
            raise Forbidden(f"{view.__class__.__name__} declares no permission for this.")
        if needed and not any(principal.may(name) for name in needed):
            raise _lacking(principal, needed)
        return True

    @staticmethod
    def needed(view: Any, method: str) -> tuple[str, ...] | None:
        """Return the permissions of which a view asks for one (empty: any signed-in person), or
        None where it declares none for its present action and HTTP method."""
        declared: Declared = getattr(view, "permissions", {})
        kind = "read" if method in SAFE_METHODS else "write"
        for key in (getattr(view, "action", None), method, kind):
            if key and key in declared:
                names = declared[key]
                return names if isinstance(names, tuple) else tuple(filter(None, (names,)))
        return None


def _lacking(principal: Principal, needed: tuple[str, ...]) -> Forbidden:
    named = " or ".join(f"{name} ({SCOPES[name]})" for name in needed)
    # A token's scopes only cut: what an own permission covers, its person could do himself.
    if principal.kind is CredentialKind.API_TOKEN and set(needed) & set(OWN_PERMISSIONS):
        return Forbidden(
            f"This needs an API token with the scope {named}. Add it to the token.",
            code="scope_needed",
        )
    return Forbidden(
        f"This needs the permission {named}. Ask an owner of Querykeep for a role that has it, "
        "or add the scope if the API token lacks it.",
        code="permission_needed",
    )


class OpenToAll(BasePermission):
    """For the few views that must answer before sign-in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Always True."""
        return True
