"""``querykeep seed-demo --file FILE``: accounts, connections, grants, rules and tokens of a demo.

FILE (``-`` = standard input) is JSON of the shape in docs/seams.md, "Demo seed"; names refer to
names in the same file. What is missing is made, what exists is brought back to what the file says
(passwords too), nothing else is deleted. ``restore`` brings back grants that a person deleted
since; ``renew_tokens`` replaces every token named. The answer is one JSON object; a secret stands
in it only when this run made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from querykeep_api.dbam import facade as dbam
from querykeep_api.iam import facade as iam
from querykeep_api.kernel.errors import InvalidInput
from querykeep_api.kernel.models import SeedMark
from querykeep_guard.contracts.codec import ContractError, loads

VERSION = 1


@dataclass(frozen=True, slots=True)
class Account:
    """A person with the roles that he holds."""

    username: str
    password: str = field(repr=False)
    display_name: str = ""
    email: str = ""
    language: str = "en"
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedConnection:
    """A connection with its stored account."""

    name: str
    engine: str
    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    description: str = ""
    tls_mode: str = "prefer"
    tls_ca_pem: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeedGrant:
    """A grant to a person."""

    user: str
    connection: str
    privilege: str


@dataclass(frozen=True, slots=True)
class Names:
    """Whom a rule is for, or who is exempt."""

    everyone: bool = False
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedRule:
    """A rule of any kind; the last fields count for masking and statement rules."""

    name: str
    connections: tuple[str, ...] = ()
    objects: tuple[dict[str, str], ...] = ()
    applies_to: Names = Names()
    exempt: Names = Names()
    masker: dict[str, object] | None = None
    relaxations: tuple[str, ...] = ()
    check: str = ""
    effect: str = "deny"
    values: tuple[str, ...] = ()
    priority: int = 100


@dataclass(frozen=True, slots=True)
class SeedApiToken:
    """An API token; the scope ``*`` means every permission."""

    user: str
    name: str
    scopes: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class SeedProxyToken:
    """A proxy token."""

    user: str
    connection: str
    name: str


@dataclass(frozen=True, slots=True)
class DemoSeed:
    """The whole file."""

    version: int
    accounts: tuple[Account, ...] = ()
    connections: tuple[SeedConnection, ...] = ()
    grants: tuple[SeedGrant, ...] = ()
    masking_rules: tuple[SeedRule, ...] = ()
    access_rules: tuple[SeedRule, ...] = ()
    statement_rules: tuple[SeedRule, ...] = ()
    api_tokens: tuple[SeedApiToken, ...] = ()
    proxy_tokens: tuple[SeedProxyToken, ...] = ()
    restore: bool = False
    renew_tokens: bool = False


def read_seed(text: str) -> DemoSeed:
    """Parse the file.

    Raises:
        InvalidInput: Its shape or version is not the one that this service knows.
    """
    try:
        seed = loads(DemoSeed, text)
    except ContractError as error:
        raise InvalidInput(f"seed file: {error}") from error
    if seed.version != VERSION:
        raise InvalidInput(f"seed file: version {seed.version} is not {VERSION}")
    return seed


@transaction.atomic
def seed_demo(seed: DemoSeed) -> dict[str, Any]:
    """Carry the seed out in one transaction and return the answer."""
    users = {
        account.username: iam.do_seed_user(
            username=account.username,
            password=account.password,
            display_name=account.display_name,
            email=account.email,
            language=account.language,
            roles=account.roles,
            groups=account.groups,
        )
        for account in seed.accounts
    }
    connections = {
        item.name: dbam.do_seed_connection(_connection_fields(item)) for item in seed.connections
    }
    for grant in seed.grants:
        key = f"grant:{grant.user}:{grant.connection}:{grant.privilege}"
        if _once(key) or seed.restore:
            dbam.do_seed_grant(
                _named(users, grant.user), _named(connections, grant.connection), grant.privilege
            )
    for kind, rules in (
        ("masking", seed.masking_rules),
        ("access", seed.access_rules),
        ("statement", seed.statement_rules),
    ):
        for rule in rules:
            dbam.do_seed_rule(kind, _rule_fields(rule, users, connections))
    return _answer(seed, users, connections)


def _answer(
    seed: DemoSeed, users: Mapping[str, iam.User], connections: Mapping[str, dbam.Connection]
) -> dict[str, Any]:
    accounts: dict[str, dict[str, Any]] = {
        name: {"id": user.pk, "api_token": None} for name, user in users.items()
    }
    for token in seed.api_tokens:
        accounts[token.user]["api_token"] = iam.do_seed_api_token(
            _named(users, token.user),
            name=token.name,
            scopes=token.scopes,
            renew=seed.renew_tokens,
        )
    entries: dict[str, dict[str, Any]] = {
        name: {
            "id": connection.pk,
            "proxy": {"host": settings.QUERYKEEP.ports_host, "port": connection.proxy_port},
            "tokens": {},
        }
        for name, connection in connections.items()
    }
    for proxy_token in seed.proxy_tokens:
        username, password = dbam.do_seed_proxy_token(
            _named(users, proxy_token.user),
            _named(connections, proxy_token.connection),
            name=proxy_token.name,
            renew=seed.renew_tokens,
        )
        entries[proxy_token.connection]["tokens"][proxy_token.user] = {
            "username": username,
            "password": password,
        }
    return {"accounts": accounts, "connections": entries}


def _connection_fields(item: SeedConnection) -> dict[str, Any]:
    return {
        "name": item.name,
        "engine": item.engine,
        "description": item.description,
        "host": item.host,
        "port": item.port,
        "database": item.database,
        "username": item.username,
        "password": item.password,
        "tls_mode": item.tls_mode,
        "tls_ca_pem": item.tls_ca_pem,
        "tags": dict(item.tags),
    }


def _rule_fields(
    rule: SeedRule, users: Mapping[str, iam.User], connections: Mapping[str, dbam.Connection]
) -> dict[str, Any]:
    return {
        "name": rule.name,
        "connections": [_named(connections, name) for name in rule.connections],
        "objects_json": [dict(item) for item in rule.objects],
        "everyone": rule.applies_to.everyone,
        "users": [_named(users, name) for name in rule.applies_to.users],
        "groups": [iam.group_named(name) for name in rule.applies_to.groups],
        "exempt_users": [_named(users, name) for name in rule.exempt.users],
        "exempt_groups": [iam.group_named(name) for name in rule.exempt.groups],
        "is_enabled": True,
        "masker": rule.masker,
        "relaxations": list(rule.relaxations),
        "check_kind": rule.check,
        "effect": rule.effect,
        "values": list(rule.values),
        "priority": rule.priority,
    }


def _named(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise InvalidInput(f"seed file: {name!r} is not in it")
    return found[name]


def _once(key: str) -> bool:
    """Return True the first time a key is seen: what a person deleted since stays deleted."""
    return SeedMark.objects.get_or_create(key=key)[1]
