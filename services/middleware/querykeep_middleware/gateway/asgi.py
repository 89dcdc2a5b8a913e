"""Small pieces of ASGI that every part of the web process uses."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SESSION_COOKIE = "querykeep_session"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


class BodyTooLargeError(Exception):
    """A request's body is beyond the limit."""


class ClientGoneError(Exception):
    """The client went away while its body was read."""


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, or empty; the last one wins."""
    found = ""
    for key, value in scope["headers"]:
        if key.lower() == name:
            found = value.decode("latin-1")
    return found


def session_cookie(scope: Scope) -> str:
    """Return the web session's key from the request's cookies, or empty."""
    cookies: SimpleCookie = SimpleCookie()
    for key, value in scope["headers"]:
        if key.lower() == b"cookie":
            try:
                cookies.load(value.decode("latin-1"))
            except CookieError:
                return ""
    morsel = cookies.get(SESSION_COOKIE)
    return morsel.value if morsel is not None else ""


def client_address(scope: Scope, trusted: Iterable[str]) -> str:
    """Return the client's true address: the nearest hop that is no trusted proxy."""
    peer = scope.get("client")
    address = str(peer[0]) if peer else ""
    networks = [ipaddress.ip_network(network, strict=False) for network in trusted]
    hops = [hop.strip() for hop in header(scope, b"x-forwarded-for").split(",") if hop.strip()]
    while hops and _is_in(address, networks):
        address = hops.pop()
    return address


def client_scheme(scope: Scope, trusted: Iterable[str]) -> str:
    """Return ``https`` when the client speaks TLS to us, or to the trusted proxy in front of us."""
    peer = scope.get("client")
    networks = [ipaddress.ip_network(network, strict=False) for network in trusted]
    if peer and _is_in(str(peer[0]), networks):
        # A chain of proxies may send a list; the first is what the client itself used.
        told = header(scope, b"x-forwarded-proto").split(",")[0].strip().lower()
        if told in ("http", "https"):
            return told
    return str(scope.get("scheme", "http"))


def _is_in(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """Return a request's whole body.

    Raises:
        BodyTooLargeError: It is longer than ``limit_bytes``; no more is read.
        ClientGoneError: The client went away.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise BodyTooLargeError
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    media_type: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole response."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", media_type.encode("ascii")),
                (b"content-length", str(len(body)).encode("ascii")),
                *SECURITY_HEADERS,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, data: object) -> None:
    """Send JSON that no cache keeps."""
    body = json.dumps(data, ensure_ascii=False).encode("utf-8")
    await respond(send, status, body, "application/json", [(b"cache-control", b"no-store")])


async def respond_problem(send: Send, status: int, code: str, title: str, detail: str) -> None:
    """Send an RFC 9457 problem."""
    body = json.dumps({"code": code, "title": title, "detail": detail, "fields": {}})
    await respond(
        send,
        status,
        body.encode("utf-8"),
        "application/problem+json",
        [(b"cache-control", b"no-store")],
    )
