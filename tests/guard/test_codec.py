"""Contracts go through JSON and back; what does not fit is named, and read by no shortcut."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from querykeep_guard.contracts import codec
from querykeep_guard.contracts.audit import AppliedRule, StatementStarted, Verdict
from querykeep_guard.contracts.codec import ContractError, dumps, from_json, loads, to_json
from querykeep_guard.contracts.policy import (
    AllowedHours,
    GrantScope,
    MaskerSpec,
    MaskingRule,
    ObjectPattern,
    SessionPolicy,
    StatementKind,
    Subject,
)
from querykeep_guard.contracts.session import ClientInfo, Route, SessionGrant, Target

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = SessionPolicy(
    version=7,
    subject=Subject("u", "ann", "Ann", ("g",), ("Group",)),
    connection_id="c",
    connection_name="shop",
    engine="postgresql",
    database="shop",
    grants=(
        GrantScope(
            "g1",
            "read-only",
            frozenset({StatementKind.SELECT, StatementKind.SHOW}),
            valid_until=NOW,
            hours=AllowedHours((0, 1), 0, 60, "Asia/Seoul"),
        ),
    ),
    masking_rules=(MaskingRule("m", "PII", (ObjectPattern("*", "t", "c"),), MaskerSpec("full")),),
    masking_key=b"\x00\xff",
)
GRANT = SessionGrant(
    "s",
    Route.AGENT,
    POLICY,
    Target("postgresql", "postgresql", "h", 1, "d", "u", "p"),
    "f",
    NOW,
)
STARTED = StatementStarted(
    "s1", "s", NOW, "u", "ann", Route.EDITOR, ClientInfo("::1"), "c", "shop", "db", "select '한'",
    "select", ("t",), Verdict.MASKED, (AppliedRule("r", "n", "mask", "mask"),), "d", 1, "f",
)  # fmt: skip
VALUES = (POLICY, GRANT, STARTED, replace(STARTED, objects=(), rules=()))


@dataclass(frozen=True, slots=True)
class Tree:
    """A contract that holds itself."""

    name: str
    children: tuple[Tree, ...] = ()
    weight: float = 1.0
    extra: dict[str, int] | None = None


@pytest.mark.parametrize("value", VALUES)
def test_there_and_back(value: Any) -> None:
    assert loads(type(value), dumps(value)) == value
    assert from_json(type(value), to_json(value)) == value


def test_a_type_may_hold_itself_and_numbers_may_be_whole() -> None:
    tree = Tree("a", (Tree("b", extra={"x": 1}), Tree("c", weight=2.0)))
    assert from_json(Tree, to_json(tree)) == tree
    read = from_json(Tree, {"name": "a", "weight": 3, "unknown": True})
    assert (read, type(read.weight)) == (Tree("a", weight=3.0), float)


def test_a_contract_value_may_stand_in_the_data() -> None:
    data = {**to_json(GRANT), "policy": POLICY}
    assert from_json(SessionGrant, data).policy is POLICY


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(data, (dict, list)):
        for key, item in data.items() if isinstance(data, dict) else enumerate(data):
            found += places(item, (*path, key))
    return found


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("wrong", [None, 5, "x", [], {}, True, 1.5, [None]])
def test_the_quick_reader_takes_nothing_that_the_careful_one_refuses(
    value: Any, wrong: object
) -> None:
    """At every place of the JSON, something else: same value, or the same error to the letter."""
    plain = to_json(value)
    for path in places(plain):
        data = copy.deepcopy(plain)
        part = data
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = wrong
        expected = outcome(codec._read, type(value), data, type(value).__name__)
        assert outcome(from_json, type(value), data) == expected, path


def outcome(read: Any, *arguments: Any) -> tuple[str, object]:
    try:
        value = read(*arguments)
    except ContractError as error:
        return "error", str(error)
    assert is_dataclass(value)
    return "value", [(type(getattr(value, f.name)), getattr(value, f.name)) for f in fields(value)]
