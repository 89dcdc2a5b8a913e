"""How statements and sessions end early on a real server: cancel, limits, one side gone."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors as pg_errors
from tests.engines.postgresql.clients import Connection, connect
from tests.engines.postgresql.harness import (
    Governed,
    governed_by,
    session_policy,
)

from querykeep_engines.kit import session as kit
from querykeep_guard.contracts.audit import Outcome
from querykeep_guard.contracts.policy import Limits
from querykeep_guard.contracts.session import EndReason, Target


def once_active(direct: Connection, text: str, act: Callable[[], None]) -> threading.Thread:
    """Act in a thread as soon as the target works on a statement."""

    def work() -> None:
        deadline = time.monotonic() + 20
        while not active(direct, text):
            assert time.monotonic() < deadline
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def active(direct: Connection, text: str) -> int:
    row = direct.execute(
        "select count(*) from pg_stat_activity where query = %s and state = 'active'", (text,)
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_cancel_from_the_client_reaches_the_target(governed: Governed, direct: Connection) -> None:
    with connect(governed, autocommit=True) as connection:
        timer = once_active(direct, "select pg_sleep(30)", connection.cancel_safe)
        with pytest.raises(pg_errors.QueryCanceled):
            connection.execute("select pg_sleep(30)")
        timer.join()
        assert governed.completed()[-1].outcome is Outcome.CANCELLED
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (kit.CancelRequested(by_admin=True), "an administrator ended it"),
        (kit.CancelRequested(time_limit=True), "longer than the limit"),
    ],
)
def test_cancel_by_others_says_why(
    governed: Governed, direct: Connection, event: kit.Event, words: str
) -> None:
    with connect(governed, autocommit=True) as connection:
        timer = once_active(direct, "select pg_sleep(30)", lambda: governed.shells[-1].post(event))
        with pytest.raises(pg_errors.QueryCanceled, match=words):
            connection.execute("select pg_sleep(30)")
        timer.join()
        assert governed.completed()[-1].outcome is Outcome.KILLED
        assert connection.execute("select 1").fetchone() == (1,)


def test_client_gone_mid_statement_cancels_at_the_target(
    governed: Governed, direct: Connection
) -> None:
    connection = connect(governed, autocommit=True)
    connection.pgconn.send_query(b"select pg_sleep(31)")
    once_active(direct, "select pg_sleep(31)", connection.pgconn.finish).join()
    governed.wait_for(lambda: bool(governed.closings()))
    assert governed.completed()[-1].outcome is Outcome.CANCELLED
    assert any(isinstance(command, kit.CancelAtTarget) for command in governed.commands)
    deadline = time.monotonic() + 20
    while active(direct, "select pg_sleep(31)"):
        assert time.monotonic() < deadline


def test_session_end_is_told(governed: Governed) -> None:
    with connect(governed, autocommit=True) as connection:
        connection.execute("select 1")
        governed.shells[-1].post(kit.EndRequested(EndReason.REVOKED, "your grant was revoked"))
        governed.wait_for(lambda: bool(governed.closings()))
        with pytest.raises(psycopg.OperationalError, match="grant was revoked") as caught:
            connection.execute("select 1")
        assert caught.value.sqlstate in ("57P01", None)
    assert governed.closings()[0].reason is EndReason.REVOKED


@pytest.mark.parametrize("prepare", [False, True])
def test_row_limit_ends_the_result(target: Target, prepare: bool) -> None:
    policy = session_policy(limits=Limits(max_rows=10))
    with governed_by(target, policy=policy) as server:
        with connect(server, autocommit=True) as connection:
            with pytest.raises(psycopg.Error, match="after 10 rows"):
                connection.execute("select * from orders", prepare=prepare)
            assert len(connection.execute("select 1 from orders limit 10").fetchall()) == 10
        assert server.completed()[0].rows == 10
        assert server.completed()[0].outcome is Outcome.KILLED


def test_target_password_wrong_is_told_without_the_account(target: Target) -> None:
    wrong = dataclasses.replace(target, password="not-it")
    with governed_by(wrong) as server, pytest.raises(psycopg.OperationalError) as caught:
        connect(server)
    assert "the stored account of connection" in str(caught.value)
    assert target.username not in str(caught.value)
    assert "not-it" not in str(caught.value)


def test_target_down_is_told(target: Target) -> None:
    with (
        governed_by(dataclasses.replace(target, port=1)) as server,
        pytest.raises(psycopg.OperationalError, match="cannot be reached"),
    ):
        connect(server)
    server.wait_for(lambda: bool(server.closings()))
    assert server.closings()[0].reason.value == "target_unreachable"
