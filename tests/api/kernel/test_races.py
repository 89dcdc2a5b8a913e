"""Two writers at once: nobody's change is lost, and no check is passed by racing it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[int]:
    """Make calls together; return their statuses, sorted."""
    from django.db import connections

    barrier = threading.Barrier(len(calls))

    def make(call: Callable[[], Any]) -> int:
        try:
            barrier.wait(60)
            status: int = call().status_code
            return status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(make, calls))


def test_one_of_two_changes_of_the_same_revision_is_made(owner: Any, as_user: Any) -> None:
    first, second = as_user(owner), as_user(owner)
    made = first.post("groups", {"name": "g"})
    path, tag = f"groups/{made.json()['id']}", {"If-Match": made["ETag"]}
    for _ in range(5):
        statuses = at_once(
            partial(first.patch, path, {"description": "one"}, **tag),
            partial(second.patch, path, {"description": "two"}, **tag),
        )
        assert statuses == [200, 412]
        shown = first.get(path)
        tag = {"If-Match": shown["ETag"]}
        assert first.patch(path, {"description": ""}, **tag).status_code == 200
        tag = {"If-Match": first.get(path)["ETag"]}


def test_two_owners_do_not_take_the_role_from_each_other(
    owner: Any, new_user: Any, as_user: Any
) -> None:
    from querykeep_api.iam.models import Role

    other = new_user("other-owner")
    role = Role.objects.get(name="owner")
    for _ in range(5):
        role.users.set([owner, other])
        statuses = at_once(
            partial(as_user(owner).patch, f"users/{other.pk}", {"roles": []}),
            partial(as_user(other).patch, f"users/{owner.pk}", {"roles": []}),
        )
        assert role.users.filter(is_active=True).exists()
        assert statuses[0] == 200
        assert statuses[1] in (403, 409)


def test_a_name_is_given_once(owner: Any, as_user: Any) -> None:
    callers = as_user(owner), as_user(owner)
    statuses = at_once(*(partial(c.post, "users", {"username": "kim"}) for c in callers))
    assert statuses in ([201, 400], [201, 409])
