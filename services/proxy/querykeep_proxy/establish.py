"""Session establishment on 8000 (HTTPS): an agent asks for a ticket, or for what it may open.

    POST /v1/sessions     Authorization: Bearer <access token>
                          {connection, client, verifiers, proof} -> 201 {ticket, expires_at,
                          data, connection: {id, name, engine, …}}
    GET  /v1/connections  Authorization: Bearer <access token>  -> {connections: […]}

The API decides; the proxy passes on, and knows no token.
"""

from __future__ import annotations

import json
import logging

import trio

from querykeep_guard.contracts.codec import ContractError, dumps, from_json, to_json
from querykeep_guard.contracts.session import ClientInfo, ClientVerifiers
from querykeep_proxy.accept import Place
from querykeep_proxy.http import Request, Response, json_response, problem, serve_http
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)
from querykeep_relay.certificate_files import CertificateFiles
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import Transport, TransportError

_LOG = logging.getLogger(__name__)
_TLS_TIMEOUT_S = 10.0
_REFUSED_STATUS = {"bad_credentials": 401, "policy_unreachable": 503}


class Establish:
    """The handler of the establishment listener."""

    def __init__(
        self, api: ApiClient, tls: CertificateFiles[ListenerTls], data_address: str
    ) -> None:
        """``data_address``: host:port of the data listener as agents reach it."""
        self._api = api
        self._tls = tls
        self._data_address = data_address
        self.is_draining = False

    async def __call__(self, transport: Transport, place: Place) -> None:
        """Serve one connection."""
        try:
            with trio.fail_after(_TLS_TIMEOUT_S):
                await transport.start_tls(self._tls.current().context, server_side=True)
        except (TransportError, trio.TooSlowError):
            return
        await serve_http(transport, self._answer)

    async def _answer(self, request: Request) -> Response:
        routes = {
            ("POST", "/v1/sessions"): self._open,
            ("GET", "/v1/connections"): self._list,
        }
        action = routes.get((request.method, request.path))
        if action is None:
            known = any(path == request.path for _, path in routes)
            if known:
                return problem(405, "method_not_allowed", f"{request.method} has no meaning here")
            return problem(404, "not_found", f"{request.path} does not exist")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
            return problem(401, "no_credentials", "send an access token; sign in with: qk login")
        if self.is_draining:
            return problem(503, "draining", "this proxy is shutting down; try again")
        try:
            return await action(request, token.strip())
        except ApiRefusedError as refused:
            refusal = refused.refusal
            return problem(_REFUSED_STATUS.get(refusal.code, 403), refusal.code, refusal.message)
        except ApiProblemError as error:
            status = error.status if error.status in (400, 401, 403, 404, 409, 422) else 502
            return problem(status, error.code or "refused", error.detail)
        except ApiUnavailableError as error:
            _LOG.warning("a session cannot be established: %s", error)
            return problem(503, "policy_unreachable", "Querykeep's policy service is not reachable")
        except ContractError as error:
            return problem(400, "malformed", str(error))

    async def _open(self, request: Request, token: str) -> Response:
        try:
            body = json.loads(request.body)
            dumps(body)
        except (ValueError, RecursionError):
            # Lone surrogates are JSON's, but no text: they could not be passed on.
            raise ContractError("the body is not JSON") from None
        if not isinstance(body, dict):
            raise ContractError("the body is not an object")
        connection, proof = body.get("connection"), body.get("proof")
        if not isinstance(connection, str) or not isinstance(proof, dict):
            raise ContractError("connection and proof are needed")
        client = from_json(ClientInfo, {**_object(body, "client"), "address": request.address})
        verifiers = from_json(ClientVerifiers, _object(body, "verifiers"))
        answer = await self._api.ticket(
            token, connection, client.kept(request.address), verifiers, proof
        )
        return json_response(
            201,
            {
                "ticket": answer.ticket,
                "expires_at": answer.expires_at,
                "data": self._data_address,
                "connection": to_json(answer.connection),
            },
        )

    async def _list(self, request: Request, token: str) -> Response:
        return json_response(200, {"connections": await self._api.agent_connections(token)})


def _object(body: dict[str, object], name: str) -> dict[str, object]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise ContractError(f"{name} is missing or not an object")
    return value
