"""API tokens: made once, shown once, stored as a hash."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from querykeep_api.iam.models import ApiToken, User
from querykeep_api.kernel.errors import InvalidInput
from querykeep_api.kernel.ids import random_text
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.permissions import SCOPES
from querykeep_api.kernel.secrets import token_hash

PREFIX = "qk_"
SECRET_BITS = 256
_SHOWN = 11


def token_subject(token: ApiToken) -> SubjectRef:
    """Return how events name a token."""
    return SubjectRef("api_token", token.pk, f"{token.name} ({token.prefix}…)")


@transaction.atomic
def do_create_api_token(
    user: User,
    *,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    secret: str | None = None,
    acting_user: User | None,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its secret (``secret`` where the caller generated one).

    Raises:
        InvalidInput: A scope is not known.
    """
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        text = f"Unknown scopes: {', '.join(sorted(unknown))}."
        raise InvalidInput(text, fields={"scopes": [text]})
    secret = secret or PREFIX + random_text(SECRET_BITS)
    token = ApiToken.everything.create(
        user=user,
        name=name,
        prefix=secret[:_SHOWN],
        secret_hash=token_hash(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    record(
        "api_token.created",
        actor=acting_user,
        subject=token_subject(token),
        summary=f"Made the API token {name} for {user.username}",
        after={"user": user.username, "scopes": token.scopes},
    )
    return token, secret


@transaction.atomic
def do_change_api_token(
    token: ApiToken,
    *,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
    acting_user: User,
) -> None:
    """Change a token's name, scopes or expiry."""
    before = {"name": token.name, "scopes": token.scopes, "expires_at": str(token.expires_at)}
    token.name, token.scopes, token.expires_at = name, sorted(set(scopes)), expires_at
    token.save()
    token.raise_revision()
    record(
        "api_token.changed",
        actor=acting_user,
        subject=token_subject(token),
        summary=f"Changed the API token {name}",
        before=before,
        after={"name": name, "scopes": token.scopes, "expires_at": str(expires_at)},
    )


@transaction.atomic
def do_delete_api_token(token: ApiToken, *, acting_user: User) -> None:
    """Revoke a token: it is gone at once."""
    subject = token_subject(token)
    owner = token.user.username
    token.delete()
    record(
        "api_token.deleted",
        actor=acting_user,
        subject=subject,
        summary=f"Revoked the API token {subject.name} of {owner}",
    )
