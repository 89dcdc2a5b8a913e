"""Each kind of write that can change a policy raises the version, once, in its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from tests.api.kernel.test_permissions import OBJECT, make_connection, make_user

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def grant(**data: Any) -> Any:
    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.models import Privilege

    return do_create_grant(
        user=make_user(),
        group=None,
        connection=make_connection(),
        privilege=Privilege.objects.get(name="read-only"),
        data=data,
        acting_user=None,
    )


def rule() -> Any:
    from querykeep_api.dbam.actions.rules import do_create_rule
    from querykeep_api.dbam.models import AccessRule

    return do_create_rule(
        AccessRule,
        {"name": "r", "objects_json": [OBJECT], "everyone": True},
        acting_user=None,
    )


def group_with_member() -> tuple[Any, Any]:
    from querykeep_api.iam.actions import do_create_group, do_set_members

    group, user = do_create_group(name="g", acting_user=None), make_user()
    do_set_members(group, [user], acting_user=None)
    return group, user


def token() -> Any:
    from querykeep_api.dbam.actions.tokens import do_create_proxy_token

    return do_create_proxy_token(make_user(), make_connection(), name="t", acting_user=None)[0]


def cases() -> dict[str, Callable[[], Callable[[], object]]]:
    """Name of the write -> what must exist before it -> the write itself."""
    from querykeep_api.dbam.actions import connections, grants, rules, tokens
    from querykeep_api.iam import actions, sign_in, web_sessions

    nobody = {"acting_user": None}

    def member_removed() -> Callable[[], object]:
        group, _ = group_with_member()
        return lambda: actions.do_set_members(group, [], **nobody)

    def group_deleted() -> Callable[[], object]:
        group, _ = group_with_member()
        return lambda: actions.do_delete_group(group, **nobody)

    def group_renamed() -> Callable[[], object]:
        group, _ = group_with_member()
        return lambda: actions.do_change_group(group, name="h", description="", **nobody)

    def user_deactivated() -> Callable[[], object]:
        user = make_user()
        changes = {"is_active": False, "deactivation_reason": "left"}
        return lambda: actions.do_change_user(user, changes, **nobody)

    def web_session_ended() -> Callable[[], object]:
        session, _ = web_sessions.open_session(make_user(), address="", program="")
        return lambda: sign_in.do_sign_out(session.pk, acting_user=session.user)

    def connection_changed() -> Callable[[], object]:
        row = make_connection()
        return lambda: connections.do_change_connection(row, {"is_enabled": False}, **nobody)

    def privilege_changed() -> Callable[[], object]:
        row = grants.do_create_privilege({"name": "p", "kinds": ["select"]}, **nobody)
        return lambda: grants.do_change_privilege(row, {"kinds": ["show"]}, **nobody)

    def on(make: Callable[[], Any], write: Callable[[Any], object]) -> Callable[[], Any]:
        def prepare() -> Callable[[], object]:
            row = make()
            return lambda: write(row)

        return prepare

    return {
        "grant created": lambda: grant,
        "grant changed": on(
            grant,
            lambda row: grants.do_change_grant(
                row, {"hours": None, "objects_json": [{"schema": "s", "table": "t"}]}, **nobody
            ),
        ),
        "grant deleted": on(grant, lambda row: grants.do_delete_grant(row, **nobody)),
        "rule created": lambda: rule,
        "rule changed": on(
            rule, lambda r: rules.do_change_rule(r, {"is_enabled": False}, **nobody)
        ),
        "rule deleted": on(rule, lambda row: rules.do_delete_rule(row, **nobody)),
        "token deleted": on(token, lambda row: tokens.do_delete_proxy_token(row, **nobody)),
        "token renewed": on(token, lambda row: tokens.do_renew_proxy_token(row, **nobody)),
        "connection created": lambda: make_connection,
        "connection changed": connection_changed,
        "connection deleted": on(
            make_connection, lambda row: connections.do_delete_connection(row, **nobody)
        ),
        "privilege changed": privilege_changed,
        "member added": lambda: group_with_member,
        "member removed": member_removed,
        "group renamed": group_renamed,
        "group deleted": group_deleted,
        "user deactivated": user_deactivated,
        "web session ended": web_session_ended,
    }


NAMES = (
    "grant created", "grant changed", "grant deleted", "rule created", "rule changed",
    "rule deleted", "token deleted", "token renewed", "connection created", "connection changed",
    "connection deleted", "privilege changed", "member added", "member removed", "group renamed",
    "group deleted", "user deactivated", "web session ended",
)  # fmt: skip


def test_every_case_is_named() -> None:
    assert set(NAMES) == set(cases())


@pytest.mark.parametrize("name", NAMES)
def test_write_raises_the_version_and_hints_after_commit(
    name: str, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    from querykeep_api.kernel import hints
    from querykeep_api.kernel.policy_version import changes_since, current_version

    write = cases()[name]()
    before = current_version()
    told: list[int] = []
    monkeypatch.setattr(hints, "publish", lambda version, kind, subject: told.append(version))
    with django_capture_on_commit_callbacks(execute=True):
        write()
        assert told == []
    version, changes = changes_since(before)
    assert version > before
    assert changes
    assert max(told) == version


def test_a_rolled_back_write_raises_nothing() -> None:
    from querykeep_api.kernel.policy_version import current_version

    before = current_version()
    with transaction.atomic():
        grant()
        assert current_version() > before
        transaction.set_rollback(True)
    assert current_version() == before


def test_changes_that_were_forgotten_are_told_as_all() -> None:
    from querykeep_api.kernel.models import PolicyChange
    from querykeep_api.kernel.policy_version import Change, changes_since, current_version

    rule()
    rule()
    PolicyChange.objects.filter(version=1).delete()
    assert changes_since(0) == (current_version(), (Change("all", ""),))


def test_an_unchanged_put_raises_nothing(as_owner: Any) -> None:
    from querykeep_api.kernel.policy_version import current_version

    path = f"grants/{grant().pk}"
    shown = as_owner.get(path).json()
    before = current_version()
    assert as_owner.put(path, shown).status_code == 200
    assert current_version() == before
