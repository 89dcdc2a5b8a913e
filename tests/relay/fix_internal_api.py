"""A real HTTP server on loopback that answers as docs/seams.md says the internal API does."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from querykeep_engines.kit.scram import (
    ScramError,
    make_verifiers,
    server_first,
    verify_client_final,
)
from querykeep_guard.contracts.audit import SpoolRecord
from querykeep_guard.contracts.codec import from_json, to_json
from querykeep_guard.contracts.policy import (
    GrantScope,
    SessionPolicy,
    StatementKind,
    Subject,
)
from querykeep_guard.contracts.session import (
    ClientVerifiers,
    ConnectionInfo,
    Route,
    SessionGrant,
    Target,
)
from querykeep_relay.signin import is_caching_proof, is_native_proof

KEY = "k" * 32


def make_policy(version: int = 1, **changes) -> SessionPolicy:
    policy = SessionPolicy(
        version=version,
        subject=Subject("u1", "ann", "Ann"),
        connection_id="c1",
        connection_name="shop",
        engine="fake",
        database="db",
        grants=(GrantScope("g1", "read-only", frozenset({StatementKind.SELECT})),),
        lease_s=300.0,
    )
    return replace(policy, **changes)


class FakeApi:
    """State that tests read and change; every field is guarded by ``lock`` where threads meet."""

    def __init__(self) -> None:
        self.url = ""
        self.lock = threading.Condition()
        self.connections = [
            ConnectionInfo("c1", "shop", "fake", "fake", "db", 0, "1"),
        ]
        self.passwords = {"ann": "pw"}
        self.target = Target("fake", "fake", "127.0.0.1", 1, "db", "stored", "stored-secret")
        self.policy = make_policy()
        self.version = 1
        self.changes: list[dict] = []
        self.ends: list[dict] = []
        self.cancels: list[str] = []
        self.ended_policies: dict[str, dict] = {}
        self.records: list[SpoolRecord] = []
        self.batches: list[int] = []
        self.beats: list[dict] = []
        self.ended: list[dict] = []
        self.catalog: object = None
        self.catalogs_put = 0
        self.tickets: dict[str, Route] = {}
        self.verifiers: ClientVerifiers | None = None
        self.accept_records = True
        self.challenges: dict[str, tuple] = {}
        self.down = False
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda path: None

    # --- what tests do ---

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        with self.lock:
            assert self.lock.wait_for(condition, timeout_s), "the API never saw it"

    def events(self, kind: str = "") -> list[dict]:
        with self.lock:
            return [r.payload for r in self.records if not kind or r.type == kind]

    def change_policy(self, policy: SessionPolicy | None = None) -> None:
        with self.lock:
            self.version += 1
            if policy is not None:
                self.policy = replace(policy, version=self.version)
            self.changes.append({"kind": "user", "id": "u1", "version": self.version})

    def ticket_time_over(self) -> None:
        """More than a ticket's time has passed since the last one was given."""
        with self.lock:
            self.tickets.clear()

    def grant(self, route: str) -> SessionGrant:
        return SessionGrant(
            uuid.uuid4().hex,
            Route(route),
            self.policy,
            self.target,
            "",
            datetime.now(UTC),
            client_verifiers=self.verifiers if route == "agent" else None,
        )

    # --- what the API answers ---

    def answer(self, method: str, path: str, body) -> tuple[int, object]:
        if path == "connections":
            return 200, {"version": self.version, "connections": to_json(self.connections)}
        if path == "signin/challenge":
            return self._challenge(body)
        if path == "signin/prove" and body["mechanism"].startswith("SCRAM"):
            return self._prove_scram(body)
        if path == "signin/prove" and body["mechanism"] != "native_password":
            return self._prove_hash(body)
        if path == "signin/prove":
            data = base64.b64decode(body["data"]).decode("utf-8", "replace")
            if self.passwords.get(body["username"]) != data:
                return _refused("bad_credentials", "wrong user name or password")
            return 200, {"grant": to_json(self.grant(body["route"])), "data": ""}
        if path == "tickets":
            if body["access_token"] != "access":
                return _refused("bad_credentials", "sign in again")
            ticket = uuid.uuid4().hex
            self.tickets[ticket] = Route.AGENT
            from querykeep_guard.contracts.session import ClientVerifiers

            self.verifiers = from_json(ClientVerifiers, body["verifiers"])
            info = to_json(self.connections[0])
            return 200, {"ticket": ticket, "expires_at": "2030-01-01T00:00:00Z", "connection": info}
        if path == "tickets/redeem":
            if self.tickets.pop(body["ticket"], None) is None:
                return _refused("ticket_invalid", "the ticket is unknown, used or too old")
            return 200, {"grant": to_json(self.grant("agent"))}
        if path == "heartbeat":
            self.beats.append(body)
            self.ended += body["ended"]
            changes = [
                {"kind": c["kind"], "id": c["id"]}
                for c in self.changes
                if c["version"] > body["since"]
            ]
            ends, self.ends = self.ends, []
            cancels, self.cancels = self.cancels, []
            return 200, {
                "version": self.version,
                "changes": changes,
                "end": ends,
                "cancel": cancels,
            }
        if path == "policies":
            fresh = {i: to_json(self.policy) for i in body["sessions"]}
            gone = {i: e for i, e in self.ended_policies.items() if i in fresh}
            for session_id in gone:
                fresh.pop(session_id)
            return 200, {"policies": fresh, "ended": gone}
        if path.endswith("/catalog"):
            if method == "PUT":
                self.catalogs_put += 1
                self.catalog = body
                return 200, {"version": "1"}
            return (200, self.catalog) if self.catalog else (404, {"title": "never crawled"})
        if path.endswith("/target"):
            return 200, to_json(self.target)
        if path == "audit/records":
            if not self.accept_records:
                return 503, {"title": "no"}
            records = [from_json(SpoolRecord, item) for item in body["records"]]
            self.batches.append(len(records))
            known = {(r.spool_id, r.sequence) for r in self.records}
            self.records += [r for r in records if (r.spool_id, r.sequence) not in known]
            last: dict[str, int] = {}
            for record in records:
                last[record.spool_id] = max(last.get(record.spool_id, 0), record.sequence)
            return 200, {"acknowledged": last}
        if path == "agent-connections":
            return 200, {"connections": [{"id": "c1", "name": "shop"}]}
        return 404, {"title": f"no such call: {path}"}

    def _challenge(self, body) -> tuple[int, object]:
        verifiers = make_verifiers(self.passwords.get(body["username"], "?"), b"salt" * 4)
        first = base64.b64decode(body["data"])
        nonce = base64.b64encode(uuid.uuid4().bytes + b"xx")
        answer = server_first(first, nonce, verifiers.scram_salt, verifiers.scram_iterations)
        challenge_id = uuid.uuid4().hex
        self.challenges[challenge_id] = (verifiers, body, first, answer)
        data = base64.b64encode(answer).decode()
        return 200, {"challenge_id": challenge_id, "data": data}

    def _prove_scram(self, body) -> tuple[int, object]:
        verifiers, asked, first, answer = self.challenges.pop(body["challenge_id"])
        try:
            final = verify_client_final(
                base64.b64decode(body["data"]),
                client_first_bare=first,
                server_first_message=answer,
                gs2_header=base64.b64decode(asked["gs2_header"]),
                channel_binding=base64.b64decode(asked["channel_binding"]),
                stored_key=verifiers.scram_stored_key,
                server_key=verifiers.scram_server_key,
            )
        except ScramError:
            return _refused("bad_credentials", "the user name or password is wrong")
        data = base64.b64encode(final).decode()
        return 200, {"grant": to_json(self.grant(body["route"])), "data": data}

    def _prove_hash(self, body) -> tuple[int, object]:
        verifiers = make_verifiers(self.passwords.get(body["username"], "?"), b"salt" * 4)
        data, nonce = base64.b64decode(body["data"]), base64.b64decode(body["nonce"])
        if body["mechanism"].startswith("caching"):
            right = is_caching_proof(data, nonce, verifiers.caching_stage2)
        else:
            right = is_native_proof(data, nonce, verifiers.native_stage2)
        if not right:
            return _refused("bad_credentials", "the user name or password is wrong")
        return 200, {"grant": to_json(self.grant(body["route"])), "data": ""}


def _refused(code: str, message: str) -> tuple[int, object]:
    return 403, {"title": "refused", "refusal": {"code": code, "message": message}}


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            try:
                raw = self.rfile.read(length)
            except ConnectionError:
                raw = b""
            if len(raw) < length:
                # Its sender was killed in the middle of it.
                self.close_connection = True
                return
            path = self.path.removeprefix("/internal/v1/")
            kind, _, key = self.headers["Authorization"].removeprefix("Bearer ").partition(":")
            assert kind in ("proxy", "middleware")
            api.before(path)
            with api.lock:
                api.calls.append(path)
                status: int
                data: object
                if api.down:
                    status, data = 503, {"title": "down"}
                elif hashlib.sha256(key.encode()) == hashlib.sha256(b""):
                    status, data = 401, {"title": "who are you"}
                elif key != KEY:
                    status, data = 401, {"title": "wrong key"}
                else:
                    body = json.loads(raw) if raw else None
                    status, data = api.answer(self.command, path, body)
                api.lock.notify_all()
            answer = json.dumps(data).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names that http.server calls

        def log_message(self, *args: object) -> None:
            return

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed between two requests resets its connection; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving() -> Iterator[FakeApi]:
    """Serve an API of its own for the length of a with block; ``.url`` is where it answers."""
    api = FakeApi()
    server = _Server(("127.0.0.1", 0), _handler(api))
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def internal_api() -> Iterator[FakeApi]:
    """The API's state; ``internal_api.url`` is where it answers."""
    with serving() as api:
        yield api
