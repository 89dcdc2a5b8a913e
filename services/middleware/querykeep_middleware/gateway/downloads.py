"""Exports of stored results: ``/editor/exports/<token>``, once, for the person who made it."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from querykeep_guard.contracts.codec import dumps, loads
from querykeep_middleware.gateway.asgi import (
    SECURITY_HEADERS,
    Receive,
    Scope,
    Send,
    client_address,
    respond_problem,
    session_cookie,
)
from querykeep_middleware.internal import ApiAwayError, InternalApi
from querykeep_middleware.link import HEADER, Download, Hello, body_length, frame
from querykeep_middleware.settings import MiddlewareSettings

PREFIX = "/editor/exports/"


class Downloads:
    """Streams a file from the runner to the browser."""

    def __init__(self, settings: MiddlewareSettings, api: InternalApi) -> None:
        self._settings = settings
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one download."""
        _ = receive
        address = client_address(scope, self._settings.trusted_proxies)
        try:
            person = await self._api.person(session_cookie(scope), address)
        except ApiAwayError as error:
            await respond_problem(send, 502, "api_away", "The API does not answer", str(error))
            return
        if person is None:
            await respond_problem(send, 401, "not_signed_in", "Sign in first", "")
            return
        token = scope["path"].removeprefix(PREFIX).split("/", 1)[0]
        hello = Hello("download", person.user_id, person.username, person.cookie, address, token)
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._settings.runner_socket))
        except OSError:
            await respond_problem(
                send, 503, "runner_away", "The editor is restarting", "Try again."
            )
            return
        try:
            writer.write(frame(dumps(hello)))
            await writer.drain()
            await _pass(reader, send)
        finally:
            writer.close()


async def _pass(reader: asyncio.StreamReader, send: Send) -> None:
    download = loads(Download, await _frame(reader))
    if download.status == 503:
        await respond_problem(
            send,
            503,
            "audit_full",
            "The download cannot be recorded",
            "Nothing leaves unrecorded. Tell your administrator; try again later.",
        )
        return
    if download.status != 200:
        await respond_problem(
            send, 404, "not_found", "This download is gone", "Make the export again."
        )
        return
    name = quote(download.file_name)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", download.media_type.encode("ascii")),
                (b"content-disposition", f"attachment; filename*=UTF-8''{name}".encode("ascii")),
                (b"cache-control", b"no-store"),
                *SECURITY_HEADERS,
            ],
        }
    )
    while chunk := await _frame(reader):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(body_length(await reader.readexactly(HEADER.size)))
