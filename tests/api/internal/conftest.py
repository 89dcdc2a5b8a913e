"""What internal calls need: a connection with a grant, a proxy token, an agent with its key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fix_api import ApiCaller

CLIENT = {"address": "10.0.0.9", "program": "psql", "version": "15"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def internal(internal_urls: None, service_key: Callable[[str], str], db: None) -> Any:
    """Returns calls of a service below ``/internal/v1/``."""

    def of(service: str = "proxy") -> Callable[..., Any]:
        caller = ApiCaller({"Authorization": service_key(service)})

        def call(method: str, path: str, body: object = None, **headers: str) -> Any:
            return caller(method, f"/internal/v1/{path}", body, headers=headers)

        return call

    return of


@dataclass
class Shop:
    """A connection, a person with a read-only grant on it, and his proxy token."""

    connection: Any
    user: Any
    grant: Any
    token: Any
    password: str


@pytest.fixture
def shop(db: None, new_user: Any) -> Shop:
    from querykeep_api.dbam.actions.connections import do_create_connection
    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.actions.tokens import do_create_proxy_token
    from querykeep_api.dbam.models import Privilege

    connection = do_create_connection(
        {
            "name": "shop",
            "engine": "postgresql",
            "host": "db.internal",
            "port": 5432,
            "database": "shop",
            "username": "app",
            "password": "target password",
        },
        acting_user=None,
    )
    user = new_user("analyst")
    grant = do_create_grant(
        user=user,
        group=None,
        connection=connection,
        privilege=Privilege.objects.get(name="read-only"),
        acting_user=None,
    )
    token, password = do_create_proxy_token(user, connection, name="t", acting_user=None)
    return Shop(connection, user, grant, token, password)


@dataclass
class SignedInAgent:
    """An agent with tokens."""

    key: Ed25519PrivateKey
    access_token: str
    refresh_token: str
    agent: Any

    def sign(self, message: str) -> str:
        return b64(self.key.sign(message.encode()))


def public_text(key: Ed25519PrivateKey) -> str:
    return b64(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


@pytest.fixture
def agent(shop: Shop) -> SignedInAgent:
    from querykeep_api.iam.agent_tokens import issue_tokens
    from querykeep_api.iam.models import Agent

    key = Ed25519PrivateKey.generate()
    row = Agent.everything.create(user=shop.user, machine="laptop", agent_key=public_text(key))
    tokens = issue_tokens(row)
    return SignedInAgent(key, tokens.access_token, tokens.refresh_token, row)
