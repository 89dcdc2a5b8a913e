"""Who calls the internal API: ``Authorization: Bearer <service>:<key>``, hashes in a file."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from querykeep_api.kernel.errors import Forbidden, NotSignedIn, Unavailable


@dataclass(frozen=True, slots=True)
class Service:
    """An authenticated service: ``middleware``, ``proxy`` or ``tool``."""

    name: str


class ServiceAuthentication(BaseAuthentication):
    """Compares the key's SHA-256 with the one that the API was told."""

    def authenticate(self, request: Request) -> tuple[None, Service] | None:
        """Return the calling service, or None without a header; raises for a wrong key."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        scheme, _, credentials = header.partition(" ")
        name, _, key = credentials.strip().partition(":")
        expected = service_keys().get(name, "")
        given = hashlib.sha256(key.encode()).hexdigest()
        # Compared even for an unknown name, so that names cannot be told apart by time.
        if not (hmac.compare_digest(given, expected) and expected and scheme.lower() == "bearer"):
            raise NotSignedIn("The service key is not known here.", code="bad_service_key")
        return None, Service(name)

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme, so that a missing key is 401 and not 403."""
        return "Bearer"


class IsService(BasePermission):
    """Lets the services of ``view.services`` in (empty: every known service)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True or raise what the service is told."""
        service = request.auth
        if not isinstance(service, Service):
            raise NotSignedIn("The internal API needs a service key.")
        allowed: tuple[str, ...] = getattr(view, "services", ())
        if allowed and service.name not in allowed:
            raise Forbidden(f"The service {service.name} may not call this.")
        return True


def service_keys() -> dict[str, str]:
    """Return SHA-256 (hex) of each service's key, as ``QUERYKEEP_SERVICE_KEYS_FILE`` says.

    Raises:
        Unavailable: The file is not set or not readable.
    """
    path = settings.QUERYKEEP.service_keys_file
    if path is None:
        raise Unavailable("QUERYKEEP_SERVICE_KEYS_FILE is not set: no service can sign in.")
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise Unavailable(f"QUERYKEEP_SERVICE_KEYS_FILE {path}: {error}") from error


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: int) -> dict[str, str]:
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError("not a JSON object of service names and hashes")
    return {str(name): str(value).lower() for name, value in content.items()}
