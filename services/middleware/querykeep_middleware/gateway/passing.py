"""Passes ``/api`` and ``/scim`` on to the API, streaming both ways."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from querykeep_guard.contracts.passed_on import HEADER, passed_on_proof
from querykeep_middleware.gateway.asgi import (
    ClientGoneError,
    Receive,
    Scope,
    Send,
    client_address,
    client_scheme,
    header,
    respond_problem,
)
from querykeep_middleware.settings import MiddlewareSettings

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Told by us alone: what a client claims of them is dropped.
_OURS = frozenset(
    {
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"forwarded",
        HEADER.lower().encode("ascii"),
    }
)
_TIMEOUT = httpx.Timeout(10.0, read=120.0)


class ApiGateway:
    """One per web process; keeps connections to the API open."""

    def __init__(self, settings: MiddlewareSettings) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(
            base_url=settings.api_url,
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            # The client would keep what the API sets for one person and send it for the next.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        raw_path = scope.get("raw_path") or scope["path"].encode("utf-8")
        query: bytes = scope.get("query_string", b"")
        url = httpx.URL(self._settings.api_url).copy_with(
            raw_path=raw_path.split(b"?", 1)[0] + (b"?" + query if query else b"")
        )
        request = self._http.build_request(
            scope["method"],
            url,
            headers=self._headers(scope),
            content=_body(scope, receive),
        )
        try:
            response = await self._http.send(request, stream=True)
        except ClientGoneError:
            return
        except httpx.HTTPError as error:
            await respond_problem(
                send,
                502,
                "api_away",
                "The API does not answer",
                f"Try again in a moment ({type(error).__name__}).",
            )
            return
        try:
            await _answer(response, send)
        finally:
            await response.aclose()

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        kept = [
            (key, value)
            for key, value in scope["headers"]
            if key.lower() not in _HOP_BY_HOP and key.lower() not in _OURS
        ]
        host = header(scope, b"host")
        address = client_address(scope, self._settings.trusted_proxies)
        proof = passed_on_proof(
            "middleware", self._settings.relay.internal_key, address, now_s=time.time()
        )
        scheme = client_scheme(scope, self._settings.trusted_proxies)
        kept += [
            (b"host", host.encode("latin-1")),
            (b"x-forwarded-for", address.encode("ascii", "replace")),
            (HEADER.encode("ascii"), proof.encode("ascii")),
            (b"x-forwarded-host", host.encode("latin-1")),
            (b"x-forwarded-proto", scheme.encode("ascii")),
        ]
        return kept

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _body(scope: Scope, receive: Receive) -> AsyncIterator[bytes] | None:
    has_body = any(
        key.lower() in (b"content-length", b"transfer-encoding") for key, _ in scope["headers"]
    )
    return _chunks(receive) if has_body else None


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


async def _answer(response: httpx.Response, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": [
                (key, value)
                for key, value in response.headers.raw
                if key.lower() not in _HOP_BY_HOP
            ],
        }
    )
    async for chunk in response.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
