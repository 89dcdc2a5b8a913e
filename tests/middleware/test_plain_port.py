"""The plain web port beside one with TLS sends people there; it serves who ended TLS before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from querykeep_middleware.gateway.app import WebApplication
from querykeep_middleware.gateway.asgi import client_scheme
from querykeep_middleware.internal import InternalApi
from querykeep_middleware.settings import MiddlewareSettings
from querykeep_relay.settings import SettingsError


def application(folder: Path, **variables: str) -> WebApplication:
    """Return the web process's application without a running API: pages need none."""
    (folder / "index.html").write_text("<title>Querykeep</title>")
    (folder / "key").write_text("key")
    environment = {
        "QUERYKEEP_HOME": str(folder),
        "QUERYKEEP_WEB_DIST": str(folder),
        "QUERYKEEP_API_URL": "http://api:8080",
        "QUERYKEEP_INTERNAL_URL": "http://api:8081",
        "QUERYKEEP_INTERNAL_KEY_FILE": str(folder / "key"),
        "QUERYKEEP_WEB_BIND": "0.0.0.0:8888",
        "QUERYKEEP_WEB_TLS_BIND": "0.0.0.0:443",
        "QUERYKEEP_TLS_CERT_FILE": "server.pem",
        "QUERYKEEP_TRUSTED_PROXIES": "10.0.0.0/24",
        **variables,
    }
    settings = MiddlewareSettings.from_environment(environment)
    return WebApplication(settings, cast("InternalApi", None))


async def ask(
    web: WebApplication,
    host: str,
    *,
    peer: str = "192.0.2.7",
    proto: str = "",
    scheme: str = "http",
) -> tuple[int, str]:
    """GET a page; return status and where it leads."""
    headers = [(b"host", host.encode())]
    if proto:
        headers.append((b"x-forwarded-proto", proto.encode()))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": scheme,
        "path": "/editor",
        "raw_path": b"/editor",
        "query_string": b"tab=%EA%B0%80",
        "headers": headers,
        "client": (peer, 50_000),
        "server": ("0.0.0.0", 443 if scheme == "https" else 8888),
    }
    await web(scope, cast("Any", None), send)
    found = dict(sent[0]["headers"])
    return sent[0]["status"], found.get(b"location", b"").decode()


@pytest.mark.parametrize(
    ("public_url", "host", "expected"),
    [
        ("https://guard.example.com", "guard.example.com", "https://guard.example.com"),
        ("https://guard.example.com", "guard.example.com:80", "https://guard.example.com"),
        # A container publishes 443 under another port: people must be sent to theirs.
        ("https://127.0.0.1:8443", "127.0.0.1:8080", "https://127.0.0.1:8443"),
        ("https://[::1]:8443", "[::1]", "https://[::1]:8443"),
        ("http://guard.example.com", "guard.example.com", "https://guard.example.com"),
    ],
)
async def test_people_are_sent_to_the_port_that_they_can_reach(
    tmp_path: Path, public_url: str, host: str, expected: str
) -> None:
    web = application(tmp_path, QUERYKEEP_PUBLIC_URL=public_url)
    assert await ask(web, host) == (308, f"{expected}/editor?tab=%EA%B0%80")


async def test_a_trusted_balancer_that_ended_tls_is_served(tmp_path: Path) -> None:
    web = application(tmp_path, QUERYKEEP_PUBLIC_URL="https://guard.example.com")
    host = "guard.example.com"
    assert (await ask(web, host, peer="10.0.0.9", proto="https"))[0] == 200
    assert (await ask(web, host, peer="10.0.0.9", proto="http"))[0] == 308
    assert (await ask(web, host, peer="10.0.0.9"))[0] == 308
    # Whoever else claims it is still on a plain line.
    assert (await ask(web, host, proto="https"))[0] == 308
    assert (await ask(web, host, scheme="https"))[0] == 200


@pytest.mark.parametrize(
    ("peer", "told", "scheme", "expected"),
    [
        ("10.0.0.9", "https", "http", "https"),
        ("10.0.0.9", "http", "https", "http"),
        ("10.0.0.9", "https, http", "http", "https"),
        ("10.0.0.9", "gopher", "http", "http"),
        ("192.0.2.7", "https", "http", "http"),
        (None, "https", "http", "http"),
    ],
)
def test_scheme_is_believed_from_trusted_proxies_only(
    peer: str | None, told: str, scheme: str, expected: str
) -> None:
    scope: dict[str, Any] = {
        "scheme": scheme,
        "client": (peer, 1) if peer else None,
        "headers": [(b"x-forwarded-proto", told.encode())],
    }
    assert client_scheme(scope, ("10.0.0.0/24",)) == expected


def test_networks_that_are_none_are_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"QUERYKEEP_TRUSTED_PROXIES: .*99"):
        application(tmp_path, QUERYKEEP_TRUSTED_PROXIES="10.0.0.0/99")
