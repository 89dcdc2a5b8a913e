"""A session alone between fake peers, and what its commands say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from tests.engines.postgresql.harness import allow, deny, mask, session_policy, split

from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.session import PostgresqlSession
from querykeep_engines.postgresql.testing import FakeClient, FakeServer, Result, Wired
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    BackendMessage,
    ErrorResponse,
    Field,
    ReadyForQuery,
)
from querykeep_guard.contracts.audit import (
    StatementCompleted,
    StatementStarted,
)
from querykeep_guard.contracts.policy import (
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    SessionPolicy,
)
from querykeep_guard.contracts.session import (
    ConnectionInfo,
    Route,
    SessionGrant,
    Target,
    TlsMode,
)
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import (
    SessionContext,
)

DecideFunction = Callable[[str, SessionContext], tuple[Decision, ...]]
START = datetime(2026, 1, 1, tzinfo=UTC)
HIDDEN = MaskingRule("m", "m", (ObjectPattern(),), MaskerSpec("full"))
ID, MAIL = Field("id", 100, 1, 23), Field("email", 100, 3, 25)
RESULTS: dict[str, tuple[Result, ...]] = {
    "select 1": (Result((ID,), ((b"1",),), "SELECT 1"),),
    "select 1; select 2": (
        Result((ID,), ((b"1",),), "SELECT 1"),
        Result((ID,), ((b"2",),), "SELECT 1"),
    ),
    "secret": (Result((ID, MAIL), ((b"1", b"a@b"), (b"2", None)), "SELECT 2"),),
    "begin": (Result(tag="BEGIN", status="T"),),
    "rollback": (Result(tag="ROLLBACK", status="I"),),
    "set search_path to x": (Result(tag="SET"),),
    "create table t ()": (Result(tag="CREATE TABLE"),),
    "boom": (Result(error="22012", rows=((b"value a@b",),)),),
}


class Clock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> tuple[datetime, float]:
        return START + timedelta(seconds=self.seconds), self.seconds


def make_session(
    policy: SessionPolicy | None = None,
    clock: Clock | None = None,
    limits: kit.WireLimits | None = None,
) -> PostgresqlSession:
    ids = itertools.count(1)
    grant = SessionGrant(
        "session-1",
        Route.AGENTLESS,
        policy or session_policy(),
        Target("postgresql", "postgresql", "h", 1, "shop", "u", "p", TlsMode.DISABLE),
        "v1",
        START,
    )
    return PostgresqlSession(
        kit.SessionConfig(
            connection=ConnectionInfo(
                "c1", "shop-postgresql", "postgresql", "postgresql", "shop", 0, "15"
            ),
            route=Route.AGENTLESS,
            client_address="10.0.0.1",
            random_bytes=lambda count: b"\x07" * count,
            new_id=lambda: f"statement-{next(ids)}",
            now=clock or Clock(),
            grant=grant,
            client_auth=False,
            limits=limits or kit.WireLimits(),
        )
    )


def plain(text: str, _context: SessionContext) -> tuple[Decision, ...]:
    """Mask ``secret``, refuse ``refused``, allow the rest."""
    found = []
    for part in split(text):
        if "refused" in part:
            found.append(deny(part, "refused by rule R"))
        elif "secret" in part:
            found.append(allow(part, MaskPlan(2, (mask(1),), redact_errors=True)))
        else:
            found.append(allow(part))
    return tuple(found)


def live(
    decide: DecideFunction = plain,
    piece: int = 1 << 30,
    server: FakeServer | None = None,
    policy: SessionPolicy | None = None,
    clock: Clock | None = None,
    limits: kit.WireLimits | None = None,
) -> Wired:
    wired = Wired(make_session(policy, clock, limits), server or FakeServer(RESULTS), decide, piece)
    messages = wired.send(FakeClient.startup())
    assert messages[-1] == ReadyForQuery("I")
    return wired


E = TypeVar("E")


def events(wired: Wired, kind: type[E]) -> list[E]:
    return [
        command.event
        for command in wired.commands
        if isinstance(command, kit.Audit) and isinstance(command.event, kind)
    ]


def records(kind: type[object]) -> Callable[[kit.Command], bool]:
    return lambda command: isinstance(command, kit.Audit) and isinstance(command.event, kind)


def started(wired: Wired) -> list[StatementStarted]:
    return events(wired, StatementStarted)


def completed(wired: Wired) -> list[StatementCompleted]:
    return events(wired, StatementCompleted)


def extended(text: str, name: str = "", portal: str = "") -> bytes:
    return encode.parse(name, text) + encode.bind(portal, name) + encode.execute(portal)


def errors_of(messages: list[BackendMessage]) -> list[tuple[str, str]]:
    return [(m.get("C"), m.get("M")) for m in messages if isinstance(m, ErrorResponse)]
