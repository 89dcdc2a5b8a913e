"""HTTP to a Querykeep: sign-in and renewal on 6000, session establishment on 8000.

Every fault becomes an error that says which part, why and what next. Answers are bounded; nothing
follows redirects; the environment's HTTP proxies are not used (the data port has none either).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from querykeep_agent import __version__
from querykeep_agent.errors import (
    AgentError,
    NotSignedInError,
    NotTrustedError,
    RefusedError,
    UnreachableError,
)

CLOCK_SKEW_S = 50
"""The server allows 60 s; a little less is told as the reason of a refusal."""
_BODY_LIMIT_BYTES = 4 * 1024 * 1024
_TIMEOUT = httpx.Timeout(15.0, connect=10.0)
_BUSY = (429, 502, 503, 504)


class ProtocolMismatchError(UnreachableError):
    """Something answers that does not speak HTTP here: plain text on a TLS port, or the reverse."""


class BusyError(UnreachableError):
    """A part answers that it cannot just now (draining, its API away); worth another try."""


def tls_context(ca_pem: str) -> ssl.SSLContext:
    """Return a verifying context: with the given CA only, or with the system's.

    Raises:
        NotTrustedError: The CA is none.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except ssl.SSLError as error:
        raise NotTrustedError("the CA file holds no certificate in PEM form") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Api:
    """One base URL. ``part`` names it in errors."""

    def __init__(self, url: str, part: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._part = part
        self._client = client

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        access_token: str = "",
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Call and return the JSON object of a success.

        Raises:
            NotSignedInError: 401.
            RefusedError: Any other refusal, with the server's own words.
            BusyError: It answers that it cannot now.
            UnreachableError, NotTrustedError: No answer, or not from whom it should be.
        """
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        timeout = _TIMEOUT if timeout_s is None else httpx.Timeout(timeout_s, connect=10.0)
        try:
            async with self._client.stream(
                method, self._url + path, json=body, headers=headers, timeout=timeout
            ) as response:
                content = await _bounded(response)
        except httpx.HTTPError as error:
            raise self._fault(error) from error
        return self._read(response.status_code, content)

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            data = json.loads(content)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise UnreachableError(
                f"{self._part} at {self._url} answers {status} with something that is not "
                "Querykeep's. Check the address"
            )
        if status < 300:
            return data
        detail = str(data.get("detail") or data.get("title") or f"status {status}")
        code = str(data.get("code") or "refused")
        if status == 401:
            raise NotSignedInError(detail)
        if status in _BUSY:
            raise BusyError(f"{self._part} at {self._url} cannot answer now: {detail}")
        raise RefusedError(code, detail)

    def _fault(self, error: httpx.HTTPError) -> AgentError:
        where = f"{self._part} at {self._url}"
        verification = _cause(error, ssl.SSLCertVerificationError)
        if verification is not None:
            return NotTrustedError(not_trusted(where, verification))
        if _cause(error, ssl.SSLError) is not None or isinstance(error, httpx.RemoteProtocolError):
            return ProtocolMismatchError(f"{where} does not speak as expected: {_reason(error)}")
        if isinstance(error, httpx.TimeoutException):
            return UnreachableError(f"{where} does not answer in time")
        return UnreachableError(
            f"{where} is not reachable: {_reason(error)}. Is it running, and is the address right?"
        )


@asynccontextmanager
async def open_api(url: str, part: str, ca_pem: str) -> AsyncIterator[Api]:
    """Give an ``Api`` with connections of its own."""
    async with httpx.AsyncClient(
        verify=tls_context(ca_pem) if url.startswith("https:") else False,
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": f"querykeep-agent/{__version__}"},
    ) as client:
        yield Api(url.rstrip("/"), part, client)


async def clock_fault(api: Api) -> str:
    """Return what is wrong with this machine's clock as the sign-in server sees it, or ""."""
    told = (await api.call("GET", "/v1/server")).get("time")
    if not isinstance(told, (int, float)):
        return ""
    ahead = round(time.time() - told)
    if abs(ahead) <= CLOCK_SKEW_S:
        return ""
    direction = "ahead of" if ahead > 0 else "behind"
    return f"this machine's clock is {abs(ahead)} s {direction} the server's. Set it and try again"


def not_trusted(where: str, error: BaseException) -> str:
    """Return the text for a certificate that does not verify."""
    reason = getattr(error, "verify_message", "") or str(error)
    return (
        f"the certificate of {where} is not trusted: {reason}. If your Querykeep has a CA of its "
        "own, sign in with its file: qk login --ca FILE"
    )


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > _BODY_LIMIT_BYTES:
            raise UnreachableError(f"{response.url} answers with more than it may")
    return bytes(content)


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the nearest cause of a kind."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found


def _reason(error: BaseException) -> str:
    system = _cause(error, OSError)
    if isinstance(system, OSError) and system.strerror:
        return system.strerror
    return str(error) or type(error).__name__
