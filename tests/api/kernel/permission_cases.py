"""The inherited tests of a resource's permissions: anonymous, wrong scope, right scope."""

from __future__ import annotations

from typing import Any, ClassVar

from querykeep_api.kernel.permissions import PERMISSIONS


class ResourcePermissions:
    """Subclass with a path, the permissions, and ways to make an entry and a body.

    ``read`` and ``write`` are permissions; empty means any signed-in person.
    """

    path: ClassVar[str]
    read: ClassVar[str]
    write: ClassVar[str]
    methods: ClassVar[tuple[str, ...]] = ("POST", "PATCH", "DELETE")

    def make(self) -> Any:
        """Return an entry."""
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        """Return a body that makes another entry."""
        raise NotImplementedError

    def change(self) -> dict[str, Any]:
        """Return a change of an entry."""
        return {"name": "changed"}

    def calls(self, entry: Any) -> list[tuple[str, str, Any, str]]:
        """Return (method, path, body, permission) of every action."""
        found: list[tuple[str, str, Any, str]] = [
            ("GET", self.path, None, self.read),
            ("GET", f"{self.path}/{entry.pk}", None, self.read),
        ]
        bodies = {"POST": self.body(), "PATCH": self.change(), "DELETE": None}
        for method in self.methods:
            path = self.path if method == "POST" else f"{self.path}/{entry.pk}"
            found.append((method, path, bodies[method], self.write))
        return found

    def test_anonymous_is_401(self, anonymous: Any) -> None:
        for method, path, body, _ in self.calls(self.make()):
            answer = anonymous(method, path, body)
            assert answer.status_code == 401, (method, path, answer.content)
            assert answer["Content-Type"] == "application/problem+json"

    def test_every_other_permission_is_403(self, new_user: Any, as_user: Any) -> None:
        entry = self.make()
        for method, path, body, needed in self.calls(entry):
            if not needed:
                continue
            others = set(PERMISSIONS) - {needed}
            caller = as_user(new_user(f"all-but-{needed}-{method}-{len(path)}", *others))
            answer = caller(method, path, body)
            assert answer.status_code == 403, (method, path, answer.content)
            assert needed in answer.json()["detail"]

    def test_a_token_without_the_scope_is_403(self, owner: Any, as_user: Any) -> None:
        entry = self.make()
        for method, path, body, needed in self.calls(entry):
            if not needed:
                continue
            scopes = sorted(set(PERMISSIONS) - {needed})
            answer = as_user(owner, *scopes)(method, path, body)
            assert answer.status_code == 403, (method, path, answer.content)

    def test_the_owner_may(self, as_owner: Any) -> None:
        for method, path, body, _ in self.calls(self.make()):
            answer = as_owner(method, path, body)
            expected = {"GET": 200, "POST": 201, "PATCH": 200, "DELETE": 204}[method]
            assert answer.status_code == expected, (method, path, answer.content)

    def test_what_get_shows_can_be_put(self, as_owner: Any) -> None:
        path = f"{self.path}/{self.make().pk}"
        shown = as_owner.get(path)
        assert shown["ETag"] == f'"{shown.json()["etag"]}"'
        put = as_owner.put(path, shown.json(), **{"If-Match": shown["ETag"]})
        assert put.status_code == 200, put.content
        assert put.json() == shown.json()

    def test_an_unknown_filter_is_an_error(self, as_owner: Any) -> None:
        answer = as_owner.get(f"{self.path}?no_such_filter=1")
        assert answer.status_code == 400
        assert "no_such_filter" in answer.json()["fields"]

    def test_pages_and_search(self, as_owner: Any) -> None:
        self.make()
        page = as_owner.get(f"{self.path}?limit=1").json()
        assert set(page) == {"results", "next", "previous"}
        assert len(page["results"]) == 1
        none = as_owner.get(f"{self.path}?search=zzz-no-such-thing").json()
        assert none["results"] == []
