"""No one raises himself, and the last owner stays."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
USER_ADMIN = ("users.view", "users.change")


def role_id(name: str) -> str:
    from querykeep_api.iam.models import Role

    found: str = Role.objects.get(name=name).pk
    return found


def test_user_admin_cannot_give_roles(new_user: Any, as_user: Any) -> None:
    admin = new_user("admin", *USER_ADMIN)
    caller = as_user(admin)
    answer = caller.patch(f"users/{admin.pk}", {"roles": [role_id("owner")]})
    assert answer.status_code == 403
    answer = caller.post("users", {"username": "puppet", "roles": [role_id("owner")]})
    assert answer.status_code == 403


def test_roles_change_cannot_give_more_than_held(new_user: Any, as_user: Any) -> None:
    boss = new_user("boss", "users.view", "roles.change")
    other = new_user("other")
    caller = as_user(boss)
    refused = caller.patch(f"roles/{role_id('auditor')}", {"users": [other.pk]})
    assert refused.status_code == 403
    assert refused.json()["code"] == "cannot_raise"
    refused = caller.post("roles", {"name": "mine", "permissions": ["audit.view"]})
    assert refused.status_code == 403


def test_user_admin_cannot_take_over_an_owner(owner: Any, new_user: Any, as_user: Any) -> None:
    caller = as_user(new_user("admin", *USER_ADMIN))
    path = f"users/{owner.pk}"
    assert caller.post(f"{path}/temporary-password").status_code == 403
    assert caller.patch(path, {"email": "evil@example.com"}).status_code == 403
    change = {"is_active": False, "deactivation_reason": "because"}
    assert caller.patch(path, change).status_code == 403


def test_a_deactivated_owner_is_not_a_user_admins_to_take(
    as_owner: Any, new_user: Any, as_user: Any
) -> None:
    from querykeep_api.iam.models import Role

    second = new_user("second")
    Role.objects.get(name="owner").users.add(second)
    path = f"users/{second.pk}"
    leave = {"is_active": False, "deactivation_reason": "left"}
    assert as_owner.patch(path, leave).status_code == 200
    caller = as_user(new_user("admin", *USER_ADMIN))
    for answer in (
        caller.post(f"{path}/temporary-password"),
        caller.patch(path, {"is_active": True}),
        caller.delete(path),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "cannot_raise")
    assert as_owner.delete(path).status_code == 204


def test_user_admin_cannot_join_a_group_himself_nor_one_with_roles(
    new_user: Any, as_user: Any
) -> None:
    from querykeep_api.iam.actions import do_create_group, do_set_role_holders
    from querykeep_api.iam.models import Role

    admin, other = new_user("admin", *USER_ADMIN), new_user("other")
    plain = do_create_group(name="analysts", acting_user=None)
    strong = do_create_group(name="owners", acting_user=None)
    do_set_role_holders(Role.objects.get(name="owner"), groups=[strong], acting_user=None)
    caller = as_user(admin)
    assert caller.patch(f"groups/{plain.pk}", {"members": [other.pk]}).status_code == 200
    both = {"members": [other.pk, admin.pk]}
    assert caller.patch(f"groups/{plain.pk}", both).status_code == 403
    assert caller.patch(f"groups/{strong.pk}", {"members": [other.pk]}).status_code == 403
    assert caller.patch(f"users/{admin.pk}", {"groups": [plain.pk]}).status_code == 403


def test_policy_admin_cannot_grant_or_exempt_himself(new_user: Any, as_user: Any) -> None:
    from tests.api.kernel.test_permissions import OBJECT, make_connection

    from querykeep_api.dbam.models import Privilege

    admin = new_user("admin", "policy.view", "policy.change", "connections.view")
    connection = make_connection()
    caller = as_user(admin)
    grant = {
        "user": admin.pk,
        "connection": connection.pk,
        "privilege": Privilege.objects.get(name="owner").pk,
    }
    refused = caller.post("grants", grant)
    assert (refused.status_code, refused.json()["code"]) == (403, "self_grant")
    rule = {
        "name": "r",
        "objects": [OBJECT],
        "masker": {"kind": "full", "params": {}},
        "applies_to": {"everyone": True},
        "exempt": {"users": [admin.pk]},
    }
    refused = caller.post("masking-rules", rule)
    assert (refused.status_code, refused.json()["code"]) == (403, "self_grant")


def test_the_last_owner_stays(owner: Any, as_owner: Any, new_user: Any) -> None:
    path = f"users/{owner.pk}"
    change: dict[str, object] = {"is_active": False, "deactivation_reason": "leaves"}
    bodies: tuple[dict[str, object], ...] = (change, {"roles": []})
    for body in bodies:
        answer = as_owner.patch(path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    role = f"roles/{role_id('owner')}"
    assert as_owner.patch(role, {"users": []}).status_code == 409
    second = new_user("second")
    assert as_owner.patch(role, {"users": [owner.pk, second.pk]}).status_code == 200
    assert as_owner.patch(path, {"roles": []}).status_code == 200


def test_builtin_roles_and_privileges_stay(as_owner: Any) -> None:
    from querykeep_api.dbam.models import Privilege

    role = f"roles/{role_id('auditor')}"
    assert as_owner.patch(role, {"permissions": ["users.change"]}).status_code == 409
    assert as_owner.delete(role).status_code == 409
    privilege = f"privileges/{Privilege.objects.get(name='read-only').pk}"
    assert as_owner.patch(privilege, {"kinds": ["drop"]}).status_code == 409
    assert as_owner.delete(privilege).status_code == 409


def test_user_admin_deletes_neither_himself_nor_who_holds_more(
    owner: Any, new_user: Any, as_user: Any
) -> None:
    admin = new_user("admin", *USER_ADMIN)
    caller = as_user(admin)
    assert caller.delete(f"users/{owner.pk}").status_code == 403
    himself = caller.delete(f"users/{admin.pk}")
    assert (himself.status_code, himself.json()["code"]) == (409, "own_account")


def test_a_deleted_person_is_gone_with_what_he_holds_but_not_from_the_record(
    as_owner: Any, new_user: Any, as_user: Any
) -> None:
    from tests.api.kernel.test_permissions import make_connection

    from querykeep_api.dbam.actions.grants import do_create_grant
    from querykeep_api.dbam.models import Grant, Privilege
    from querykeep_api.kernel.models import OutboxEvent

    kim = new_user("kim", "audit.view")
    his = as_user(kim)
    do_create_grant(
        user=kim,
        group=None,
        connection=make_connection(),
        privilege=Privilege.objects.get(name="read-only"),
        acting_user=kim,
    )
    stale = {"If-Match": '"r999"'}
    assert as_owner.delete(f"users/{kim.pk}", **stale).status_code == 412
    assert as_owner.delete(f"users/{kim.pk}").status_code == 204
    assert his.get("me").status_code == 401
    assert as_owner.get(f"users/{kim.pk}").status_code == 404
    assert not Grant.everything.exists()
    told = OutboxEvent.objects.get(kind="user.deleted")
    assert (told.subject_id, told.subject_name) == (kim.pk, "kim")
    assert told.before is not None
    assert told.before["roles"] == ["role of kim"]
    again = as_owner.post("users", {"username": "kim"})
    assert again.status_code == 201
    assert again.json()["id"] != kim.pk


@pytest.fixture
def bound(new_user: Any) -> Any:
    """A policy administrator who holds a grant, with a privilege of his own kind."""
    from tests.api.kernel.test_permissions import make_connection

    from querykeep_api.dbam.actions.grants import do_create_grant, do_create_privilege

    admin = new_user("admin", "policy.view", "policy.change", "connections.view", "users.view")
    admin.connection = make_connection()
    admin.privilege = do_create_privilege({"name": "mine", "kinds": ["select"]}, acting_user=None)
    do_create_grant(
        user=admin,
        group=None,
        connection=admin.connection,
        privilege=admin.privilege,
        acting_user=None,
    )
    return admin


def test_policy_admin_cannot_widen_a_privilege_that_he_holds(bound: Any, as_user: Any) -> None:
    caller, path = as_user(bound), f"privileges/{bound.privilege.pk}"
    for change in ({"kinds": ["select", "drop"]}, {"functions": ["export"]}):
        refused = caller.patch(path, change)
        assert (refused.status_code, refused.json()["code"]) == (403, "self_grant"), change
    assert caller.patch(path, {"kinds": ["show"], "name": "less"}).status_code == 403
    assert caller.patch(path, {"name": "same"}).status_code == 200


def test_policy_admin_cannot_loosen_a_rule_that_binds_him(
    bound: Any, as_user: Any, as_owner: Any, new_user: Any
) -> None:
    from tests.api.kernel.test_permissions import OBJECT

    other = new_user("other")
    rule = as_owner.post(
        "masking-rules",
        {
            "name": "r",
            "objects": [OBJECT],
            "masker": {"kind": "full", "params": {}},
            "applies_to": {"everyone": True},
        },
    ).json()
    caller, path = as_user(bound), f"masking-rules/{rule['id']}"
    another = {**OBJECT, "column": "other"}
    loosening: tuple[dict[str, Any], ...] = (
        {"is_enabled": False},
        {"objects": [another]},
        {"masker": {"kind": "keep_last", "params": {"count": "4"}}},
        {"relaxations": ["where"]},
        {"applies_to": {"users": [other.pk]}},
    )
    for change in loosening:
        refused = caller.patch(path, change)
        assert (refused.status_code, refused.json()["code"]) == (403, "self_grant"), change
    assert caller.delete(path).status_code == 403
    # What binds him more, or others, is his work.
    assert caller.patch(path, {"objects": [OBJECT, another], "name": "n"}).status_code == 200
    assert as_owner.patch(path, {"exempt": {"users": [bound.pk]}}).status_code == 200
    assert caller.patch(path, {"is_enabled": False}).status_code == 200
    assert as_owner.delete(path).status_code == 204


def test_policy_admin_cannot_narrow_a_statement_rule_that_binds_him(
    bound: Any, as_user: Any, as_owner: Any
) -> None:
    rule = {
        "name": "r",
        "check": "write_without_where",
        "applies_to": {"everyone": True},
    }
    made = as_owner.post("statement-rules", rule).json()
    caller, path = as_user(bound), f"statement-rules/{made['id']}"
    elsewhere = [{"schema": "nowhere", "table": "t"}]
    for change in ({"objects": elsewhere}, {"priority": 5000}, {"effect": "allow"}):
        refused = caller.patch(path, change)
        assert (refused.status_code, refused.json()["code"]) == (403, "self_grant"), change
    assert as_owner.patch(path, {"objects": elsewhere}).status_code == 200
    assert caller.patch(path, {"objects": []}).status_code == 200


def test_policy_admin_makes_no_rule_that_allows_himself_something(
    bound: Any, as_user: Any, as_owner: Any, new_user: Any
) -> None:
    from tests.api.kernel.test_permissions import make_connection

    other, caller = new_user("other"), as_user(bound)
    rule: dict[str, Any] = {
        "name": "r",
        "check": "kind",
        "values": ["drop"],
        "effect": "allow",
        "priority": 0,
    }
    for whom in ({"everyone": True}, {"users": [bound.pk]}):
        refused = caller.post("statement-rules", {**rule, "applies_to": whom})
        assert (refused.status_code, refused.json()["code"]) == (403, "self_grant"), whom
    made = caller.post("statement-rules", {**rule, "applies_to": {"users": [other.pk]}})
    assert made.status_code == 201
    path = f"statement-rules/{made.json()['id']}"
    assert caller.patch(path, {"applies_to": {"everyone": True}}).status_code == 403
    assert as_owner.patch(path, {"applies_to": {"everyone": True}}).status_code == 200
    widening: tuple[dict[str, Any], ...] = ({"values": ["drop", "alter"]}, {"priority": 1})
    for change in widening:
        assert caller.patch(path, change).status_code == 403, change
    assert caller.patch(path, {"objects": []}).status_code == 200  # as it is
    assert caller.patch(path, {"name": "another"}).status_code == 200
    # Where he holds nothing it is his work, and so is what takes the allowance away.
    elsewhere = make_connection("elsewhere")
    assert caller.patch(path, {"connections": [elsewhere.pk], "priority": 2}).status_code == 200
    assert caller.patch(path, {"connections": []}).status_code == 403
    assert as_owner.patch(path, {"connections": []}).status_code == 200
    assert caller.delete(path).status_code == 204
