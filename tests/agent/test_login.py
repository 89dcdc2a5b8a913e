"""Signing in, as a person does it, and as a thief would like to."""

from __future__ import annotations

import socket
import subprocess
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.agent.fix_agent import Person, Qk, follow

from querykeep_agent.proofs import AgentKey, Pkce, new_login_id, sign_login

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def wire(system):
    """The sign-in port, spoken to by hand."""
    with httpx.Client(
        base_url=f"http://{system.agent_signin}", trust_env=False, timeout=60
    ) as client:
        yield client


class Begun:
    """A login begun by hand."""

    def __init__(self, wire: httpx.Client, **changed: object) -> None:
        self.wire = wire
        self.key, self.pkce, self.id = AgentKey.new(), Pkce.new(), new_login_id()
        body = {
            "login_id": self.id,
            "code_challenge": self.pkce.challenge,
            "agent_key": self.key.public,
            "mode": "browser",
            "machine": "thief@elsewhere",
            "redirect_port": 50000,
        }
        self.answer = wire.post("/v1/logins", json={**body, **changed})
        assert self.answer.status_code < 300, self.answer.text

    def wire_half(self) -> str:
        state = self.wire.get(f"/v1/logins/{self.id}?wait=20").json()
        assert state["state"] == "confirmed"
        return state["code_half"]

    def redeem(self, code: str, **changed: object) -> httpx.Response:
        body = {
            "grant": "login",
            "login_id": self.id,
            "code": code,
            "code_verifier": self.pkce.verifier,
            "signature": sign_login(self.key, self.id, code),
        }
        return self.wire.post("/v1/tokens", json={**body, **changed})


def half_of(redirect: str) -> str:
    return parse_qs(urlsplit(redirect).query)["half"][0]


def test_browser_login(qk: Qk, analyst: Person):
    running, login_id = qk.begin_login()
    shown = analyst.get(f"agent-logins/{login_id}").json()
    assert shown["state"] == "waiting"
    assert "@" in shown["machine"]
    assert shown["address"] == "127.0.0.1"
    page = follow(analyst.confirm(login_id), "ko-KR,ko;q=0.9")
    assert "로그인했습니다" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    code, said = running.end()
    assert code == 0
    assert "as analyst" in said
    assert qk.home.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in qk.home.iterdir())
    assert [entry["name"] for entry in qk.json("ls")] == ["shop-mariadb", "shop-postgresql"]
    status = qk.json("status")["servers"][0]
    assert (status["state"], status["username"]) == ("signed_in", "analyst")


def test_device_login(qk: Qk, analyst: Person):
    running = qk.start("login", "--server", qk.system.agent_signin, "--no-browser")
    url = running.wait_for(r"Open +(\S+)")[1]
    user_code = running.wait_for(r"and type +(\S+)")[1]
    assert url == f"{qk.system.web}/agent/device"
    found = analyst.post("agent-logins/device", user_code=user_code.lower())
    assert analyst.confirm(found.json()["login_id"]) == ""
    code, said = running.end()
    assert code == 0, said
    assert qk.run("doctor").returncode == 0


def test_a_wrong_half_ends_nothing_and_the_right_one_still_counts(qk: Qk, analyst: Person):
    running, login_id = qk.begin_login()
    redirect = analyst.confirm(login_id)
    base = redirect.partition("?")[0]
    assert follow(f"{base}?half=0123456789").status_code == 400
    assert follow(base).status_code == 400
    assert follow(base.replace("/callback", "/")).status_code == 404
    foreign = httpx.get(redirect, headers={"Host": "evil.example"}, trust_env=False, timeout=60)
    assert foreign.status_code == 404
    assert httpx.post(redirect, trust_env=False, timeout=60).status_code == 404
    port = int(base.partition("127.0.0.1:")[2].partition("/")[0])
    # What another program or a page makes of an address: none of it is one.
    for target in ("//[x", "http://[", "/callback#half=x", "*", "//[::1/callback?half=x"):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
            stream.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert stream.makefile("rb").read().startswith(b"HTTP/1.1 404 "), target
    assert follow(redirect).status_code == 200
    assert running.end()[0] == 0


def test_a_link_sent_to_someone_else_is_worth_nothing(wire, analyst: Person):
    """A thief begins a login, talks the analyst into confirming it, and has the wire's half."""
    begun = Begun(wire)
    redirect = analyst.confirm(begun.id)
    assert redirect.startswith("http://127.0.0.1:50000/callback?half=")
    half = begun.wire_half()
    for code in (half, half + half, half + "0" * len(half_of(redirect))):
        assert begun.redeem(code).status_code == 401


def test_every_part_of_a_redemption_counts_and_it_counts_once(wire, analyst: Person):
    begun = Begun(wire)
    code = half_of(analyst.confirm(begun.id))
    code = begun.wire_half() + code
    other = AgentKey.new()
    assert begun.redeem(code, code_verifier=Pkce.new().verifier).status_code == 401
    assert begun.redeem(code, signature=sign_login(other, begun.id, code)).status_code == 401
    assert begun.redeem(code[::-1]).status_code == 401
    answer = begun.redeem(code)
    assert answer.status_code == 200
    assert answer.json()["user"]["username"] == "analyst"
    assert begun.redeem(code).status_code == 401


def test_a_login_cannot_be_confirmed_twice_or_by_an_api_token(wire, system, analyst: Person):
    begun = Begun(wire)
    by_token = httpx.post(
        f"{system.web}/api/v1/agent-logins/{begun.id}/confirm",
        headers={"Authorization": f"Bearer {system.accounts['analyst'].api_token}"},
        trust_env=False,
        timeout=60,
    )
    assert by_token.status_code == 403
    analyst.confirm(begun.id)
    assert analyst.post(f"agent-logins/{begun.id}/confirm").status_code == 404


def test_turned_down_in_the_browser(qk: Qk, analyst: Person):
    running, login_id = qk.begin_login()
    assert analyst.post(f"agent-logins/{login_id}/deny").status_code == 204
    code, said = running.end()
    assert code == 4
    assert "turned down" in said


def test_browsers_are_refused_on_the_sign_in_port(wire):
    assert wire.get("/v1/server", headers={"Origin": "http://evil.example"}).status_code == 403
    assert wire.get("/v1/server", headers={"Sec-Fetch-Mode": "cors"}).status_code == 403


def test_a_certificate_that_is_not_trusted_stops_before_the_browser(qk: Qk, tmp_path):
    other_ca = tmp_path / "other-ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=other", "-keyout", tmp_path / "key.pem", "-out", other_ca],
        check=True, capture_output=True,
    )  # fmt: skip
    done = qk.run("login", "--server", qk.system.agent_signin, "--ca", str(other_ca))
    assert done.returncode == 6
    assert "--ca FILE" in done.stderr
    assert "/agent/" not in done.stderr


@pytest.mark.parametrize(
    ("server", "code", "words"),
    [
        ("ftp://somewhere", 2, "expected HOST"),
        ("127.0.0.1:notaport", 2, "expected HOST"),
        ("127.0.0.1:1", 5, "not reachable"),
    ],
)
def test_wrong_addresses(qk: Qk, server: str, code: int, words: str):
    done = qk.run("login", "--server", server)
    assert done.returncode == code
    assert words in done.stderr


def test_something_else_answers_at_the_address(qk: Qk):
    api = qk.system.api.removeprefix("http://")
    done = qk.run("login", "--server", api)
    assert done.returncode in (4, 5)
    assert done.stderr.startswith("qk: ")
    done = qk.run("login", "--server", qk.system.data)
    assert done.returncode in (5, 6)


@pytest.mark.parametrize(
    "command",
    [["ls"], ["status"], ["doctor"], ["connect", "x"], ["url", "x"], ["env", "x"],
     ["psql", "x"], ["mysql", "x"], ["logout"]],
)  # fmt: skip
def test_not_signed_in(qk: Qk, command: list[str]):
    done = qk.run(*command)
    assert done.returncode == 3
    assert "qk login" in done.stderr
    assert "Traceback" not in done.stderr
