"""Makes, changes and deletes connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from querykeep_api.dbam.actions.rules import do_delete_rule
from querykeep_api.dbam.models import AccessRule, Connection, MaskingRule, StatementRule
from querykeep_api.iam.facade import User
from querykeep_api.kernel.errors import Conflict, InvalidInput
from querykeep_api.kernel.outbox import SubjectRef, differences, record
from querykeep_api.kernel.policy_version import raise_version
from querykeep_api.kernel.secrets import seal

FIELDS = (
    "name", "engine", "description", "host", "port", "database", "username", "tls_mode",
    "tls_ca_pem", "tls_client_cert_pem", "tls_required", "tags", "is_enabled",
)  # fmt: skip
_TARGET_FIELDS = frozenset({"engine", "host", "port", "database", "username"})


def connection_subject(connection: Connection) -> SubjectRef:
    """Return how events name a connection."""
    return SubjectRef("connection", connection.pk, connection.name, connection.pk)


def free_port() -> int:
    """Return the first port of ``QUERYKEEP_PORTS`` that no connection has; ports never move.

    Raises:
        Conflict: The range is used up.
    """
    taken = set(Connection.everything.values_list("proxy_port", flat=True))
    ports: range = settings.QUERYKEEP.ports
    for port in ports:
        if port not in taken:
            return port
    raise Conflict(
        f"Every port of QUERYKEEP_PORTS ({ports[0]}-{ports[-1]}) belongs to a connection. "
        "Widen that setting for the API and the proxy, then add the connection again.",
        code="ports_exhausted",
    )


@transaction.atomic
def do_create_connection(data: Mapping[str, Any], *, acting_user: User | None) -> Connection:
    """Make a connection from validated fields (``FIELDS``, ``password``, ``tls_client_key_pem``).

    Raises:
        InvalidInput: The name is taken.
        Conflict: No port is left.
    """
    _check_name_free(data["name"])
    connection = Connection(
        **{name: data[name] for name in FIELDS if name in data},
        name_key=data["name"].casefold(),
        flavour=data["engine"],
        proxy_port=free_port(),
    )
    _set_secrets(connection, data)
    connection.save(force_insert=True)
    raise_version("connection", connection.pk)
    record(
        "connection.created",
        actor=acting_user,
        subject=connection_subject(connection),
        summary=f"Added the connection {connection.name}",
        after=_snapshot(connection),
    )
    return connection


@transaction.atomic
def do_change_connection(
    connection: Connection, data: Mapping[str, Any], *, acting_user: User | None
) -> None:
    """Change fields and secrets. A secret that is absent stays; an empty one is removed.

    Raises:
        InvalidInput: The name is taken; or the account's address changes without its password:
            a stored password must not be sent to a server that someone else chose.
    """
    before = _snapshot(connection)
    for name in FIELDS:
        if name in data:
            setattr(connection, name, data[name])
    if connection.name.casefold() != connection.name_key:
        _check_name_free(connection.name)
        connection.name_key = connection.name.casefold()
    changed_before, changed_after = differences(before, _snapshot(connection))
    secrets_given = [name for name in ("password", "tls_client_key_pem") if name in data]
    moves = changed_after.keys() & {"host", "port", "engine"}
    if moves and connection.sealed_password and "password" not in data:
        text = "Give the password again when host, port or engine changes."
        raise InvalidInput(text, code="password_needed", fields={"password": [text]})
    if not changed_after and not secrets_given:
        return
    if "engine" in changed_after:
        connection.flavour = connection.engine
    if changed_after.keys() & _TARGET_FIELDS:
        connection.health_state, connection.health_message = "unknown", ""
    _set_secrets(connection, data)
    connection.save()
    connection.raise_revision()
    raise_version("connection", connection.pk)
    if secrets_given:
        changed_after["secrets_replaced"] = secrets_given
    record(
        "connection.changed",
        actor=acting_user,
        subject=connection_subject(connection),
        summary=f"Changed the connection {connection.name}: {', '.join(changed_after)}",
        before=changed_before,
        after=changed_after,
    )


@transaction.atomic
def do_delete_connection(connection: Connection, *, acting_user: User | None) -> None:
    """Delete a connection with its grants, tokens and catalogs; its sessions end.

    Rules that name no other connection go with it: left without one they would be for all.
    """
    subject, before = connection_subject(connection), _snapshot(connection)
    for model in (AccessRule, MaskingRule, StatementRule):
        for rule in model._base_manager.filter(connections=connection):
            if rule.connections.count() == 1:
                do_delete_rule(rule, acting_user=acting_user)
    connection.delete()
    raise_version("connection", subject.id)
    record(
        "connection.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Deleted the connection {subject.name}",
        before=before,
    )


def _set_secrets(connection: Connection, data: Mapping[str, Any]) -> None:
    if "password" in data:
        connection.sealed_password = seal(data["password"], connection.password_context)
    if "tls_client_key_pem" in data:
        connection.sealed_client_key = seal(
            data["tls_client_key_pem"], connection.client_key_context
        )


def _snapshot(connection: Connection) -> dict[str, Any]:
    return {name: getattr(connection, name) for name in FIELDS}


def _check_name_free(name: str) -> None:
    if Connection.everything.filter(name_key=name.casefold()).exists():
        text = f"The name {name} is taken."
        raise InvalidInput(text, code="name_taken", fields={"name": [text]})
