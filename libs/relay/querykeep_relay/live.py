"""The live sessions of this process: found by id, by cancel key, by what a change touches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import ClientInfo, EndReason, SessionGrant
from querykeep_relay.api_client import PolicyChange


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What a heartbeat tells of a session. ``statement`` is cut for display; the audit has all."""

    id: str
    state: str
    statement_id: str
    statement: str
    since: datetime
    rows: int
    bytes: int
    client_program: str


class LiveSession(Protocol):
    """A session as the feed, the registry and an embedding service steer it. All return at once."""

    @property
    def grant(self) -> SessionGrant:
        """The grant with the policy that it was opened under."""
        ...

    @property
    def policy(self) -> SessionPolicy:
        """The policy in force now."""
        ...

    @property
    def client(self) -> ClientInfo:
        """Who is at the other end."""
        ...

    @property
    def confirmed_at(self) -> float:
        """Monotonic time at which the policy in force was last known to be current."""
        ...

    def confirm(self, at: float) -> None:
        """The policy in force was current at ``at``."""
        ...

    def replace_policy(self, policy: SessionPolicy) -> None:
        """Put a new policy in force."""
        ...

    def end(self, reason: EndReason, message: str) -> None:
        """End the session; the client is told where its protocol can."""
        ...

    def cancel(self, *, by_admin: bool = False) -> None:
        """Cancel the running statement; the session goes on."""
        ...

    def report(self) -> SessionReport:
        """Return what a heartbeat tells."""
        ...

    @property
    def is_idle(self) -> bool:
        """True where ending loses no running work."""
        ...


class LiveSessions:
    """Registry; entries stand from the grant until the session's end."""

    def __init__(self) -> None:
        self._by_id: dict[str, LiveSession] = {}
        self._by_key: dict[bytes, LiveSession] = {}
        self._keys_of: dict[str, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(tuple(self._by_id.values()))

    def add(self, session: LiveSession) -> None:
        """Enter a session."""
        self._by_id[session.grant.session_id] = session

    def remove(self, session: LiveSession) -> None:
        """Take a session and its cancel keys out; safe to call twice."""
        if self._by_id.get(session.grant.session_id) is session:
            del self._by_id[session.grant.session_id]
        for key in self._keys_of.pop(session.grant.session_id, ()):
            self._by_key.pop(key, None)

    def get(self, session_id: str) -> LiveSession | None:
        """Return the session with that id, if it lives here."""
        return self._by_id.get(session_id)

    def register_cancel_key(self, key: bytes, session: LiveSession) -> None:
        """Make a key that the client was given find its session."""
        self._by_key[key] = session
        self._keys_of.setdefault(session.grant.session_id, []).append(key)

    def by_cancel_key(self, key: bytes) -> LiveSession | None:
        """Return the session behind a cancel key; None for an unknown one."""
        return self._by_key.get(key)

    def touched_by(self, changes: tuple[PolicyChange, ...]) -> list[LiveSession]:
        """Return the sessions that changes may concern; an unknown kind of change touches all."""
        users = {change.id for change in changes if change.kind == "user"}
        connections = {change.id for change in changes if change.kind == "connection"}
        everyone = any(change.kind not in ("user", "connection") for change in changes)
        return [
            session
            for session in self
            if everyone
            or session.policy.subject.user_id in users
            or session.policy.connection_id in connections
        ]
