"""``health``: the parts of the installation, for those who look after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def test_health_needs_a_sign_in_and_the_permission(
    anonymous: Any, new_user: Callable[..., Any], as_user: Any
) -> None:
    assert anonymous.get("health").status_code == 401
    assert as_user(new_user("kim")).get("health").status_code == 403


def test_health_names_every_part_and_what_is_wrong(
    new_user: Callable[..., Any], as_user: Any
) -> None:
    answer = as_user(new_user("operator", "jobs.view")).get("health")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    parts = {part["name"]: part for part in body["parts"]}
    assert {"api", "worker", "beat", "middleware", "proxy", "metadata_database", "disk"} <= set(
        parts
    )
    # No worker runs beside this test.
    assert parts["worker"]["ok"] is False
    assert "querykeep worker" in parts["worker"]["message"]
    assert body["ok"] is False
