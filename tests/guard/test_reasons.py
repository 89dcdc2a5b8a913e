"""The catalogue of refusals: every code that code names is in it, with these arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from querykeep_guard.policy.reasons import REASONS

LIBS = Path(__file__).resolve().parents[2] / "libs"


def calls(name: str) -> Iterator[ast.Call]:
    for path in sorted(LIBS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield node


def keys_of(node: ast.expr) -> set[str]:
    assert isinstance(node, ast.Dict), ast.dump(node)
    found: set[str] = set()
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            assert isinstance(value, ast.Call), ast.dump(value)
            assert getattr(value.func, "id", "") == "rule_arguments"
            found |= {"rule", "rule_code"}
        else:
            assert isinstance(key, ast.Constant)
            found.add(str(key.value))
    return found


def test_codes_and_arguments_are_those_of_the_catalogue() -> None:
    used: set[str] = set()
    for call in calls("Reason"):
        if not isinstance(call.args[0], ast.Constant):
            continue  # a problem's own code: see below
        code = str(call.args[0].value)
        used.add(code)
        if len(call.args) > 1 and isinstance(call.args[1], ast.Dict):
            assert keys_of(call.args[1]) == set(REASONS[code][0]), code
    problems = {
        str(call.args[0].value)
        for name in ("Problem", "problem")
        for call in calls(name)
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert problems
    assert problems <= set(REASONS)
    assert all(REASONS[code][0] == ("object", "detail") for code in problems)
    assert used <= set(REASONS)
