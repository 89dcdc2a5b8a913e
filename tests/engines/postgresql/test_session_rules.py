"""The session alone, between fake peers: order of commands, refusals, limits, ends."""

from __future__ import annotations

import pytest
from tests.engines.postgresql.harness import allow, deny, session_policy, split
from tests.engines.postgresql.lone_session import (
    HIDDEN,
    ID,
    RESULTS,
    completed,
    errors_of,
    events,
    extended,
    live,
    make_session,
    plain,
    records,
    started,
)

from querykeep_engines.kit import session as kit
from querykeep_engines.kit.playbook import Playbook
from querykeep_engines.postgresql.session import books
from querykeep_engines.postgresql.testing import FakeClient, FakeServer, Result
from querykeep_engines.postgresql.wire import encode
from querykeep_engines.postgresql.wire.backend import (
    CommandComplete,
    DataRow,
    ErrorResponse,
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
)
from querykeep_guard.contracts.session import (
    EndReason,
)
from querykeep_guard.policy.decision import Decision, MaskPlan
from querykeep_guard.sql.facts import (
    SessionContext,
)


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
