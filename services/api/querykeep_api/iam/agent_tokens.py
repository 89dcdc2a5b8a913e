"""Tokens of agents: a short access token, and a refresh token that is good for one rotation.

An answer can be lost on its way. So a spent refresh token is answered once more with the *same*
rotation, to the same key, for a short time, and only while nothing shows that the agent has that
rotation (neither of its tokens was used). Any other return of a spent token means that two hold it:
the agent is revoked. The new tokens derive from the root key and the old refresh token's text, so
that the same rotation can be given again while only hashes are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from querykeep_api.iam.agent_keys import bad_agent_grant, verify_signature
from querykeep_api.iam.models import Agent, AgentCredential, User
from querykeep_api.kernel import clock
from querykeep_api.kernel.ids import encode, random_text
from querykeep_api.kernel.outbox import SubjectRef, record
from querykeep_api.kernel.policy_version import raise_version
from querykeep_api.kernel.secrets import keyed_hash, token_hash

ACCESS_TIME = timedelta(minutes=10)
REFRESH_TIME = timedelta(days=14)
CLOCK_SKEW = timedelta(seconds=60)
REDELIVERY_TIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AgentTokens:
    """New tokens of an agent, shown once."""

    agent: Agent
    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime


def do_refresh(*, refresh_token: str, timestamp: int, signature: bytes) -> AgentTokens:
    """Exchange a refresh token for new tokens. A spent token that comes again revokes the agent
    (two hold it, one of them a thief), unless it asks again for an answer that was lost.

    Raises:
        NotSignedIn: Unknown, spent, revoked or too old, or the signature does not fit.
    """
    credential = (
        AgentCredential.objects.select_related("agent__user")
        .filter(secret_hash=token_hash(refresh_token), kind="refresh")
        .first()
    )
    if credential is None:
        raise bad_agent_grant()
    agent, now = credential.agent, clock.now()
    message = f"querykeep-refresh\n{token_hash(refresh_token)}\n{timestamp}"
    is_his_key = verify_signature(agent.agent_key, message, signature)
    if is_his_key and abs(now.timestamp() - timestamp) > CLOCK_SKEW.total_seconds():
        raise bad_agent_grant()
    if not is_his_key and credential.spent_at is None:
        raise bad_agent_grant()  # it is of no use without the key; the owner's goes on
    with transaction.atomic():
        tokens = _exchange(credential, refresh_token, now, is_his_key=is_his_key)
    if tokens is None:
        raise bad_agent_grant()
    return tokens


def _exchange(
    credential: AgentCredential, refresh_token: str, now: datetime, *, is_his_key: bool
) -> AgentTokens | None:
    agent = credential.agent
    if agent.revoked_at is not None or not agent.user.is_active or credential.expires_at <= now:
        return None
    if is_his_key and AgentCredential.objects.filter(pk=credential.pk, spent_at=None).update(
        spent_at=now
    ):
        Agent.everything.filter(pk=agent.pk).update(last_used_at=now)
        return issue_tokens(agent, rotation_of=refresh_token)
    tokens = _same_rotation(credential, refresh_token, now) if is_his_key else None
    if tokens is None:
        _revoke(agent, "refresh token used twice", acting_user=None)
    return tokens


def _same_rotation(
    credential: AgentCredential, refresh_token: str, now: datetime
) -> AgentTokens | None:
    """Return the rotation that a spent token was given, while it may be lost on its way."""
    credential.refresh_from_db(fields=["spent_at"])
    if credential.spent_at is None or now - credential.spent_at > REDELIVERY_TIME:
        return None
    access, refresh = _rotation(refresh_token)
    given = {
        row.kind: row
        for row in AgentCredential.objects.select_for_update().filter(
            agent=credential.agent,
            secret_hash__in=[token_hash(access), token_hash(refresh)],
            spent_at=None,
            used_at=None,
        )
    }
    if set(given) != {"access", "refresh"}:
        return None
    return AgentTokens(
        credential.agent, access, given["access"].expires_at, refresh, given["refresh"].expires_at
    )


def agent_of_access_token(access_token: str) -> Agent | None:
    """Return the agent (with its active person) of a live access token, or None."""
    credential = (
        AgentCredential.objects.select_related("agent__user")
        .filter(secret_hash=token_hash(access_token), kind="access", expires_at__gt=clock.now())
        .first()
    )
    if credential is None or credential.agent.revoked_at is not None:
        return None
    if not credential.agent.user.is_active:
        return None
    if credential.used_at is None:  # the rotation that brought it has arrived
        AgentCredential.objects.filter(pk=credential.pk).update(used_at=clock.now())
    return credential.agent


def do_revoke_by_token(refresh_token: str) -> None:
    """Sign an agent out by its refresh token; an unknown one is nothing to revoke."""
    credential = (
        AgentCredential.objects.select_related("agent__user")
        .filter(secret_hash=token_hash(refresh_token), kind="refresh")
        .first()
    )
    if credential is not None and credential.agent.revoked_at is None:
        with transaction.atomic():
            _revoke(credential.agent, "signed out", acting_user=credential.agent.user)


@transaction.atomic
def do_revoke_agent(agent: Agent, *, acting_user: User) -> None:
    """Revoke an agent: its tokens are void and its sessions end."""
    _revoke(agent, "revoked", acting_user=acting_user)


def agent_subject(agent: Agent) -> SubjectRef:
    """Return how events name an agent."""
    return SubjectRef("agent", agent.pk, agent.machine)


def _revoke(agent: Agent, why: str, *, acting_user: User | None) -> None:
    agent.revoked_at = clock.now()
    agent.save(update_fields=["revoked_at"])
    AgentCredential.objects.filter(agent=agent, kind="access").delete()
    raise_version("user", agent.user_id)
    record(
        "agent.revoked",
        actor=acting_user,
        subject=agent_subject(agent),
        summary=f"Agent of {agent.user.username} on {agent.machine}: {why}",
    )


def issue_tokens(agent: Agent, *, rotation_of: str = "") -> AgentTokens:
    """Store and return new tokens of an agent: random ones, or the rotation of a refresh token."""
    now = clock.now()
    access, refresh = (
        _rotation(rotation_of)
        if rotation_of
        else (f"qka_{random_text(256)}", f"qkr_{random_text(256)}")
    )
    AgentCredential.objects.filter(agent=agent, kind="access", expires_at__lt=now).delete()
    for kind, secret, life in (("access", access, ACCESS_TIME), ("refresh", refresh, REFRESH_TIME)):
        AgentCredential.objects.create(
            agent=agent, kind=kind, secret_hash=token_hash(secret), expires_at=now + life
        )
    return AgentTokens(agent, access, now + ACCESS_TIME, refresh, now + REFRESH_TIME)


def _rotation(refresh_token: str) -> tuple[str, str]:
    """Return the access and refresh token that follow a refresh token."""

    def derived(kind: str) -> str:
        digest = keyed_hash("agent-rotation", f"{kind}\n{refresh_token}".encode())
        return encode(int.from_bytes(digest, "big"), 52)

    return f"qka_{derived('access')}", f"qkr_{derived('refresh')}"
