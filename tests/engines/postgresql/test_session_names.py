"""What names and settings mean may move under a session: then it waits, asks or judges again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engines.postgresql.harness import deny, session_policy
from tests.engines.postgresql.lone_session import (
    HIDDEN,
    RESULTS,
    Clock,
    errors_of,
    extended,
    live,
    plain,
    started,
)

from querykeep_engines.kit import session as kit
from querykeep_engines.postgresql.testing import FakeServer, Result
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    DataRow,
    ReadyForQuery,
)
from querykeep_guard.policy.decision import Decision
from querykeep_guard.sql.facts import (
    Effect,
    Problem,
    RelationName,
    SessionContext,
    SettingChange,
)


def test_a_name_that_an_unanswered_series_may_have_changed_is_waited_for() -> None:
    """Close and Parse of ``s`` are skipped by an earlier error: ``s`` still means the secret, and
    must still be masked."""
    wired = live()
    wired.send(encode.parse("s", "secret") + encode.SYNC)
    wired.hold_server = True
    wired.send(
        extended("boom")
        + encode.close("S", "s")
        + encode.parse("s", "select 1")
        + encode.SYNC
        + encode.bind("", "s")
        + encode.describe("P", "")
        + encode.execute("")
        + encode.SYNC
    )
    messages = wired.release()
    rows = [message.values for message in messages if isinstance(message, DataRow)]
    assert rows == [(b"1", b"*****"), (b"2", None)]
    assert started(wired)[-1].statement == "secret"


def test_unknown_statement_and_portal_are_refused_by_name() -> None:
    wired = live()
    assert errors_of(wired.send(encode.bind("", "nope") + encode.SYNC))[0][0] == "26000"
    assert errors_of(wired.send(encode.execute("nope") + encode.SYNC))[0][0] == "34000"


def test_portal_dies_with_its_transaction() -> None:
    wired = live()
    wired.send(encode.parse("s", "secret") + encode.bind("p", "s") + encode.SYNC)
    assert errors_of(wired.send(encode.execute("p") + encode.SYNC)) == [
        ("34000", 'portal "p" does not exist')
    ]


def test_a_portal_takes_the_name_of_a_dead_cursor_over() -> None:
    """The cursor's text must not speak for the portal that has its name now."""
    results = {
        **RESULTS,
        "declare c cursor for select 1": (Result(tag="DECLARE CURSOR"),),
        "fetch c": (Result(tag="FETCH 0"),),
    }
    seen: dict[str, SessionContext] = {}

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        seen[text] = context
        return plain(text, context)

    wired = live(decide, server=FakeServer(results))
    wired.send(encode.query("begin"))
    wired.send(encode.query("declare c cursor for select 1"))
    wired.send(encode.query("fetch c"))
    assert dict(seen["fetch c"].prepared) == {"c": "declare c cursor for select 1"}
    wired.send(encode.query("rollback"))
    wired.send(encode.query("begin"))
    wired.send(encode.parse("s", "secret") + encode.bind("c", "s") + encode.SYNC)
    wired.send(encode.query("fetch c"))
    assert dict(seen["fetch c"].prepared) == {"s": "secret"}


def test_settings_undone_by_an_error_make_prepared_statements_be_judged_again() -> None:
    asked: list[str] = []

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        asked.append(text)
        return plain(text, context)

    wired = live(decide)
    wired.send(encode.query("begin"))
    wired.send(encode.query("set search_path to x"))
    wired.send(encode.parse("s", "select 1") + encode.SYNC)
    wired.send(encode.query("rollback"))
    wired.server.search_path = "other"
    wired.send(encode.bind("", "s") + encode.execute("") + encode.SYNC)
    assert asked.count("select 1") == 2


@pytest.mark.parametrize(
    "change",
    [SettingChange("client_encoding", "LATIN1"), SettingChange("role", "postgres")],
)
def test_settings_that_would_undermine_judging_are_refused(change: SettingChange) -> None:
    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        (decision,) = plain(text, context)
        return (replace(decision, facts=replace(decision.facts, settings=(change,))),)

    wired = live(decide)
    assert errors_of(wired.send(encode.query("set search_path to x")))[0][0] == "42501"
    assert wired.server.ran == []


def reading(text: str, context: SessionContext) -> tuple[Decision, ...]:
    """As ``plain``, where each select reads a table."""
    found = []
    for decision in plain(text, context):
        facts = decision.facts
        if facts.text.strip().startswith("select"):
            facts = replace(facts, reads=(RelationName("public", "t"),))
        found.append(replace(decision, facts=facts))
    return tuple(found)


@pytest.mark.parametrize("first", ["set search_path to x", "create table t ()"])
def test_names_may_not_move_within_one_text_where_something_is_hidden(first: str) -> None:
    text = f"{first}; select 1"
    results = {**RESULTS, text: (*RESULTS[first], *RESULTS["select 1"])}
    hidden = live(
        reading, server=FakeServer(results), policy=session_policy(masking_rules=(HIDDEN,))
    )
    assert errors_of(hidden.send(encode.query(text)))[0][0] == "42501"
    assert hidden.server.ran == []
    bare = live(reading, server=FakeServer(results))
    assert errors_of(bare.send(encode.query(text))) == []


def test_ddl_in_an_open_transaction_must_be_committed_before_tables_are_read() -> None:
    wired = live(reading, policy=session_policy(masking_rules=(HIDDEN,)))
    wired.send(encode.query("begin"))
    wired.send(encode.query("create table t ()"))
    assert errors_of(wired.send(encode.query("select 1")))[0][0] == "42501"
    wired.send(encode.query("rollback"))
    assert errors_of(wired.send(encode.query("select 1"))) == []


def test_ddl_makes_the_catalog_be_read_again_once_it_is_visible() -> None:
    wired = live()
    wired.send(encode.query("begin"))
    wired.send(encode.query("create table t ()"))
    assert not any(isinstance(command, kit.CatalogChanged) for command in wired.commands)
    wired.send(encode.query("rollback"))
    assert sum(isinstance(command, kit.CatalogChanged) for command in wired.commands) == 1


def test_unknown_name_is_asked_about_once_more() -> None:
    asked = []

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        asked.append(text)
        if len(asked) == 1:
            refused = deny(text)
            problem = Problem("unknown_relation", "t is not known")
            return (replace(refused, facts=replace(refused.facts, problems=(problem,))),)
        return plain(text, context)

    wired = live(decide)
    assert errors_of(wired.send(encode.query("select 1"))) == []
    assert asked == ["select 1", "select 1"]
    assert sum(isinstance(command, kit.CatalogChanged) for command in wired.commands) == 1


def test_statements_that_cannot_change_names_cost_no_round_trip() -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    before = len(wired.server.received)
    for _ in range(5):
        wired.send(encode.query("select 1"))
        wired.send(extended("select 1") + encode.SYNC)
    texts = [getattr(message, "text", "") for message in wired.server.received[before:]]
    assert "SHOW search_path" not in texts


def test_state_is_not_read_in_a_failed_transaction() -> None:
    wired = live()
    wired.send(encode.query("begin"))
    wired.send(encode.query("set search_path to x"))
    wired.send(encode.query("boom"))
    before = len(wired.server.received)
    assert wired.send(encode.query("rollback"))[-1] == ReadyForQuery("I")
    assert [getattr(m, "text", "") for m in wired.server.received[before:]] == ["rollback"]
    wired.send(encode.query("select 1"))
    assert any(
        getattr(message, "text", "") == "SHOW search_path"
        for message in wired.server.received[before:]
    )


def test_prepared_statement_is_judged_again_after_a_second() -> None:
    clock = Clock()
    asked: list[str] = []

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        asked.append(text)
        return (deny(text, "hours are over"),) if clock.seconds > 10 else plain(text, context)

    wired = live(decide, clock=clock)
    wired.send(encode.parse("s", "select 1") + encode.SYNC)
    run = encode.bind("", "s") + encode.execute("") + encode.SYNC
    wired.send(run)
    assert len(asked) == 1
    clock.seconds = 20
    assert errors_of(wired.send(run)) == [("42501", "hours are over")]


def test_temporary_table_is_in_the_context() -> None:
    contexts: list[SessionContext] = []

    def decide(text: str, context: SessionContext) -> tuple[Decision, ...]:
        contexts.append(context)
        (decision,) = plain(text, context)
        if "create" in text:
            facts = replace(
                decision.facts,
                text="create temp table t ()",
                writes=(RelationName("pg_temp", "t"),),
                effects=frozenset({Effect.DDL}),
            )
            decision = replace(decision, facts=facts)
        return (decision,)

    wired = live(decide)
    wired.send(encode.query("create table t ()"))
    wired.send(encode.query("select 1"))
    assert contexts[-1].temporary == ("t",)
