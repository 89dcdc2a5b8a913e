"""Agents: sign-in by two halves, device codes, rotation, tickets once, the editor's sessions."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.api.internal.conftest import CLIENT, Shop, SignedInAgent, b64, public_text
from tests.fix_api import ApiCaller

from querykeep_api.kernel import clock

pytestmark = pytest.mark.django_db(databases=["default", "audit"])

VERIFIERS = {
    "scram_salt": b64(b"s" * 16),
    "scram_iterations": 4096,
    "scram_stored_key": b64(b"k" * 32),
    "scram_server_key": b64(b"v" * 32),
    "native_stage2": b64(b"n" * 20),
    "caching_stage2": b64(b"c" * 32),
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Login:
    """An agent that signs in."""

    def __init__(self, call: Any, mode: str = "browser", expected: int = 201) -> None:
        self.call = call
        self.key = Ed25519PrivateKey.generate()
        self.login_id = secrets.token_hex(16)
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.started = call(
            "POST",
            "agent-logins",
            {
                "login_id": self.login_id,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "agent_key": public_text(self.key),
                "mode": mode,
                "machine": "laptop",
                "address": "10.0.0.9",
                "redirect_port": 50123 if mode == "browser" else None,
            },
        )
        assert self.started.status_code == expected, self.started.content

    def poll(self) -> Any:
        return self.call("GET", f"agent-logins/{self.login_id}").json()

    def redeem(self, code: str, key: Ed25519PrivateKey | None = None, **changes: Any) -> Any:
        signature = (key or self.key).sign(f"querykeep-login\n{self.login_id}\n{code}".encode())
        body = {
            "grant": "login",
            "login_id": self.login_id,
            "code": code,
            "code_verifier": self.verifier,
            "signature": b64(signature),
            **changes,
        }
        return self.call("POST", "agent-tokens", body)


def confirm(login_id: str, user: Any) -> str:
    from querykeep_api.iam.agents import access_login, browser_half, do_confirm_login

    login = access_login(login_id, user)
    do_confirm_login(login, acting_user=user)
    return browser_half(login)


def test_login_needs_both_halves_key_and_verifier(internal: Any, shop: Shop) -> None:
    login = Login(internal("middleware"))
    assert login.poll() == {"state": "waiting"}
    browser = confirm(login.login_id, shop.user)
    polled = login.poll()
    assert polled["state"] == "confirmed"
    wire = polled["code_half"]
    assert login.redeem(wire).status_code == 401
    assert login.redeem(browser).status_code == 401
    assert login.redeem(wire + browser, Ed25519PrivateKey.generate()).status_code == 401
    assert login.redeem(wire + browser, code_verifier="x" * 43).status_code == 401
    tokens = login.redeem(wire + browser)
    assert tokens.status_code == 200, tokens.content
    assert tokens.json()["user"]["username"] == "analyst"
    assert login.redeem(wire + browser).status_code == 401  # once


def test_device_mode_has_the_whole_code_on_the_wire(internal: Any, shop: Shop) -> None:
    from querykeep_api.iam.agents import do_find_device_login

    login = Login(internal("middleware"), "device")
    user_code = login.started.json()["user_code"]
    found = do_find_device_login(user_code.lower().replace("-", " "), acting_user=shop.user)
    assert found.login_id == login.login_id
    assert confirm(found.login_id, shop.user) == ""
    assert login.redeem(login.poll()["code_half"]).status_code == 200


def test_device_codes_are_rate_limited(internal: Any, shop: Shop) -> None:
    from querykeep_api.iam.agents import do_find_device_login
    from querykeep_api.kernel.errors import NotFound, TooManyTries

    login = Login(internal("middleware"), "device")
    for _ in range(5):
        with pytest.raises(NotFound):
            do_find_device_login("BBBB-BBBB", acting_user=shop.user)
    with pytest.raises(TooManyTries):
        do_find_device_login(login.started.json()["user_code"], acting_user=shop.user)


def test_a_device_login_is_answered_by_who_typed_its_code_only(
    internal: Any, shop: Shop, new_user: Any
) -> None:
    """A link to the confirmation page, sent to a victim, lets no stranger's agent in."""
    from querykeep_api.iam.agents import access_login, do_confirm_login, do_find_device_login
    from querykeep_api.iam.models import AgentLogin
    from querykeep_api.kernel.errors import NotFound

    login = Login(internal("middleware"), "device")
    with pytest.raises(NotFound):
        access_login(login.login_id, shop.user)
    with pytest.raises(NotFound):
        do_confirm_login(AgentLogin.objects.get(pk=login.login_id), acting_user=shop.user)
    do_find_device_login(login.started.json()["user_code"], acting_user=shop.user)
    with pytest.raises(NotFound):
        access_login(login.login_id, new_user("mallory"))
    assert login.poll() == {"state": "waiting"}
    confirm(login.login_id, shop.user)
    assert login.poll()["state"] == "confirmed"


def test_sign_ins_begun_from_one_address_are_bounded(
    internal: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("querykeep_api.iam.agents.LOGINS_PER_ADDRESS", 3)
    call = internal("middleware")
    for _ in range(3):
        Login(call, "device")
    Login(call, "device", expected=429)


def test_denied_login_cannot_be_redeemed(internal: Any, shop: Shop) -> None:
    from querykeep_api.iam.agents import access_login, do_deny_login, wire_half

    login = Login(internal("middleware"))
    row = access_login(login.login_id, shop.user)
    do_deny_login(row, acting_user=shop.user)
    assert login.poll() == {"state": "denied"}
    assert login.redeem(wire_half(row)).status_code == 401


def refresh(call: Any, agent: SignedInAgent, token: str, at: int | None = None) -> Any:
    timestamp = int(time.time()) if at is None else at
    signature = agent.sign(f"querykeep-refresh\n{sha(token)}\n{timestamp}")
    return call(
        "POST",
        "agent-tokens",
        {
            "grant": "refresh",
            "refresh_token": token,
            "timestamp": timestamp,
            "signature": signature,
        },
    )


def test_refresh_rotates_and_reuse_revokes_the_agent(internal: Any, agent: SignedInAgent) -> None:
    call = internal("middleware")
    first = refresh(call, agent, agent.refresh_token)
    assert first.status_code == 200, first.content
    second = refresh(call, agent, first.json()["refresh_token"])
    assert second.status_code == 200
    assert refresh(call, agent, agent.refresh_token).status_code == 401
    newest = second.json()["refresh_token"]
    assert refresh(call, agent, newest).status_code == 401
    access = {"X-Querykeep-Access": second.json()["access_token"]}
    assert internal()("GET", "agent-connections", None, **access).status_code == 401


def test_a_lost_answer_of_a_refresh_is_given_again(internal: Any, agent: SignedInAgent) -> None:
    call = internal("middleware")
    lost = refresh(call, agent, agent.refresh_token)
    assert lost.status_code == 200
    again = refresh(call, agent, agent.refresh_token)
    assert again.status_code == 200, again.content
    assert again.json() == lost.json(), "the same rotation, no second one"
    access = {"X-Querykeep-Access": again.json()["access_token"]}
    assert internal()("GET", "agent-connections", None, **access).status_code == 200


def test_no_answer_is_given_again_after_the_rotation_arrived(
    internal: Any, agent: SignedInAgent
) -> None:
    """The use of either new token shows that its agent has them: the old one is a thief's."""
    call = internal("middleware")
    fresh = refresh(call, agent, agent.refresh_token).json()
    access = {"X-Querykeep-Access": fresh["access_token"]}
    assert internal()("GET", "agent-connections", None, **access).status_code == 200
    assert refresh(call, agent, agent.refresh_token).status_code == 401
    assert internal()("GET", "agent-connections", None, **access).status_code == 401
    assert refresh(call, agent, fresh["refresh_token"]).status_code == 401


def test_a_spent_token_with_another_key_revokes_the_agent(
    internal: Any, agent: SignedInAgent
) -> None:
    call = internal("middleware")
    fresh = refresh(call, agent, agent.refresh_token).json()
    thief = SignedInAgent(Ed25519PrivateKey.generate(), "", "", agent.agent)
    assert refresh(call, thief, agent.refresh_token).status_code == 401
    assert refresh(call, agent, fresh["refresh_token"]).status_code == 401


def test_a_lost_answer_is_given_again_for_a_short_time(internal: Any, agent: SignedInAgent) -> None:
    from querykeep_api.iam.agent_tokens import REDELIVERY_TIME
    from querykeep_api.iam.models import AgentCredential

    call = internal("middleware")
    fresh = refresh(call, agent, agent.refresh_token).json()
    spent = AgentCredential.objects.exclude(spent_at=None)
    spent.update(spent_at=clock.now() - REDELIVERY_TIME - timedelta(seconds=1))
    assert refresh(call, agent, agent.refresh_token).status_code == 401
    assert refresh(call, agent, fresh["refresh_token"]).status_code == 401, "the agent is revoked"


def test_refresh_with_an_old_timestamp_is_refused(internal: Any, agent: SignedInAgent) -> None:
    old = int(time.time()) - 120
    assert refresh(internal("middleware"), agent, agent.refresh_token, old).status_code == 401


def ticket(call: Any, agent: SignedInAgent, connection: str = "shop") -> Any:
    timestamp = int(time.time())
    signature = agent.sign(
        f"querykeep-establish\n{connection}\n{timestamp}\n{sha(agent.access_token)}"
    )
    return call(
        "POST",
        "tickets",
        {
            "access_token": agent.access_token,
            "connection": connection,
            "client": CLIENT,
            "verifiers": VERIFIERS,
            "proof": {"timestamp": timestamp, "signature": signature},
        },
    )


def redeem(call: Any, agent: SignedInAgent, text: str, signature: str | None = None) -> Any:
    return call(
        "POST",
        "tickets/redeem",
        {
            "ticket": text,
            "signature": signature or agent.sign(f"querykeep-ticket\n{text}"),
            "client": CLIENT,
            "ep": "proxy-1",
        },
    )


def test_ticket_opens_one_session_with_the_local_verifiers(
    internal: Any, agent: SignedInAgent
) -> None:
    answer = ticket(internal(), agent)
    assert answer.status_code == 200, answer.content
    text = answer.json()["ticket"]
    forged = b64(Ed25519PrivateKey.generate().sign(f"querykeep-ticket\n{text}".encode()))
    assert redeem(internal(), agent, text, forged).json()["refusal"]["code"] == "ticket_invalid"
    grant = redeem(internal(), agent, text)
    assert grant.status_code == 200, grant.content
    assert grant.json()["grant"]["client_verifiers"] == VERIFIERS
    assert grant.json()["grant"]["route"] == "agent"
    assert redeem(internal(), agent, text).json()["refusal"]["code"] == "ticket_invalid"


@pytest.mark.parametrize(("after_s", "holds"), [(29.9, True), (30.0, False), (3600.0, False)])
def test_a_ticket_holds_for_thirty_seconds(
    internal: Any,
    agent: SignedInAgent,
    monkeypatch: pytest.MonkeyPatch,
    after_s: float,
    holds: bool,
) -> None:
    given = clock.now()
    monkeypatch.setattr(clock, "now", lambda: given)
    text = ticket(internal(), agent).json()["ticket"]
    monkeypatch.setattr(clock, "now", lambda: given + timedelta(seconds=after_s))
    answer = redeem(internal(), agent, text)
    if holds:
        assert answer.status_code == 200, answer.content
        return
    assert answer.status_code == 403
    refusal = answer.json()["refusal"]
    assert refusal["code"] == "ticket_invalid"
    assert refusal["message"] == "The ticket is unknown, used or too old. Connect again."


def test_ticket_needs_the_agents_signature_and_a_grant(
    internal: Any, agent: SignedInAgent, shop: Shop
) -> None:
    thief = SignedInAgent(Ed25519PrivateKey.generate(), agent.access_token, "", agent.agent)
    assert ticket(internal(), thief).status_code == 401
    shop.grant.delete()
    refused = ticket(internal(), agent)
    assert refused.json()["refusal"]["code"] == "no_grant"
    assert ticket(internal(), agent, "no-such").json()["refusal"]["code"] == "no_grant"


def test_agent_sees_its_connections(internal: Any, agent: SignedInAgent) -> None:
    answer = internal()(
        "GET", "agent-connections", None, **{"X-Querykeep-Access": agent.access_token}
    )
    listed = answer.json()["connections"]
    assert [(row["name"], row["cli"], row["privilege"]) for row in listed] == [
        ("shop", "psql", "read-only")
    ]


def test_editor_session_lives_with_its_web_session(internal: Any, shop: Shop) -> None:
    from querykeep_api.iam import sign_in, web_sessions

    session, key = web_sessions.open_session(shop.user, address="10.0.0.9", program="browser")
    call = internal("middleware")
    resolved = call("POST", "web-sessions/resolve", {"cookie": key, "client_address": ""})
    assert resolved.json()["user"]["username"] == "analyst"
    opened = call(
        "POST",
        "sessions/editor",
        {"cookie": key, "connection_id": shop.connection.pk, "client": CLIENT, "ep": "runner-1"},
    )
    assert opened.status_code == 200, opened.content
    grant = opened.json()["grant"]
    sign_in.do_sign_out(session.pk, acting_user=session.user)
    gone = call("POST", "web-sessions/resolve", {"cookie": key, "client_address": ""})
    assert gone.status_code == 401
    beat = call(
        "POST",
        "heartbeat",
        {
            "ep": "runner-1",
            "since": grant["policy"]["version"],
            "sessions": [{"id": grant["session_id"]}],
        },
    ).json()
    assert [item["reason"] for item in beat["end"]] == ["revoked"]


@pytest.mark.django_db(databases=["default", "audit"], transaction=True)
def test_a_ticket_is_redeemed_once_by_many_threads(
    agent: SignedInAgent, internal_urls: None, service_key: Any
) -> None:
    from django.db import connections

    headers = {"Authorization": service_key("proxy")}

    def caller(method: str, path: str, body: object) -> Any:
        return ApiCaller(headers)(method, f"/internal/v1/{path}", body)

    text = ticket(caller, agent).json()["ticket"]
    barrier = threading.Barrier(8)

    def attempt(_number: int) -> int:
        try:
            barrier.wait(60)
            status: int = redeem(caller, agent, text).status_code
            return status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(attempt, range(8)))
    assert outcomes == [200] + [403] * 7


def test_bodies_that_are_no_json_object_are_refused(internal: Any) -> None:
    bodies: tuple[object, ...] = ([], "text", {"ep": 7}, None)
    for body in bodies:
        answer = internal()("POST", "heartbeat", body)
        assert answer.status_code == 400, json.dumps(body)
