"""A reference in a body: an id, a name, or an object with one of them."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def body(new_user: Any, connection: Any) -> dict[str, Any]:
    """A grant's body with names only."""
    new_user("analyst")
    return {"user": "analyst", "connection": connection.name, "privilege": "read-only"}


def test_names_and_ids_say_the_same(as_owner: Any, body: dict[str, Any]) -> None:
    made = as_owner.post("grants", body)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert shown["user"]["name"] == "analyst"
    assert shown["privilege"]["name"] == "read-only"
    assert as_owner.delete(f"grants/{shown['id']}").status_code == 204
    for user in (shown["user"]["id"], shown["user"], {"name": "analyst"}):
        again = as_owner.post("grants", {**body, "user": user})
        assert again.status_code == 201, again.content
        assert again.json()["user"] == shown["user"]
        assert as_owner.delete(f"grants/{again.json()['id']}").status_code == 204


@pytest.mark.parametrize(
    "user", ["nobody", {"name": "nobody"}, {"id": "nobody", "name": "analyst"}, "x" * 500]
)
def test_what_nothing_is_called_is_refused(as_owner: Any, body: dict[str, Any], user: Any) -> None:
    answer = as_owner.post("grants", {**body, "user": user})
    assert answer.status_code == 400, answer.content
    assert "There is no user" in answer.json()["fields"]["user"][0]


@pytest.mark.parametrize("user", [7, ["analyst"], {}, {"id": 7}, {"name": ["analyst"]}])
def test_another_shape_is_told(as_owner: Any, body: dict[str, Any], user: Any) -> None:
    answer = as_owner.post("grants", {**body, "user": user})
    assert answer.status_code == 400, answer.content
    assert answer.json()["fields"]["user"] == [
        "Expected an id, a name, or an object with one of them."
    ]
