"""Agent data on 9000: one TLS connection carries one session.

ALPN ``querykeep/1``. The agent's first frame is uint32 length (big-endian, at most 8 KiB) and JSON
``{ticket, signature, client}``; the answer is one frame ``{"ok": true, "connection": {…}}`` or
``{"error": {"code", "message"}}``. From then on plain database protocol flows: the agent relays
what its local client says, who signs in with the local password whose verifiers came with the
ticket.
"""

from __future__ import annotations

import base64
import json
import logging
import struct

import trio

from querykeep_guard.contracts.codec import ContractError, from_json, to_json
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
)
from querykeep_proxy.accept import Place
from querykeep_proxy.listeners import ConnectionListeners, PlaceObserver
from querykeep_relay.api_client import ApiProblemError, ApiRefusedError, ApiUnavailableError
from querykeep_relay.certificate_files import CertificateFiles
from querykeep_relay.services import RelayServices
from querykeep_relay.shell import ClientSide, run_session
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import Transport, TransportError

_LOG = logging.getLogger(__name__)
ALPN = "querykeep/1"
FRAME_LIMIT_BYTES = 8 * 1024
_LENGTH = struct.Struct(">I")
_SIGN_IN_TIMEOUT_S = 15.0


class FrameError(Exception):
    """The first frame is not one; the text may be told."""


class DataPort:
    """The handler of the data listener."""

    def __init__(
        self,
        services: RelayServices,
        tls: CertificateFiles[ListenerTls],
        connections: ConnectionListeners,
    ) -> None:
        self._services = services
        self._tls = tls
        self._connections = connections

    async def __call__(self, transport: Transport, place: Place) -> None:
        """Serve one connection: TLS, ticket, session."""
        try:
            with trio.fail_after(_SIGN_IN_TIMEOUT_S):
                opened = await self._open(transport)
        except (TransportError, trio.TooSlowError):
            return
        if opened is None:
            await transport.close_gently(1.0)
            return
        grant, info, client = opened
        side = ClientSide(info, Route.AGENT, client, grant=grant, client_auth=True)
        observer = PlaceObserver(place)
        await run_session(transport, side, services=self._services, observer=observer)

    async def _open(
        self, transport: Transport
    ) -> tuple[SessionGrant, ConnectionInfo, ClientInfo] | None:
        tls = self._tls.current()
        await transport.start_tls(tls.context, server_side=True, own_binding=tls.channel_binding)
        assert transport.tls is not None
        if transport.tls.selected_alpn_protocol() != ALPN:
            await _refuse(transport, "protocol", f"this port speaks {ALPN} (ALPN)")
            return None
        try:
            ticket, signature, client = _read_hello(await _read_frame(transport))
        except FrameError as error:
            await _refuse(transport, "malformed", str(error))
            return None
        client = client.kept(transport.peer_address)
        try:
            grant = await self._services.api.redeem(ticket, signature, client)
            info = await self._info(grant)
        except ApiRefusedError as refused:
            await _refuse(transport, refused.refusal.code, refused.refusal.message)
            return None
        except ApiProblemError as error:
            await _refuse(transport, error.code or "refused", error.detail)
            return None
        except (ApiUnavailableError, ContractError) as error:
            _LOG.warning("a ticket cannot be redeemed: %s", type(error).__name__)
            await _refuse(transport, "policy_unreachable", "the policy service is not reachable")
            return None
        try:
            await transport.send_all(_frame({"ok": True, "connection": to_json(info)}))
        except TransportError as error:
            self._services.feed.never_began(grant.session_id, EndReason.CLIENT_CLOSED, str(error))
            raise
        return grant, info, client

    async def _info(self, grant: SessionGrant) -> ConnectionInfo:
        try:
            return await self._connections.info(grant.policy.connection_id)
        except (ApiUnavailableError, ApiProblemError, ContractError):
            self._services.feed.never_began(
                grant.session_id, EndReason.INTERNAL_ERROR, "the connection is not known here"
            )
            raise


async def _read_frame(transport: Transport) -> bytes:
    """Read the first frame and not a byte more."""
    (length,) = _LENGTH.unpack(await _read_exactly(transport, _LENGTH.size))
    if not 0 < length <= FRAME_LIMIT_BYTES:
        raise FrameError(f"the first frame may hold 1 to {FRAME_LIMIT_BYTES} bytes, not {length}")
    return await _read_exactly(transport, length)


async def _read_exactly(transport: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await transport.receive(count - len(data))
        if not part:
            raise TransportError("the agent closed before its first frame was whole")
        data += part
    return data


def _read_hello(body: bytes) -> tuple[str, bytes, ClientInfo]:
    try:
        data = json.loads(body)
        ticket = data["ticket"]
        signature = base64.b64decode(data["signature"], validate=True)
        client = from_json(ClientInfo, {"address": "", **data.get("client", {})})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FrameError("the first frame must be JSON {ticket, signature, client}") from None
    if not isinstance(ticket, str) or not ticket.isascii():
        raise FrameError("the ticket must be text of ASCII")
    return ticket, signature, client


async def _refuse(transport: Transport, code: str, message: str) -> None:
    await transport.send_all(_frame({"error": {"code": code, "message": message}}))


def _frame(data: object) -> bytes:
    body = json.dumps(data, ensure_ascii=False).encode()
    return _LENGTH.pack(len(body)) + body
