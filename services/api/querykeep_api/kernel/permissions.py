"""The permissions on Querykeep itself, and the check that every view passes."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from querykeep_api.kernel.errors import Forbidden, NotSignedIn
from querykeep_api.kernel.principal import Principal

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

PERMISSION_NAMES = sorted(PERMISSIONS)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = ""  # what everyone signed in may do; the view's queryset holds him to his own


class HasPermission(BasePermission):
    """Asks the view for the permission of the present action.

    A view declares ``permissions: dict[str, str]`` by action name (``list``, ``create``, an extra
    action's method name) or HTTP method; ``OWN`` means any signed-in person. A view that declares
    nothing is refused: a forgotten declaration is no permission.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True or raise what the client is told."""
        needed = self.needed_permission(request, view)
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
        if needed != OWN and not principal.may(needed):
            raise Forbidden(
                f"This needs the permission {needed} ({PERMISSIONS[needed]}). "
                "Ask an owner of Querykeep for a role that has it.",
                code="permission_needed",
            )
        return True

    @staticmethod
    def needed_permission(request: Request, view: Any) -> str | None:
        """Return the permission that a view declares for this request."""
        declared: dict[str, str] = getattr(view, "permissions", {})
        action = getattr(view, "action", None)
        for key in (action, request.method):
            if key and key in declared:
                return declared[key]
        if request.method in SAFE_METHODS:
            return declared.get("read")
        return declared.get("write")


class OpenToAll(BasePermission):
    """For the few views that must answer before sign-in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Always True."""
        return True
