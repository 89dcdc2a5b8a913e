"""The agent's sign-in and renewal, as HTTP on port 6000; the API decides, this passes on and waits.

==========================  =======================================================================
``GET /v1/server``          where the web UI and session establishment are, the CA of the proxy's
                            certificate, the time: ``{product, web, establish, ca_pem, time}``
``POST /v1/logins``         begin: ``{login_id, code_challenge, agent_key, mode, machine,
                            redirect_port}`` → ``{expires_at, user_code?, confirm_url}``
``GET /v1/logins/{id}``     wait (``?wait=`` seconds, at most 25) → ``{state, code_half?}``
``POST /v1/tokens``         redeem or renew, as the API's ``agent-tokens``
``POST /v1/tokens/revoke``  sign out
==========================  =======================================================================
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs

from querykeep_middleware.gateway.asgi import (
    BodyTooLargeError,
    ClientGoneError,
    Receive,
    Scope,
    Send,
    client_address,
    header,
    read_body,
    respond_json,
    respond_problem,
)
from querykeep_middleware.internal import Answer, ApiAwayError, InternalApi
from querykeep_middleware.settings import MiddlewareSettings

_BODY_LIMIT_BYTES = 16 * 1024
_LOGIN_ID = re.compile(r"[0-9a-f]{32}")
_MAX_WAIT_S = 25.0
_POLL_S = 0.5
WAITING_PER_ADDRESS = 100
"""Anyone may begin a login and wait for it, and each that waits asks the API twice a second."""


class AgentSignIn:
    """Answers agents."""

    def __init__(self, settings: MiddlewareSettings, api: InternalApi) -> None:
        self._settings = settings
        self._api = api
        self._ca_pem = Path(settings.ca_file).read_text("ascii") if settings.ca_file else ""
        self._waiting: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if header(scope, b"origin") or header(scope, b"sec-fetch-mode"):
            await respond_problem(
                send, 403, "agents_only", "This port is for agents", "Open the web UI instead."
            )
            return
        try:
            await self._route(scope, receive, send)
        except ApiAwayError as error:
            await respond_problem(send, 502, "api_away", "The API does not answer", str(error))
        except BodyTooLargeError:
            await respond_problem(send, 413, "too_large", "The request is too large", "")
        except ClientGoneError:
            return
        except ValueError as error:
            await respond_problem(send, 400, "bad_request", "The request is malformed", str(error))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        match (method, path):
            case ("GET", "/v1/server"):
                await respond_json(send, 200, self._server())
            case ("POST", "/v1/logins"):
                await self._begin(scope, receive, send)
            case ("POST", "/v1/tokens"):
                await self._pass(receive, send, "agent-tokens")
            case ("POST", "/v1/tokens/revoke"):
                await self._pass(receive, send, "agent-tokens/revoke")
            case ("GET", _) if path.startswith("/v1/logins/"):
                await self._wait(scope, send, path.removeprefix("/v1/logins/"))
            case ("GET", "/healthz"):
                await respond_json(send, 200, {"status": "ok"})
            case _:
                await respond_problem(send, 404, "not_found", "Nothing is here", f"{method} {path}")

    def _server(self) -> dict[str, object]:
        return {
            "product": "querykeep",
            "web": self._settings.public_url,
            "establish": self._settings.public_establish,
            "ca_pem": self._ca_pem,
            "time": int(time.time()),
        }

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _json(await read_body(receive, _BODY_LIMIT_BYTES))
        body["address"] = client_address(scope, self._settings.trusted_proxies)
        answer = await self._api.call("POST", "agent-logins", body)
        if answer.status < 300 and isinstance(answer.body, dict):
            page = "agent/device"
            if body.get("mode") != "device":
                page = f"agent/confirm?login={body.get('login_id')}"
            answer.body["confirm_url"] = f"{self._settings.public_url}/{page}"
        await _respond(send, answer)

    async def _wait(self, scope: Scope, send: Send, login_id: str) -> None:
        if not _LOGIN_ID.fullmatch(login_id):
            raise ValueError("a login id is 32 hexadecimal digits")
        asked = parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get(
            "wait", ["0"]
        )
        wait_s = min(_MAX_WAIT_S, max(0.0, float(asked[0])))
        address = client_address(scope, self._settings.trusted_proxies)
        if self._waiting[address] >= WAITING_PER_ADDRESS:
            text = "Too many sign-ins wait at this address. Try again in a moment."
            await respond_problem(send, 429, "too_many_tries", "Too many wait", text)
            return
        self._waiting[address] += 1
        try:
            await _respond(send, await self._progress(login_id, wait_s))
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    async def _progress(self, login_id: str, wait_s: float) -> Answer:
        """Ask the API until the person has answered, or the time is over."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            answer = await self._api.call("GET", f"agent-logins/{login_id}")
            state = answer.body.get("state") if isinstance(answer.body, dict) else None
            over = asyncio.get_running_loop().time() + _POLL_S > deadline
            if answer.status != 200 or state != "waiting" or over:
                return answer
            await asyncio.sleep(_POLL_S)

    async def _pass(self, receive: Receive, send: Send, path: str) -> None:
        body = _json(await read_body(receive, _BODY_LIMIT_BYTES))
        await _respond(send, await self._api.call("POST", path, body))


def _json(data: bytes) -> dict[str, object]:
    try:
        body = json.loads(data)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair cannot be passed on
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


async def _respond(send: Send, answer: Answer) -> None:
    await respond_json(send, answer.status, answer.body if answer.body is not None else {})
