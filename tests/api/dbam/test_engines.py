"""``engines``: what clients read of each engine."""

from __future__ import annotations

from collections.abc import Callable
from string import Formatter
from typing import Any

import pytest

from querykeep_engines.registry import specs

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def test_engines_need_a_sign_in(anonymous: Any) -> None:
    assert anonymous.get("engines").status_code == 401


def test_every_engine_is_described(new_user: Callable[..., Any], as_user: Any) -> None:
    answer = as_user(new_user("kim")).get("engines")
    assert answer.status_code == 200, answer.content
    entries = answer.json()["results"]
    assert {entry["name"] for entry in entries} == set(specs())
    for entry in entries:
        spec = specs()[entry["name"]]
        assert entry["default_port"] == spec.default_port
        assert entry["label"] == spec.label
        assert entry["identifier_quote"]
        assert entry["capabilities"] == sorted(spec.capabilities)


@pytest.mark.parametrize("name", sorted(specs()))
def test_lines_have_every_part_that_a_client_needs(name: str) -> None:
    spec = specs()[name]
    for template in (spec.cli_line, spec.jdbc, spec.url):
        parts = {part for _, part, _, _ in Formatter().parse(template) if part}
        assert {"host", "port", "database", "username"} <= parts
    assert "{tls}" in spec.cli_line
    assert "password" not in spec.cli_line
