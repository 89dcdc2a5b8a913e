"""Tokens: renewed silently and once, worth nothing to a thief for long."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.agent.fix_agent import Person, Qk

from querykeep_agent.proofs import AgentKey, sign_establish, sign_refresh, sign_ticket, verifiers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LONG_AGO = "2020-01-01T00:00:00Z"


def let_access_expire(qk: Qk) -> str:
    """Make the stored access token look old; return its refresh token."""
    (file,) = qk.home.glob("secrets-*.json")
    secrets = json.loads(file.read_text())
    secrets["tokens"]["access_expires_at"] = LONG_AGO
    file.write_text(json.dumps(secrets))
    return secrets["tokens"]["refresh_token"]


def key_of(qk: Qk) -> AgentKey:
    return AgentKey(base64.b64decode(qk.secrets()["agent_key"]))


def refresh(qk: Qk, key: AgentKey, token: str, timestamp: int | None = None) -> httpx.Response:
    at = int(time.time()) if timestamp is None else timestamp
    body = {
        "grant": "refresh",
        "refresh_token": token,
        "timestamp": at,
        "signature": sign_refresh(key, token, at),
    }
    url = f"http://{qk.system.agent_signin}/v1/tokens"
    return httpx.post(url, json=body, trust_env=False, timeout=60)


def ask_ticket(qk: Qk, access_token: str, key: AgentKey, **changed: object) -> httpx.Response:
    at = int(time.time())
    body = {
        "connection": "shop-postgresql",
        "client": {"program": "test"},
        "verifiers": verifiers("secret"),
        "proof": {
            "timestamp": at,
            "signature": sign_establish(key, "shop-postgresql", at, access_token),
        },
    }
    return httpx.post(
        f"{qk.system.establish}/v1/sessions",
        json={**body, **changed},
        headers={"Authorization": f"Bearer {access_token}"},
        verify=ssl.create_default_context(cafile=str(qk.system.ca_file)),
        trust_env=False,
        timeout=60,
    )


def test_an_old_access_token_is_renewed_unseen(signed_in: Qk):
    spent = let_access_expire(signed_in)
    done = signed_in.run("ls")
    assert (done.returncode, done.stderr) == (0, "")
    assert signed_in.tokens()["refresh_token"] != spent


def test_many_at_once_renew_once(signed_in: Qk):
    """A second renewal with the same token would revoke the agent: all would fail."""
    let_access_expire(signed_in)
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda _: signed_in.run("ls"), range(5)))
    assert [process.returncode for process in done] == [0] * 5
    assert signed_in.run("ls").returncode == 0


def test_an_access_token_that_the_server_forgot_is_replaced(signed_in: Qk):
    (file,) = signed_in.home.glob("secrets-*.json")
    secrets = json.loads(file.read_text())
    secrets["tokens"]["access_token"] = "qka_unknown"
    file.write_text(json.dumps(secrets))
    assert signed_in.run("ls").returncode == 0
    assert signed_in.tokens()["access_token"] != "qka_unknown"


def test_a_stolen_refresh_token_is_useless_without_the_key(signed_in: Qk):
    token = signed_in.tokens()["refresh_token"]
    assert refresh(signed_in, AgentKey.new(), token).status_code == 401
    let_access_expire(signed_in)
    assert signed_in.run("ls").returncode == 0, "the owner's sign-in goes on"


def test_a_spent_refresh_token_revokes_thief_and_owner(signed_in: Qk):
    spent = let_access_expire(signed_in)
    assert signed_in.run("ls").returncode == 0
    assert refresh(signed_in, key_of(signed_in), spent).status_code == 401
    done = signed_in.run("ls")
    assert done.returncode == 3
    assert "Sign in again" in done.stderr
    assert "tokens" not in signed_in.secrets(), "what is void is not kept"
    assert signed_in.run("status").returncode == 3


def test_an_old_signature_is_refused_and_spends_nothing(signed_in: Qk):
    token = signed_in.tokens()["refresh_token"]
    answer = refresh(signed_in, key_of(signed_in), token, int(time.time()) - 3600)
    assert answer.status_code == 401
    let_access_expire(signed_in)
    assert signed_in.run("ls").returncode == 0


def test_an_access_token_is_bound_to_the_key(signed_in: Qk):
    token = signed_in.tokens()["access_token"]
    assert ask_ticket(signed_in, token, AgentKey.new()).status_code == 401
    assert ask_ticket(signed_in, token, key_of(signed_in)).status_code == 201


def test_revoked_in_the_web_ui(signed_in: Qk, analyst: Person):
    agents = analyst.get("agents?ordering=-created_at").json()["results"]
    assert analyst.delete(f"agents/{agents[0]['id']}").status_code == 204
    done = signed_in.run("ls")
    assert done.returncode == 3
    assert "Sign in again" in done.stderr


def test_logout(signed_in: Qk, analyst: Person):
    old = signed_in.tokens()
    key = key_of(signed_in)
    assert signed_in.run("logout").returncode == 0
    assert not list(signed_in.home.glob("secrets-*.json"))
    assert refresh(signed_in, key, old["refresh_token"]).status_code == 401
    assert ask_ticket(signed_in, old["access_token"], key).status_code == 401
    assert signed_in.run("ls").returncode == 3
    signed_in.login(analyst)
    assert signed_in.run("ls").returncode == 0


def redeem_ticket(qk: Qk, ticket: str, key: AgentKey) -> dict[str, Any]:
    """Present a ticket on the data port; return the first frame of the answer."""
    host, _, port = qk.system.data.rpartition(":")
    context = ssl.create_default_context(cafile=str(qk.system.ca_file))
    context.set_alpn_protocols(["querykeep/1"])
    hello = json.dumps({"ticket": ticket, "signature": sign_ticket(key, ticket)}).encode()
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=host) as stream,
        stream.makefile("rb") as answer,
    ):
        stream.sendall(struct.pack(">I", len(hello)) + hello)
        (length,) = struct.unpack(">I", answer.read(4))
        return json.loads(answer.read(length))


def test_a_ticket_is_good_once_and_only_with_its_key(signed_in: Qk):
    key = key_of(signed_in)
    answer = ask_ticket(signed_in, signed_in.tokens()["access_token"], key)
    ticket = answer.json()["ticket"]
    stolen = redeem_ticket(signed_in, ticket, AgentKey.new())
    assert stolen["error"]["code"] == "ticket_invalid"
    assert redeem_ticket(signed_in, ticket, key)["ok"] is True
    assert redeem_ticket(signed_in, ticket, key)["error"]["code"] == "ticket_invalid"
    assert redeem_ticket(signed_in, "unknown", key)["error"]["code"] == "ticket_invalid"
