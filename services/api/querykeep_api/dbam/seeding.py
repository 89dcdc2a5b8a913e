"""What the demo seed may do with connections and policy: bring them to what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from querykeep_api.dbam.actions.connections import do_change_connection, do_create_connection
from querykeep_api.dbam.actions.grants import do_create_grant
from querykeep_api.dbam.actions.rules import do_change_rule, do_create_rule
from querykeep_api.dbam.actions.tokens import do_create_proxy_token, do_renew_proxy_token
from querykeep_api.dbam.models import (
    AccessRule,
    Connection,
    Grant,
    MaskingRule,
    Privilege,
    ProxyToken,
    Rule,
    StatementRule,
)
from querykeep_api.dbam.patterns import checked_masker
from querykeep_api.dbam.targets import target_of
from querykeep_api.iam.facade import User
from querykeep_api.kernel.errors import InvalidInput
from querykeep_engines.registry import specs

_RULES: Mapping[str, type[Rule]] = {
    "masking": MaskingRule,
    "access": AccessRule,
    "statement": StatementRule,
}
_STATEMENT = ("check_kind", "effect", "values", "priority")


@transaction.atomic
def do_seed_connection(fields: Mapping[str, Any]) -> Connection:
    """Make a connection, or bring one back to these fields; its port stays."""
    if fields["engine"] not in specs():
        raise InvalidInput(f"there is no engine {fields['engine']!r}")
    connection = Connection.everything.filter(name_key=fields["name"].casefold()).first()
    if connection is None:
        return do_create_connection(fields, acting_user=None)
    wanted = dict(fields)
    moved = any(getattr(connection, name) != fields[name] for name in ("host", "port", "engine"))
    if not moved and target_of(connection).password == fields["password"]:
        del wanted["password"]
    do_change_connection(connection, {**wanted, "is_enabled": True}, acting_user=None)
    return connection


@transaction.atomic
def do_seed_grant(user: User, connection: Connection, privilege: str) -> Grant:
    """Give a privilege unless the person holds it there without an end."""
    found = Grant.everything.filter(
        user=user,
        connection=connection,
        privilege__name=privilege,
        valid_until=None,
        is_asleep=False,
    ).first()
    if found is not None:
        return found
    named = Privilege.objects.filter(name=privilege).first()
    if named is None:
        raise InvalidInput(f"there is no privilege {privilege!r}")
    return do_create_grant(
        user=user, group=None, connection=connection, privilege=named, acting_user=None
    )


@transaction.atomic
def do_seed_rule(kind: str, fields: Mapping[str, Any]) -> Rule:
    """Make a rule, or bring the one of that name back to these fields."""
    model = _RULES[kind]
    wanted = _of_kind(kind, fields)
    rule = model._base_manager.filter(name=fields["name"]).order_by("number").first()
    if rule is None:
        return do_create_rule(model, wanted, acting_user=None)
    do_change_rule(rule, wanted, acting_user=None)
    return rule


@transaction.atomic
def do_seed_proxy_token(
    user: User, connection: Connection, *, name: str, renew: bool
) -> tuple[str, str | None]:
    """Make a token when there is none of that name, or give it a new password.

    Returns:
        (user name, password), the password None when the present one stays.
    """
    token = (
        ProxyToken.everything.filter(user=user, connection=connection, name=name)
        .order_by("id")
        .first()
    )
    if token is None:
        token, password = do_create_proxy_token(user, connection, name=name, acting_user=None)
        return token.username, password
    if not renew:
        return token.username, None
    return token.username, do_renew_proxy_token(token, acting_user=None)


def _of_kind(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    special = {"masker", "relaxations", *_STATEMENT}
    wanted = {name: value for name, value in fields.items() if name not in special}
    match kind:
        case "masking":
            if not fields["masker"]:
                raise InvalidInput(f"the masking rule {fields['name']!r} names no masker")
            wanted["masker"] = checked_masker(fields["masker"])
            wanted["relaxations"] = fields["relaxations"]
        case "statement":
            wanted.update({name: fields[name] for name in _STATEMENT})
    if kind != "statement" and not wanted["objects_json"]:
        raise InvalidInput(f"the rule {fields['name']!r} names no objects")
    return wanted
