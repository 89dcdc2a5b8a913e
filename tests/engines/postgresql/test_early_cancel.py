"""A cancel that arrives before its statement has begun at the target is not lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors as pg_errors
from tests.engines.postgresql.harness import Governed, allow_all, governed_by

from querykeep_demo.shop import Shop
from querykeep_engines.kit import session as kit
from querykeep_guard.contracts.audit import Outcome, Verdict
from querykeep_guard.contracts.session import Target
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import SessionContext

STATEMENT = "select 'never runs'"


@pytest.fixture
def governed(shop_postgresql: Shop) -> Iterator[Governed]:
    shop = shop_postgresql
    target = Target(
        "postgresql", "postgresql", shop.host, shop.port, shop.database, shop.account_user,
        shop.account_password,
    )  # fmt: skip
    with governed_by(target) as server:
        yield server


def cancel_while_judged(governed: Governed, event: kit.Event) -> None:
    """Have the event arrive while a decision on STATEMENT is being made that lets it run."""

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        if text == STATEMENT:
            governed.shells[-1].post(event)
        return allow_all(text, context)

    governed.decide = decide


def simple(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute(STATEMENT)


def extended(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute(STATEMENT, prepare=True)


@pytest.mark.parametrize("road", [simple, extended])
@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (kit.CancelRequested(), Outcome.CANCELLED),
        (kit.CancelRequested(by_admin=True), Outcome.KILLED),
    ],
)
def test_a_statement_cancelled_while_it_is_judged_does_not_run(
    governed: Governed,
    road: Callable[[psycopg.Connection[tuple[object, ...]]], None],
    event: kit.Event,
    outcome: Outcome,
) -> None:
    cancel_while_judged(governed, event)
    with psycopg.connect(
        host="127.0.0.1", port=governed.port, user="ana", dbname="shop", sslmode="disable"
    ) as connection:
        connection.execute("select 1")
        with pytest.raises(pg_errors.QueryCanceled):
            road(connection)
        # As after the server's own cancel: the transaction is aborted, the connection lives.
        with pytest.raises(pg_errors.InFailedSqlTransaction):
            connection.execute("select 2")
        connection.rollback()
        assert connection.execute("select 3").fetchone() == (3,)
    started = [event for event in governed.started() if event.statement == STATEMENT]
    ended = {event.statement_id: event for event in governed.completed()}
    assert [event.verdict for event in started] == [Verdict.ALLOWED] * len(started)
    outcomes = [ended[event.statement_id].outcome for event in started]
    # Parse runs nothing, and so nothing is recorded of it.
    assert outcomes == ([outcome] if road is simple else [])


def test_a_cancel_while_nothing_is_asked_for_does_nothing(governed: Governed) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=governed.port, user="ana", dbname="shop", sslmode="disable"
    ) as connection:
        connection.execute("select 1")
        governed.shells[-1].post(kit.CancelRequested())
        assert connection.execute("select 2").fetchone() == (2,)
