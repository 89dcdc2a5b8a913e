"""A connection, people and the pieces of a policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from querykeep_guard.contracts.catalog import Catalog, Column, Relation


@pytest.fixture
def connection(db: None) -> Any:
    """A connection with a stored password that no server has."""
    from querykeep_api.dbam.actions.connections import do_create_connection

    return do_create_connection(
        {
            "name": "shop",
            "engine": "postgresql",
            "host": "127.0.0.1",
            "port": 1,
            "database": "shop",
            "username": "app",
            "password": "s3cret-of-the-target",
        },
        acting_user=None,
    )


@pytest.fixture
def give(db: None) -> Callable[..., Any]:
    """Gives a grant to a person or group."""
    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.models import Privilege
    from querykeep_api.iam.models import User

    def make(holder: Any, connection: Any, privilege: str = "read-only", **data: Any) -> Any:
        is_user = isinstance(holder, User)
        return do_create_grant(
            user=holder if is_user else None,
            group=None if is_user else holder,
            connection=connection,
            privilege=Privilege.objects.get(name=privilege),
            data=data,
            acting_user=None,
        )

    return make


@pytest.fixture
def catalog() -> Catalog:
    """A small catalog."""

    def columns(*names: str) -> tuple[Column, ...]:
        return tuple(Column(name, "text", position) for position, name in enumerate(names, 1))

    return Catalog(
        engine="postgresql",
        flavour="postgresql",
        server_version="15.4",
        database="shop",
        fingerprint="f-1",
        crawled_at=datetime(2026, 3, 1, tzinfo=UTC),
        relations=(
            Relation("public", "customers", "table", columns("id", "name", "email"), oid=1),
            Relation("public", "orders", "table", columns("id", "total"), oid=2),
        ),
        schemas=("public",),
        settings=(("search_path", '"$user", public'), ("session_user", "app")),
    )
