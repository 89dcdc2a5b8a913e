"""The editor's schema: what is sent is read back, and the TypeScript side is fresh."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import get_args

import pytest

from querykeep_guard.contracts.audit import Verdict
from querykeep_middleware.editor import frames, generate_ts, messages, shapes

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_typescript_side_is_fresh() -> None:
    assert generate_ts.main(["--check"]) == 0


def test_every_message_stands_in_the_generated_file() -> None:
    text = generate_ts.generate()
    for cls in (*get_args(messages.ClientMessage), *get_args(messages.ServerMessage)):
        assert f"  type: '{frames.type_name(cls)}'" in text


def test_a_client_message_survives_the_wire() -> None:
    message = messages.FetchRows(
        request="7",
        result_id="r",
        offset=1000,
        limit=500,
        view=shapes.ResultView(
            sort=(shapes.SortKey(2, descending=True),),
            filters=(shapes.ColumnFilter(0, shapes.FilterOperator.CONTAINS, "가나"),),
        ),
    )
    assert frames.decode_client(frames.encode(message)) == message


def test_a_server_message_survives_the_wire() -> None:
    rule = shapes.RuleRef("1", "PII e-mail", "masking", "mask", "M-1", "/rules/masking/1")
    message = messages.StatementFinished(
        run_id="run",
        statement_id="s",
        state=shapes.StatementState.REFUSED,
        duration_ms=1.5,
        failure=shapes.Failure(
            code="42501", message="no", verdict=Verdict.DENIED, rules=(rule,), position=8
        ),
    )
    assert frames.decode_server(frames.encode(message)) == message


def test_defaults_may_be_left_out_and_unknown_fields_are_ignored() -> None:
    frame = json.dumps({"type": "open_window", "request": "1", "protocol": 1, "later": True})
    assert frames.decode_client(frame) == messages.OpenWindow(request="1", protocol=1)


@pytest.mark.parametrize(
    ("frame", "request_id", "words"),
    [
        ("{", "", "not JSON"),
        ("[]", "", "not an object"),
        ("[" * 100_000, "", "not JSON"),
        ('{"type": 3, "request": "9"}', "9", "no message of type 3"),
        ('{"type": "window_opened", "request": "9"}', "9", "no message of type"),
        ('{"type": "cancel_run", "request": "9"}', "9", "CancelRun.tab_id: missing"),
        ('{"type": "ping", "request": 4}', "", "Ping.request: expected str"),
        (
            '{"type":"run_text","request":"1","tab_id":"t","run_id":"r","scope":"some","text":""}',
            "1",
            "is not one of RunScope",
        ),
    ],
)
def test_a_bad_frame_is_refused_with_its_request(frame: str, request_id: str, words: str) -> None:
    with pytest.raises(frames.MessageError, match=words) as caught:
        frames.decode_client(frame)
    assert caught.value.request == request_id


def test_a_time_is_written_in_utc() -> None:
    frame = frames.encode(messages.WindowTaken(at=AT))
    assert json.loads(frame) == {"type": "window_taken", "at": "2026-01-02T03:04:05Z"}
