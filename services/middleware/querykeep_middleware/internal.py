"""The web process's client of the internal API: who a cookie belongs to, agent sign-in."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from querykeep_middleware.settings import MiddlewareSettings

_TIMEOUT_S = 10.0


class ApiAwayError(Exception):
    """The API did not answer."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in. ``cookie`` is the web session's key."""

    user_id: str
    username: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body of an internal call, passed on to agents as it is."""

    status: int
    body: Any


class InternalApi:
    """One per web process."""

    def __init__(self, settings: MiddlewareSettings) -> None:
        relay = settings.relay
        verify: ssl.SSLContext | bool = True
        if relay.internal_ca_file:
            verify = ssl.create_default_context(cafile=relay.internal_ca_file)
            if relay.internal_cert_file:
                verify.load_cert_chain(
                    relay.internal_cert_file, relay.internal_cert_key_file or None
                )
        self._http = httpx.AsyncClient(
            base_url=f"{relay.internal_url.rstrip('/')}/internal/v1/",
            headers={"Authorization": f"Bearer middleware:{relay.internal_key}"},
            timeout=_TIMEOUT_S,
            verify=verify,
            trust_env=False,
        )

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> Answer:
        """Call the internal API.

        Raises:
            ApiAwayError: No answer in time, or one that is no JSON.
        """
        try:
            response = await self._http.request(method, path, json=body)
            data = response.json() if response.content else None
        except (httpx.HTTPError, ValueError) as error:
            raise ApiAwayError(f"the API does not answer: {type(error).__name__}") from error
        return Answer(response.status_code, data)

    async def person(self, cookie: str, address: str, *, seen: bool = True) -> Person | None:
        """Return who a session cookie belongs to, or None. ``seen``: the person did something, so
        that the session's idle time begins anew.

        Raises:
            ApiAwayError: The API did not answer; nobody is let in meanwhile.
        """
        if not cookie:
            return None
        answer = await self.call(
            "POST",
            "web-sessions/resolve",
            {"cookie": cookie, "client_address": address, "seen": seen},
        )
        if answer.status == 401:
            return None
        if answer.status != 200:
            raise ApiAwayError(f"the API answered {answer.status}")
        user = answer.body["user"]
        return Person(str(user["id"]), str(user["username"]), cookie)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
