"""The API service in tests: both databases, a root key, people with each set of permissions.

`QUERYKEEP_TEST_DATABASE=postgresql` runs the same tests on a private PostgreSQL; the default is
SQLite in files, with the settings of production (WAL, IMMEDIATE).
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

API_DATABASES = ["default", "audit"]
# App: the model whose rows a data migration makes, the migration and its function.
BUILT_INS = {
    "iam": ("Role", "querykeep_api.iam.migrations.0002_roles", "make_roles"),
    "dbam": ("Privilege", "querykeep_api.dbam.migrations.0002_privileges", "make_privileges"),
}
SERVICES = ("middleware", "proxy", "tool")


@pytest.fixture(scope="session")
def api_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a root key and service keys."""
    home = tmp_path_factory.mktemp("api-home")
    key = home / "api.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n", "ascii")
    key.chmod(0o600)
    keys = {name: secrets.token_hex(16) for name in SERVICES}
    (home / "keys.json").write_text(json.dumps(keys))
    hashes = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in keys.items()}
    (home / "service-keys.json").write_text(json.dumps(hashes))
    return home


@pytest.fixture(scope="session")
def api_settings(api_home: Path) -> None:
    """Point the settings at the state folder; cheap password hashes."""
    from django.conf import settings

    settings.QUERYKEEP = dataclasses.replace(
        settings.QUERYKEEP,
        home=api_home,
        secret_file=api_home / "api.key",
        service_keys_file=api_home / "service-keys.json",
        redis_url="",
        public_url="http://127.0.0.1:8888",
    )
    settings.ARGON2_COST = (64, 1)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    request: pytest.FixtureRequest,
    api_settings: None,
    api_home: Path,
) -> None:
    """Name the two test databases before pytest-django makes them."""
    from django.db import connections
    from django.db.models.signals import post_migrate

    from querykeep_api.config.databases import django_database
    from querykeep_api.config.environment import DatabaseAddress

    if os.environ.get("QUERYKEEP_TEST_DATABASE", "sqlite") == "postgresql":
        server: Any = request.getfixturevalue("postgresql_server")
        address = DatabaseAddress(
            "postgresql", "postgres", server.host, server.port, server.user, server.password
        )
        entries = {alias: django_database(address) for alias in API_DATABASES}
        names = {alias: f"test_querykeep_{alias}" for alias in API_DATABASES}
    else:
        entries = {
            alias: django_database(DatabaseAddress("sqlite", str(api_home / f"{alias}.sqlite3")))
            for alias in API_DATABASES
        }
        names = {alias: str(api_home / f"test-{alias}.sqlite3") for alias in API_DATABASES}
    for alias, entry in entries.items():
        # Connections of a test are closed with it, not kept.
        entry |= {"CONN_MAX_AGE": 0, "TEST": {"NAME": names[alias]}}
    connections.settings = connections.configure_settings(entries)
    for alias in API_DATABASES:
        if hasattr(connections._connections, alias):  # type: ignore[attr-defined]
            del connections[alias]
    post_migrate.connect(_bring_back_built_ins)


def _bring_back_built_ins(sender: Any, using: str, **_others: object) -> None:
    """Make the rows of data migrations again after a transactional test emptied every table.

    Django does not, and without them each test would depend on which ran before it in its worker.
    """
    if using != "default" or sender.label not in BUILT_INS:
        return
    model, module, function = BUILT_INS[sender.label]
    if not apps.get_model(sender.label, model).objects.exists():
        getattr(importlib.import_module(module), function)(apps, None)


@pytest.fixture
def service_key(api_home: Path) -> Callable[[str], str]:
    """The ``Authorization`` header of a service."""
    keys = json.loads((api_home / "keys.json").read_text())
    return lambda name: f"Bearer {name}:{keys[name]}"


@pytest.fixture
def internal_urls(settings: Any) -> Iterator[None]:
    """Serve the internal URLs in this test instead of the public ones."""
    from django.urls import clear_url_caches, set_urlconf

    public = settings.ROOT_URLCONF
    settings.ROOT_URLCONF = settings.INTERNAL_URLCONF
    clear_url_caches()
    set_urlconf(None)
    yield
    settings.ROOT_URLCONF = public
    clear_url_caches()
    set_urlconf(None)


class ApiCaller:
    """Calls the API as one person (or nobody) and returns Django's responses, JSON in `.json()`."""

    def __init__(self, headers: dict[str, str]) -> None:
        from django.test import Client

        self._client = Client(raise_request_exception=True)
        self._headers = headers

    def __call__(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> Any:
        """Send JSON; `path` stands below `/api/v1/` unless it is absolute."""
        url = path if path.startswith("/") else f"/api/v1/{path}"
        return self._client.generic(
            method,
            url,
            json.dumps(body) if body is not None else "",
            content_type="application/json",
            headers={**self._headers, **(headers or {})},
        )

    def get(self, path: str, **headers: str) -> Any:
        """GET."""
        return self("GET", path, headers=headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        """POST."""
        return self("POST", path, body if body is not None else {}, headers=headers)

    def put(self, path: str, body: object, **headers: str) -> Any:
        """PUT."""
        return self("PUT", path, body, headers=headers)

    def patch(self, path: str, body: object, **headers: str) -> Any:
        """PATCH."""
        return self("PATCH", path, body, headers=headers)

    def delete(self, path: str, **headers: str) -> Any:
        """DELETE."""
        return self("DELETE", path, headers=headers)


@pytest.fixture
def anonymous(db: None) -> ApiCaller:
    """Calls without credentials."""
    return ApiCaller({})


@pytest.fixture
def new_user(db: None) -> Callable[..., Any]:
    """Makes a person, with a role of exactly these permissions."""
    from querykeep_api.iam.actions import do_create_role, do_create_user, do_set_role_holders

    def make(username: str, *permissions: str, password: str | None = None) -> Any:
        user = do_create_user(username=username, password=password, acting_user=None)
        if permissions:
            role = do_create_role(
                name=f"role of {username}", permissions=permissions, acting_user=None
            )
            do_set_role_holders(role, users=[user], acting_user=None)
        return user

    return make


@pytest.fixture
def as_user(db: None) -> Callable[..., ApiCaller]:
    """Returns a caller with an API token of a person, with all scopes or only those given."""
    from querykeep_api.iam.tokens import do_create_api_token
    from querykeep_api.kernel.permissions import SCOPES

    def caller(user: Any, *scopes: str) -> ApiCaller:
        _, secret = do_create_api_token(
            user, name="test", scopes=scopes or tuple(SCOPES), acting_user=None
        )
        return ApiCaller({"Authorization": f"Bearer {secret}"})

    return caller


@pytest.fixture
def owner(new_user: Callable[..., Any]) -> Any:
    """A person with the built-in role owner."""
    from querykeep_api.iam.models import Role

    user = new_user("the-owner")
    Role.objects.get(name="owner").users.add(user)
    return user


@pytest.fixture
def as_owner(owner: Any, as_user: Callable[..., ApiCaller]) -> ApiCaller:
    """Calls with an owner's token."""
    return as_user(owner)


@pytest.fixture
def proxy(internal_urls: None, service_key: Callable[[str], str], db: None) -> ApiCaller:
    """Calls of the proxy to the internal API."""
    return ApiCaller({"Authorization": service_key("proxy")})
