"""The session alone, between fake peers: order of commands, names that move, refusals, pieces of
one byte, and any bytes at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.postgresql.harness import allow, deny, mask, session_policy, split

from querykeep_engines.kit import session as kit
from querykeep_engines.kit.playbook import Playbook
from querykeep_engines.postgresql.session import PostgresqlSession, books
from querykeep_engines.postgresql.testing import FakeClient, FakeServer, Result, Wired
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    BackendMessage,
    CommandComplete,
    DataRow,
    ErrorResponse,
    Field,
    ReadyForQuery,
    RowDescription,
)
from querykeep_engines.postgresql.wire.codes import Auth, Frontend
from querykeep_guard.contracts.audit import (
    Outcome,
    SessionClosed,
    SessionOpened,
    StatementCompleted,
    StatementStarted,
    Verdict,
)
from querykeep_guard.contracts.policy import (
    Limits,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    SessionPolicy,
)
from querykeep_guard.contracts.session import (
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
    Target,
    TlsMode,
)
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import (
    Effect,
    Problem,
    RelationName,
    SessionContext,
    SettingChange,
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


SCRIPT = (
    encode.query("select 1; select 2"),
    encode.query("secret"),
    extended("secret", "s", "p") + encode.SYNC,
    encode.query("refused"),
    encode.query("begin"),
    extended("refused") + extended("select 1") + encode.SYNC,
    encode.query("rollback"),
    encode.query("boom"),
    encode.query(""),
    encode.describe("S", "s") + encode.close("S", "s") + encode.SYNC,
    extended("select 1") + extended("boom") + extended("select 1") + encode.SYNC,
)


@pytest.mark.parametrize("piece", [1, 3, 50])
def test_nothing_depends_on_where_the_network_cuts(piece: int) -> None:
    whole, cut = live(), live(piece=piece)
    for data in SCRIPT:
        assert whole.send(data) == cut.send(data)
    assert whole.server.received == cut.server.received
    assert [(e.statement, e.verdict) for e in started(whole)] == [
        (e.statement, e.verdict) for e in started(cut)
    ]
    assert [(e.outcome, e.rows, e.bytes) for e in completed(whole)] == [
        (e.outcome, e.rows, e.bytes) for e in completed(cut)
    ]


def test_order_of_commands_is_decide_record_send() -> None:
    session = make_session()
    play = Playbook(session)
    play >> kit.ClientBytes(FakeClient.startup())
    (play << kit.ToClient << records(SessionOpened))
    play << kit.Connect()
    play >> kit.Connected() << kit.ToServer
    play >> kit.ServerBytes(encode.authentication(Auth.OK) + encode.ready_for_query("I"))
    play << kit.RegisterCancelKey << kit.ToClient << kit.Ready
    play >> kit.ClientBytes(encode.query("select 1")) << kit.ToServer
    reading = FakeServer({})
    reading.feed(FakeClient.startup())
    assert isinstance(play.last, kit.ToServer)
    play >> kit.ServerBytes(reading.feed(play.last.data)) << kit.Decide
    assert isinstance(play.last, kit.Decide)
    assert play.last.context.search_path == ("$user", "public")
    play >> kit.Decided(play.last.request_id, plain("select 1", play.last.context))
    play << records(StatementStarted)
    play << kit.ToServer(encode.query("select 1"))
    play.end()
    assert session.running is not None
    assert not session.idle
    play >> kit.ServerBytes(encode.command_complete("SELECT 0") + encode.ready_for_query("I"))
    play << records(StatementCompleted)
    play << kit.ToClient
    play.end()
    assert session.running is None
    assert session.idle


def test_refusal_in_a_transaction_fails_it_at_the_target_too() -> None:
    wired = live()
    wired.send(encode.query("begin"))
    messages = wired.send(encode.query("refused"))
    assert errors_of(messages) == [("42501", "refused by rule R")]
    assert messages[-1] == ReadyForQuery("E")
    assert "refused" not in wired.server.ran
    assert wired.send(encode.query("rollback"))[-1] == ReadyForQuery("I")


def test_refusal_outside_a_transaction_sends_nothing() -> None:
    wired = live()
    before = len(wired.server.received)
    messages = wired.send(encode.query("refused"))
    assert [type(message) for message in messages] == [ErrorResponse, ReadyForQuery]
    wired.send(encode.query("select 1"))
    texts = [getattr(message, "text", "") for message in wired.server.received[before:]]
    assert not any("REFUSED" in text or "refused" in text for text in texts)


def test_refused_parse_skips_to_sync_and_runs_nothing_behind_it() -> None:
    wired = live()
    messages = wired.send(extended("refused") + extended("select 1") + encode.SYNC)
    assert [type(message) for message in messages] == [ErrorResponse, ReadyForQuery]
    assert wired.server.ran == []
    assert [event.verdict for event in started(wired)] == [Verdict.DENIED]


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


def test_masked_rows_without_describe_are_masked_and_the_answer_is_kept() -> None:
    wired = live()
    messages = wired.send(extended("secret") + encode.SYNC)
    assert not any(isinstance(message, RowDescription) for message in messages)
    assert [m.values for m in messages if isinstance(m, DataRow)] == [
        (b"1", b"*****"),
        (b"2", None),
    ]


def test_error_of_a_masked_statement_is_cut_down() -> None:
    def decide(text: str, _context: SessionContext) -> tuple[Decision, ...]:
        return (allow(text, MaskPlan(None, redact_errors=True)),)

    wired = live(decide)
    for data in (encode.query("boom"), extended("boom") + encode.SYNC):
        ((code, text),) = errors_of(wired.send(data))
        assert code == "22012"
        assert "a@b" not in text
    assert all("a@b" not in event.error for event in completed(wired))


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
    "data",
    [
        encode.frame(Frontend.QUERY, b"select '\xff'\0"),
        encode.frame(Frontend.PARSE, b"\0select '\xff'\0\0\0") + encode.SYNC,
    ],
)
def test_text_that_is_not_utf8_is_an_error_of_the_statement(data: bytes) -> None:
    wired = live()
    messages = wired.send(data)
    assert errors_of(messages)[0][0] == "22021"
    assert messages[-1] == ReadyForQuery("I")
    assert started(wired)[-1].error_code == "22021"
    assert errors_of(wired.send(encode.query("select 1"))) == []


def test_prepared_statements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_chars = 1024 * 1024
    monkeypatch.setattr(books, "REMEMBERED_CHARS", limit_chars)
    wired = live()
    text = "select 1" + " " * 30_000
    wired.server.results = {text: RESULTS["select 1"]}
    codes = []
    for number in range(50):
        messages = wired.send(encode.parse(f"s{number}", text) + encode.SYNC)
        codes += [code for code, _ in errors_of(messages)]
    assert set(codes) == {"54000"}
    assert len(codes) == 50 - limit_chars // len(text)
    wired.send(encode.close("S", "s0") + encode.SYNC)
    assert errors_of(wired.send(encode.parse("again", text) + encode.SYNC)) == []


def test_function_call_is_refused_and_recorded() -> None:
    wired = live()
    messages = wired.send(encode.frame(Frontend.FUNCTION_CALL, b"\0\0\0\7" + b"\0" * 6))
    assert errors_of(messages)[0][0] == "0A000"
    assert messages[-1] == ReadyForQuery("I")
    assert started(wired)[-1].verdict is Verdict.DENIED


def test_several_statements_in_parse_are_a_syntax_error() -> None:
    wired = live()
    assert errors_of(wired.send(extended("select 1; select 2") + encode.SYNC))[0][0] == "42601"
    assert wired.server.ran == []


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


def test_policy_change_ends_a_result_under_way() -> None:
    wired = live()
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    wired.release()
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    wired.post(kit.PolicyChanged(session_policy(version=2, masking_rules=(HIDDEN,))))
    messages = wired.release()
    assert not any(isinstance(message, DataRow) for message in messages)
    assert errors_of(messages)[0][0] == "57014"
    assert messages[-1] == ReadyForQuery("I")
    assert completed(wired)[-1].outcome is Outcome.KILLED


def test_new_version_of_the_same_policy_ends_nothing() -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    wired.post(kit.PolicyChanged(session_policy(version=2)))
    assert any(isinstance(message, DataRow) for message in wired.release())


def test_row_limit_counts_across_runs_and_names_itself() -> None:
    rows = tuple((str(n).encode(),) for n in range(20))
    server = FakeServer({"many": (Result((ID,), rows, "SELECT 20"),)})
    for piece in (1, 40, 1 << 30):
        server = FakeServer({"many": (Result((ID,), rows, "SELECT 20"),)})
        wired = live(server=server, piece=piece, policy=session_policy(limits=Limits(max_rows=7)))
        messages = wired.send(encode.query("many"))
        assert sum(isinstance(message, DataRow) for message in messages) == 7
        assert errors_of(messages)[0][0] == "54000"
        assert not any(isinstance(message, CommandComplete) for message in messages)
        assert sum(isinstance(command, kit.CancelAtTarget) for command in wired.commands) == 1


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.REVOKED, "57P01"),
        (EndReason.SPOOL_FULL, "53100"),
        (EndReason.LEASE_OVER, "57P01"),
    ],
)
def test_end_is_told_recorded_and_final(reason: EndReason, code: str) -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    messages = wired.post(kit.EndRequested(reason, "why it ended"))
    assert errors_of(messages) == [(code, "why it ended")]
    assert completed(wired)[-1].outcome is Outcome.KILLED
    (closed,) = events(wired, SessionClosed)
    assert (closed.reason, closed.detail) == (reason, "why it ended")
    assert wired.commands[-1] == kit.Close(reason, "why it ended")
    assert wired.session.handle(kit.ClientBytes(encode.query("select 1"))) == []


def test_target_gone_is_told() -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    messages = wired.post(kit.Closed(kit.Side.SERVER))
    assert errors_of(messages) == [("08006", "the target closed the connection")]
    assert completed(wired)[-1].outcome is Outcome.ERROR


def farewell(code: str, text: str) -> kit.ServerBytes:
    fields = (("S", "치명적오류"), ("V", "FATAL"), ("C", code), ("M", text))
    return kit.ServerBytes(encode.error_response(fields))


@pytest.mark.parametrize("code", ["57P01", "57P05", "25P03"])
def test_the_last_words_of_an_idle_target_are_passed_on_and_nothing_behind_them(code: str) -> None:
    wired = live()
    messages = wired.post(farewell(code, "going away"))
    messages += wired.post(kit.Closed(kit.Side.SERVER))
    assert errors_of(messages) == [(code, "going away")]
    (closed,) = events(wired, SessionClosed)
    assert closed.reason is EndReason.TARGET_CLOSED
    assert f"going away ({code})" in closed.detail


@pytest.mark.parametrize("redact", [False, True])
def test_the_last_words_inside_statements_end_them_all(redact: bool) -> None:
    plan = MaskPlan(None, redact_errors=redact)
    wired = live(decide=lambda text, _context: tuple(allow(part, plan) for part in split(text)))
    wired.send(encode.query("select 1"))
    wired.commands.clear()
    wired.hold_server = True
    wired.send(encode.query("select 1; select 1"))
    messages = wired.post(farewell("57P01", "an operator ended it"))
    messages += wired.post(kit.Closed(kit.Side.SERVER))
    assert errors_of(messages) == [("57P01", "an operator ended it")]
    first, second = completed(wired)
    assert (first.outcome, first.error_code) == (Outcome.ERROR, "57P01")
    assert (second.outcome, second.error_code) == (Outcome.ERROR, "")
    assert second.error.startswith("not run")
    assert not any(isinstance(command, kit.CancelAtTarget) for command in wired.commands)


def test_last_words_that_may_quote_a_value_stay_hidden() -> None:
    plan = MaskPlan(None, redact_errors=True)
    wired = live(decide=lambda text, _context: (allow(text, plan),))
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    ((code, text),) = errors_of(wired.post(farewell("XX001", "bad page: kim@example.com")))
    assert code == "XX001"
    assert "kim@" not in text
    (closed,) = events(wired, SessionClosed)
    assert "kim@" not in closed.detail


def test_a_refusal_that_was_on_its_way_is_told_before_the_last_words() -> None:
    wired = live(decide=lambda text, _context: (deny(text),))
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.parse("", "select 1") + encode.SYNC)
    messages = wired.post(farewell("57P01", "going away"))
    assert [code for code, _ in errors_of(messages)] == ["42501", "57P01"]


def test_client_that_floods_is_paused_and_served() -> None:
    limits = kit.WireLimits(pipeline_messages=20)
    wired = live(limits=limits)
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1") * 100)
    assert any(isinstance(command, kit.PauseClient) for command in wired.commands)
    messages = wired.release()
    assert sum(isinstance(message, ReadyForQuery) for message in messages) == 100
    assert any(isinstance(command, kit.ResumeClient) for command in wired.commands)


def test_encoding_changed_behind_the_session_ends_it() -> None:
    wired = live()
    messages = wired.post(kit.ServerBytes(encode.parameter_status("client_encoding", "LATIN1")))
    assert errors_of(messages)[0][0] == "08P01"


def test_copy_that_was_not_decided_on_ends_the_session() -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("select 1"))
    messages = wired.post(kit.ServerBytes(b"H" + encode.copy_data(b"")[1:4] + b"\x07\0\0\0"))
    assert errors_of(messages)[0][0] == "42501"
    assert events(wired, SessionClosed)


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


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_any_client_bytes_leave_the_session_whole(parts: list[bytes], signed_in: bool) -> None:
    wired = live() if signed_in else Wired(make_session(), FakeServer(RESULTS), plain)
    for part in parts:
        for command in wired.session.handle(kit.ClientBytes(part)):
            assert isinstance(command, kit.Command)


FRAMES = st.builds(
    lambda kind, payload: encode.frame(kind, payload),
    st.sampled_from(list(Frontend)),
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"", b"select 1\0", b"secret\0", b"S\0", b"P\0", b"\0\0\0\0", b"\0secret\0\0\0"]
        ),
    ),
)


@settings(max_examples=300)
@given(st.lists(FRAMES, max_size=12), st.integers(1, 30))
def test_any_order_of_messages_never_shows_the_secret(frames: list[bytes], piece: int) -> None:
    wired = live(piece=piece)
    messages = wired.send(b"".join(frames) + encode.SYNC)
    for message in messages:
        if isinstance(message, DataRow):
            assert b"a@b" not in message.values


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(1, 30))
def test_any_server_bytes_leave_the_session_whole(data: bytes, piece: int) -> None:
    wired = live()
    wired.send(encode.query("select 1"))
    wired.hold_server = True
    wired.send(encode.query("secret") + extended("secret") + encode.SYNC)
    for start in range(0, len(data), piece):
        for command in wired.session.handle(kit.ServerBytes(data[start : start + piece])):
            if isinstance(command, kit.ToClient):
                assert b"a@b" not in command.data
