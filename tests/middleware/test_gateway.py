"""The web port over HTTP: pages, what is passed on, bounds; and the agents' port."""

from __future__ import annotations

import gzip
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from tests.fix_system import System
from tests.middleware.browser import Person


@pytest.fixture
def web(system: System) -> Iterator[httpx.Client]:
    """A browser that nobody signed in."""
    with httpx.Client(base_url=system.web, timeout=40, trust_env=False) as client:
        yield client


def raw(web: str, *parts: bytes, timeout_s: float = 40.0) -> bytes:
    """Send bytes as they are; return the answer up to its end (or the break)."""
    address = urlsplit(web)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.settimeout(timeout_s)
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(65536):
                answer += data
        except ConnectionError:
            pass
        return answer


def test_pages_have_a_fresh_nonce_and_strict_headers(web: httpx.Client) -> None:
    nonces = set()
    for path in ("/", "/editor", "/users/some-id"):
        answer = web.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        (nonce,) = re.findall(r"'nonce-([^']+)'", policy)
        nonces.add(nonce)
        assert nonce in answer.text
        assert "__CSP_NONCE__" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
    assert len(nonces) == 3


def test_files_are_compressed_and_kept(web: httpx.Client) -> None:
    (script, *_) = re.findall(r'src="(/assets/[^"]+\.js)"', web.get("/").text)
    with web.stream("GET", script, headers={"accept-encoding": "gzip"}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    plain = web.get(script, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(body) == plain.content
    assert web.head(script).content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/missing.txt",
        "/assets/..%2f..%2findex.html",
        "/..%2f..%2fetc%2fpasswd.x",
    ],
)
def test_what_is_no_file_is_not_found(web: httpx.Client, path: str) -> None:
    assert web.get(path).status_code == 404


def test_other_methods_on_pages(web: httpx.Client) -> None:
    assert web.post("/", content=b"x").status_code == 405


def test_the_api_is_passed_on(web: httpx.Client, system: System) -> None:
    refused = web.get("/api/v1/me")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    token = system.accounts["analyst"].api_token
    answer = web.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["username"] == "analyst"
    direct = httpx.get(
        f"{system.api}/api/v1/users?search=%EB%B6%84%EC%84%9D",
        headers={"Authorization": f"Bearer {system.accounts['admin'].api_token}"},
        trust_env=False,
    )
    passed = web.get(
        "/api/v1/users?search=%EB%B6%84%EC%84%9D",
        headers={"Authorization": f"Bearer {system.accounts['admin'].api_token}"},
    )
    assert passed.json()["results"] == direct.json()["results"]
    long = web.get(
        "/api/v1/users",
        params={"search": "분" * 700},
        headers={"Authorization": f"Bearer {system.accounts['admin'].api_token}"},
    )
    assert (long.status_code, long.json()["results"]) == (200, [])


def test_the_internal_api_is_not_passed_on(web: httpx.Client, system: System) -> None:
    key = "middleware:whatever"
    for path in ("/internal/v1/connections", "/api/../internal/v1/connections"):
        url = httpx.URL(system.web).copy_with(raw_path=path.encode())
        answer = web.get(url, headers={"Authorization": f"Bearer {key}"})
        assert "connections" not in answer.text or answer.status_code == 404


def test_a_clients_own_address_headers_are_dropped(auditor: Person, system: System) -> None:
    person = auditor
    person.http.headers["X-Forwarded-For"] = "203.0.113.9"
    person.http.headers["Forwarded"] = "for=203.0.113.9"
    # WSGI names this one as the one with dashes.
    person.http.headers["X_Forwarded_For"] = "203.0.113.9"
    person.http.headers["X-Forwarded-Host"] = "evil.example"
    refused = person.post("/api/v1/auth/sign-in", {"username": "auditor", "password": "wrong"})
    assert refused.status_code in (401, 403, 429)
    events = httpx.get(
        f"{system.api}/api/v1/audit/events",
        params={"kind": "sign_in.refused"},
        headers={"Authorization": f"Bearer {system.accounts['admin'].api_token}"},
        trust_env=False,
    ).json()["results"]
    assert events
    assert events[0]["address"] == "127.0.0.1"


def test_an_answer_is_streamed(web: httpx.Client, system: System) -> None:
    headers = {"Authorization": f"Bearer {system.accounts['admin'].api_token}"}
    url = "/api/v1/audit/statements/export?format=jsonl"
    with web.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200
        assert "content-length" not in answer.headers
        for _ in answer.iter_bytes():
            pass


def test_a_body_beyond_the_limit_is_refused(system: System) -> None:
    head = b"POST /api/v1/auth/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    said = raw(system.web, head + b"Content-Length: 99999999999\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")
    block = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    sent = raw(system.web, head + b"Transfer-Encoding: chunked\r\n\r\n", *[block] * 20)
    assert sent.startswith(b"HTTP/1.1 413 ") or sent == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_broken_requests_are_refused(system: System, request_bytes: bytes) -> None:
    answer = raw(system.web, request_bytes)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 2\r\nContent-Length: 40\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked, identity\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding : chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_no_second_request_is_smuggled_in(system: System, framing: bytes) -> None:
    """Gateway and API would have to agree on where the first ends: it is refused instead."""
    token = system.accounts["admin"].api_token.encode()
    host = system.web.partition("//")[2].encode()
    head = b"Host: " + host + b"\r\nAuthorization: Bearer " + token + b"\r\n"
    outer = b"PATCH /api/v1/me HTTP/1.1\r\n" + head + b"Content-Type: application/json\r\n"
    inner = b"GET /api/v1/users HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n"
    answer = raw(system.web, outer + framing + b"\r\n{}" + inner)
    assert answer.count(b"HTTP/1.1 ") == 1, answer[:2000]
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    # What the API's kept connection serves next is its own.
    again = httpx.get(f"{system.web}/api/v1/engines", trust_env=False)
    assert again.status_code == 401


def test_headers_that_never_end_are_cut_off(system: System) -> None:
    started = time.monotonic()
    answer = raw(system.web, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", timeout_s=60)
    assert answer == b""
    # The connection was cut by the server, not by this test's own patience.
    assert time.monotonic() - started < 60


def test_health_tells_parts_and_no_addresses(web: httpx.Client) -> None:
    assert web.get("/healthz").json() == {"status": "ok"}
    ready = web.get("/readyz")
    assert ready.status_code == 200
    parts = ready.json()["parts"]
    assert {"api", "runner", "web_ui", "runner_api", "runner_spool", "runner_redis"} <= set(parts)
    assert all(part["ok"] for part in parts.values())
    assert "127.0.0.1" not in ready.text


# --- the agents' port ---------------------------------------------------------------------------


def test_agents_learn_where_things_are(system: System) -> None:
    answer = httpx.get(f"http://{system.agent_signin}/v1/server", trust_env=False)
    told = answer.json()
    assert (told["product"], told["web"], told["establish"]) == (
        "querykeep",
        system.web,
        system.establish,
    )


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Mode"])
def test_browsers_are_refused_on_the_agents_port(system: System, name: str) -> None:
    for path in ("/v1/server", "/", "/api/v1/me"):
        answer = httpx.get(
            f"http://{system.agent_signin}{path}", headers={name: "x"}, trust_env=False
        )
        assert answer.status_code == 403
        assert answer.json()["code"] == "agents_only"


def test_the_agents_port_serves_nothing_else(system: System) -> None:
    base = f"http://{system.agent_signin}"
    for path in ("/", "/editor", "/api/v1/me", "/internal/v1/connections", "/v1/logins/xyz"):
        assert httpx.get(f"{base}{path}", trust_env=False).status_code in (400, 404)
    assert (
        httpx.get(f"{system.web}/v1/server", trust_env=False)
        .headers["content-type"]
        .startswith("text/html")
    )


def test_malformed_agent_requests(system: System) -> None:
    base = f"http://{system.agent_signin}"
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 9000, rb'{"machine": "\ud800"}'):
        answer = httpx.post(f"{base}/v1/logins", content=body, trust_env=False)
        assert answer.status_code == 400, body[:10]
    big = httpx.post(f"{base}/v1/tokens", content=b"x" * 20_000, trust_env=False)
    assert big.status_code == 413
    for wait in ("nan", "inf", "x", "-1"):
        login = "0" * 32
        answer = httpx.get(f"{base}/v1/logins/{login}?wait={wait}", trust_env=False, timeout=40)
        assert 400 <= answer.status_code < 500


def test_sockets_are_not_taken_on_the_agents_port(system: System) -> None:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    answer = raw(
        f"http://{system.agent_signin}",
        b"GET /ws/editor HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + key
        + b"\r\n",
        timeout_s=10,
    )
    assert not answer.startswith(b"HTTP/1.1 101")
