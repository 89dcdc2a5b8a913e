"""Proxy tokens: made for one person and one connection, the password shown once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from querykeep_api.dbam.models import Connection, LiveSession, ProxyToken
from querykeep_api.iam.facade import User
from querykeep_api.kernel.ids import random_text
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.policy_version import raise_version
from querykeep_engines.kit.scram import make_verifiers
from querykeep_guard.contracts.session import EndReason

PASSWORD_BITS = 160
_SALT_BYTES = 16
_NAME_LENGTH = 16


def token_subject(token: ProxyToken) -> SubjectRef:
    """Return how events name a proxy token."""
    return SubjectRef("proxy_token", token.pk, token.username, token.connection_id)


@transaction.atomic
def do_create_proxy_token(
    user: User,
    connection: Connection,
    *,
    name: str,
    expires_at: datetime | None = None,
    acting_user: User | None,
) -> tuple[ProxyToken, str]:
    """Make a token and return it with its password, which is stored as verifiers only."""
    # The user's name is in it for people who read a DSN; the random part makes it unique.
    # MySQL allows 32 characters in a user name.
    plain = "".join(c for c in user.username.lower() if c.isascii() and c.isalnum())
    username = f"{plain[:_NAME_LENGTH] or 'qk'}_{random_text(60)}"
    token = ProxyToken(
        user=user, connection=connection, name=name, username=username, expires_at=expires_at
    )
    password = _renew(token)
    token.save(force_insert=True)
    record(
        "proxy_token.created",
        actor=acting_user,
        subject=token_subject(token),
        summary=f"Made the proxy token {username} for {user.username} on {connection.name}",
        after={"user": user.username, "connection": connection.name, "name": name},
    )
    return token, password


@transaction.atomic
def do_renew_proxy_token(token: ProxyToken, *, acting_user: User | None) -> str:
    """Give a token a new password and return it; sessions of the old one end."""
    password = _renew(token)
    token.save()
    token.raise_revision()
    LiveSession.everything.filter(proxy_token=token, ended_at=None).update(
        end_reason=EndReason.TOKEN_REVOKED.value, end_message="Your proxy token was renewed."
    )
    raise_version("user", token.user_id)
    record(
        "proxy_token.renewed",
        actor=acting_user,
        subject=token_subject(token),
        summary=f"Gave the proxy token {token.username} a new password",
    )
    return password


@transaction.atomic
def do_change_proxy_token(
    token: ProxyToken, data: Mapping[str, Any], *, acting_user: User | None
) -> None:
    """Change a token's name or expiry."""
    before = {"name": token.name, "expires_at": str(token.expires_at)}
    token.name = data.get("name", token.name)
    token.expires_at = data.get("expires_at", token.expires_at)
    token.save()
    token.raise_revision()
    raise_version("user", token.user_id)
    record(
        "proxy_token.changed",
        actor=acting_user,
        subject=token_subject(token),
        summary=f"Changed the proxy token {token.username}",
        before=before,
        after={"name": token.name, "expires_at": str(token.expires_at)},
    )


@transaction.atomic
def do_delete_proxy_token(token: ProxyToken, *, acting_user: User | None) -> None:
    """Revoke a token; its sessions end."""
    subject, user_id = token_subject(token), token.user_id
    token.delete()
    raise_version("user", user_id)
    record(
        "proxy_token.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Revoked the proxy token {subject.name}",
    )


def _renew(token: ProxyToken) -> str:
    password = random_text(PASSWORD_BITS)
    token.set_verifiers(make_verifiers(password, os.urandom(_SALT_BYTES)))
    return password
