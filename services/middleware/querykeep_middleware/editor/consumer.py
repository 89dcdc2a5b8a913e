"""The editor's WebSocket in the web process: checks who it is, then carries frames to the runner.

Everything that a message means is the runner's matter; this end only verifies the origin and the
web session (again every few seconds, so that a sign-out closes the window) and passes text on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from querykeep_guard.contracts.codec import dumps
from querykeep_middleware.gateway.asgi import client_address, header, session_cookie
from querykeep_middleware.internal import ApiAwayError, InternalApi, Person
from querykeep_middleware.link import HEADER, RECHECK, Hello, body_length, frame, read_closing
from querykeep_middleware.settings import MiddlewareSettings

_BAD_MESSAGE, _NOT_SIGNED_IN, _BAD_ORIGIN, _RESTARTS = 4400, 4401, 4403, 1012
_RECHECK_S = 10.0
# How the page's own keep-alive begins; everything else is a person at work.
_PING = '{"type":"ping"'


class EditorConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """One editor window's socket."""

    def __init__(
        self, *args: Any, settings: MiddlewareSettings, api: InternalApi, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._settings = settings
        self._api = api
        self._look_again = asyncio.Event()
        self._is_active = False
        self._person: Person | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Take or refuse the socket. A refusal is told by its close code, so the socket is
        accepted first; a port that has no editor refuses the handshake itself."""
        if not self._is_editor_port():
            await self.close()
            return
        await self.accept()
        if self.scope["path"] != "/ws/editor":
            await self.close(_BAD_MESSAGE)
            return
        if not self._is_same_origin():
            await self.close(_BAD_ORIGIN)
            return
        try:
            self._person = await self._who(seen=True)
        except ApiAwayError:
            await self.close(_RESTARTS)
            return
        if self._person is None:
            await self.close(_NOT_SIGNED_IN)
            return
        try:
            reader, self._writer = await asyncio.open_unix_connection(
                str(self._settings.runner_socket)
            )
        except OSError:
            await self.close(_RESTARTS)
            return
        self.scope["querykeep.known"]()
        self._writer.write(frame(dumps(self._hello(self._person))))
        self._tasks = [
            asyncio.ensure_future(self._from_runner(reader)),
            asyncio.ensure_future(self._recheck()),
        ]

    def _is_editor_port(self) -> bool:
        server = self.scope.get("server") or (None, None)
        if self._settings.web_tls is not None:
            return server[1] == self._settings.web_tls[1]
        return server[1] == self._settings.web[1]

    def _is_same_origin(self) -> bool:
        scheme, _, origin = header(self.scope, b"origin").partition("://")
        return scheme in ("http", "https") and origin == header(self.scope, b"host") != ""

    async def _who(self, *, seen: bool) -> Person | None:
        address = client_address(self.scope, self._settings.trusted_proxies)
        return await self._api.person(session_cookie(self.scope), address, seen=seen)

    def _hello(self, person: Person) -> Hello:
        return Hello(
            kind="editor",
            user_id=person.user_id,
            username=person.username,
            cookie=person.cookie,
            address=client_address(self.scope, self._settings.trusted_proxies),
        )

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Carry a frame to the runner; waits while the runner is slow."""
        if text_data is None or self._writer is None:
            await self.close(_BAD_MESSAGE)
            return
        body = text_data.encode("utf-8")
        if not body:
            await self.close(_BAD_MESSAGE)
            return
        self._is_active = self._is_active or not text_data.startswith(_PING)
        try:
            self._writer.write(frame(body))
            await self._writer.drain()
        except OSError:
            await self.close(_RESTARTS)

    async def _from_runner(self, reader: asyncio.StreamReader) -> None:
        code = _RESTARTS
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                body = await reader.readexactly(body_length(await reader.readexactly(HEADER.size)))
                closing = read_closing(body)
                if closing is not None:
                    code = closing.code
                    break
                if body == RECHECK:
                    self._look_again.set()
                    continue
                await self.send(text_data=body.decode("utf-8"))
        await self.close(code)

    async def _recheck(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_again.wait(), _RECHECK_S)
            self._look_again.clear()
            # An open page alone keeps no web session alive; a person who does something does.
            seen, self._is_active = self._is_active, False
            try:
                person = await self._who(seen=seen)
            except ApiAwayError:
                self._is_active = self._is_active or seen
                continue
            if person is None or self._person is None or person.user_id != self._person.user_id:
                await self.close(_NOT_SIGNED_IN)
                return

    async def disconnect(self, code: int) -> None:
        """The browser is gone: so is the runner's connection; the window stays."""
        _ = code
        for task in self._tasks:
            task.cancel()
        if self._writer is not None:
            self._writer.close()
