"""A small HTTP/1.1 server on h11 for the proxy's own few calls: bounded and with deadlines."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h11
import trio

from querykeep_relay.transport import Transport, TransportError

BODY_LIMIT_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 16 * 1024
_REQUEST_TIMEOUT_S = 15.0
_IDLE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. ``headers`` have lower-case names; the last of equal names counts."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=())


def json_response(status: int, data: object) -> Response:
    """Return an answer with a JSON body."""
    return Response(status, json.dumps(data, ensure_ascii=False).encode())


def problem(status: int, code: str, detail: str) -> Response:
    """Return an RFC 9457 answer."""
    body = {"title": code.replace("_", " "), "status": status, "code": code, "detail": detail}
    return Response(status, json.dumps(body).encode(), "application/problem+json")


class _TooLargeError(Exception):
    """A body above the limit."""


async def serve_http(
    transport: Transport, handle: Callable[[Request], Awaitable[Response]]
) -> None:
    """Serve one connection until it closes, breaks the protocol or is idle for too long."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT_BYTES)
    while True:
        try:
            request = await _read_request(connection, transport)
        except (h11.RemoteProtocolError, TransportError, trio.TooSlowError):
            return
        except _TooLargeError:
            response = problem(413, "too_large", f"at most {BODY_LIMIT_BYTES} bytes are read")
            await _send(connection, transport, response, close=True)
            return
        if request is None:
            return
        response = await handle(request)
        try:
            await _send(connection, transport, response, close=False)
        except (TransportError, trio.TooSlowError, h11.LocalProtocolError):
            return
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _read_request(connection: h11.Connection, transport: Transport) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    deadline = trio.current_time() + _IDLE_TIMEOUT_S
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if head is not None and connection.they_are_waiting_for_100_continue:
                await transport.send_all(
                    connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            with trio.fail_at(deadline):
                connection.receive_data(await transport.receive())
        elif isinstance(event, h11.Request):
            head = event
            deadline = trio.current_time() + _REQUEST_TIMEOUT_S
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT_BYTES:
                raise _TooLargeError
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers
            }
            return Request(
                head.method.decode("ascii"),
                head.target.decode("ascii", "replace").split("?")[0],
                headers,
                bytes(body),
                transport.peer_address,
            )
        else:
            return None


async def _send(
    connection: h11.Connection, transport: Transport, response: Response, *, close: bool
) -> None:
    headers = [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        ("Cache-Control", "no-store"),
        *response.headers,
    ]
    if close:
        headers.append(("Connection", "close"))
    parts = [
        connection.send(h11.Response(status_code=response.status, headers=headers)),
        connection.send(h11.Data(data=response.body)),
        connection.send(h11.EndOfMessage()),
    ]
    with trio.fail_after(_REQUEST_TIMEOUT_S):
        await transport.send_all(b"".join(part for part in parts if part))
