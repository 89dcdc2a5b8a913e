"""Permissions of every resource."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.api.kernel.permission_cases import ResourcePermissions

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
OBJECT = {"schema": "*", "table": "t", "column": "c"}


def make_connection(name: str = "shop") -> Any:
    from querykeep_api.dbam.actions.connections import do_create_connection

    return do_create_connection(
        {
            "name": name,
            "engine": "postgresql",
            "host": "db",
            "port": 5432,
            "database": "shop",
            "username": "app",
        },
        acting_user=None,
    )


def make_user(name: str = "someone") -> Any:
    from querykeep_api.iam.actions import do_create_user

    return do_create_user(username=name, acting_user=None)


class TestUsers(ResourcePermissions):
    path = "users"
    read = "users.view"
    write = "users.change"

    def make(self) -> Any:
        return make_user()

    def body(self) -> dict[str, Any]:
        return {"username": "another", "display_name": "김하나"}

    def change(self) -> dict[str, Any]:
        return {"display_name": "changed"}


class TestGroups(ResourcePermissions):
    path = "groups"
    read = "users.view"
    write = "users.change"

    def make(self) -> Any:
        from querykeep_api.iam.actions import do_create_group

        return do_create_group(name="analysts", acting_user=None)

    def body(self) -> dict[str, Any]:
        return {"name": "developers", "members": []}


class TestRoles(ResourcePermissions):
    path = "roles"
    read = "users.view"
    write = "roles.change"

    def make(self) -> Any:
        from querykeep_api.iam.actions import do_create_role

        return do_create_role(name="viewer", permissions=["jobs.view"], acting_user=None)

    def body(self) -> dict[str, Any]:
        return {"name": "another", "permissions": ["jobs.view"]}


class TestConnections(ResourcePermissions):
    path = "connections"
    read = ""
    write = "connections.change"

    def make(self) -> Any:
        return make_connection()

    def body(self) -> dict[str, Any]:
        return {
            "name": "another",
            "engine": "mariadb",
            "host": "db",
            "database": "shop",
            "username": "app",
            "password": "x",
        }


class TestPrivileges(ResourcePermissions):
    path = "privileges"
    read = "policy.view"
    write = "policy.change"

    def make(self) -> Any:
        from querykeep_api.dbam.actions.grants import do_create_privilege

        return do_create_privilege({"name": "p", "kinds": ["select"]}, acting_user=None)

    def body(self) -> dict[str, Any]:
        return {"name": "another", "kinds": ["select", "show"]}


class TestGrants(ResourcePermissions):
    path = "grants"
    read = "policy.view"
    write = "policy.change"

    def make(self) -> Any:
        from querykeep_api.dbam.actions.grants import do_create_grant
        from querykeep_api.dbam.models import Privilege

        self.user, self.connection = make_user(), make_connection()
        self.privilege = Privilege.objects.get(name="read-only")
        return do_create_grant(
            user=self.user,
            group=None,
            connection=self.connection,
            privilege=self.privilege,
            acting_user=None,
        )

    def body(self) -> dict[str, Any]:
        return {
            "user": self.user.pk,
            "connection": {"id": self.connection.pk},
            "privilege": self.privilege.pk,
            "hours": {"weekdays": [0, 1], "start": "09:00", "end": "18:00", "zone": "Asia/Seoul"},
        }

    def change(self) -> dict[str, Any]:
        return {"valid_until": "2999-01-01T00:00:00Z"}


class _Rules(ResourcePermissions):
    read = "policy.view"
    write = "policy.change"
    extra: ClassVar[dict[str, Any]] = {}
    fields: ClassVar[dict[str, Any]] = {}

    def model(self) -> Any:
        raise NotImplementedError

    def make(self) -> Any:
        from querykeep_api.dbam.actions.rules import do_create_rule

        data = {"name": "r", "objects_json": [OBJECT], "everyone": True, **self.fields}
        return do_create_rule(self.model(), data, acting_user=None)

    def body(self) -> dict[str, Any]:
        return {
            "name": "another",
            "objects": [OBJECT],
            "applies_to": {"everyone": True},
            "exempt": {"users": [make_user("exempt-one").pk]},
            **self.extra,
        }


class TestAccessRules(_Rules):
    path = "access-rules"

    def model(self) -> Any:
        from querykeep_api.dbam.models import AccessRule

        return AccessRule


class TestMaskingRules(_Rules):
    path = "masking-rules"
    extra: ClassVar[dict[str, Any]] = {"masker": {"kind": "keep_last", "params": {"count": "4"}}}
    fields: ClassVar[dict[str, Any]] = {"masker": {"kind": "full", "params": {}}}

    def model(self) -> Any:
        from querykeep_api.dbam.models import MaskingRule

        return MaskingRule


class TestStatementRules(_Rules):
    path = "statement-rules"
    extra: ClassVar[dict[str, Any]] = {"check": "write_without_where", "effect": "deny"}
    fields: ClassVar[dict[str, Any]] = {
        "check_kind": "kind",
        "values": ["drop"],
        "objects_json": [{"schema": "*", "table": "*"}],
    }

    def model(self) -> Any:
        from querykeep_api.dbam.models import StatementRule

        return StatementRule


def test_people_see_their_own_tokens_and_sessions_only(new_user: Any, as_user: Any) -> None:
    kim, lee = as_user(new_user("kim")), as_user(new_user("lee"))
    for caller, name in ((kim, "kim"), (lee, "lee")):
        tokens = caller.get("api-tokens").json()["results"]
        assert {row["user"]["name"] for row in tokens} == {name}
    lees = lee.get("api-tokens").json()["results"][0]["id"]
    assert kim.delete(f"api-tokens/{lees}").status_code == 404
    assert kim.get("sessions").json()["results"] == []


def test_a_token_gives_no_scope_that_its_maker_lacks(new_user: Any, as_user: Any) -> None:
    auditor = as_user(new_user("auditor", "audit.view"))
    refused = auditor.post("api-tokens", {"name": "t", "scopes": ["users.change"]})
    assert refused.status_code == 403
    assert refused.json()["code"] == "cannot_raise"
    made = auditor.post("api-tokens", {"name": "t", "scopes": ["audit.view"]})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("qk_")
    again = auditor.get(f"api-tokens/{made.json()['id']}")
    assert "secret" not in again.json()
