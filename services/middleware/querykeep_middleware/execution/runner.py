"""The runner process: serves the web process on a private Unix socket.

Started by ``querykeep-middleware``; ends on SIGTERM, and by itself when its parent is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import trio

from querykeep_guard.contracts.codec import ContractError, dumps, loads
from querykeep_middleware.editor import messages as wire
from querykeep_middleware.editor.frames import MessageError, decode_client
from querykeep_middleware.execution.hub import Hub, Offered
from querykeep_middleware.execution.jobs import CleaningJobs
from querykeep_middleware.execution.keeper import Keeper
from querykeep_middleware.execution.peer import Peer
from querykeep_middleware.execution.window import Window
from querykeep_middleware.link import (
    HEADER,
    RECHECK,
    Download,
    Hello,
    LinkError,
    body_length,
    closing_frame,
    frame,
)
from querykeep_middleware.results.export import MEDIA_TYPES, export
from querykeep_middleware.results.store import ResultStore, StoreError
from querykeep_middleware.settings import MiddlewareSettings
from querykeep_relay.logs import configure_logs
from querykeep_relay.services import open_services
from querykeep_relay.settings import SettingsError
from querykeep_relay.spool import SpoolFullError

_LOG = logging.getLogger(__name__)
_RECHECK_PAUSE_S = 0.25
_HELLO_TIMEOUT_S = 10.0
_BAD_MESSAGE, _OUTDATED = 4400, 4426
_PARENT_POLL_S = 1.0
_OPEN_REQUESTS = 64


class Link:
    """One connection of the web process."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._sending = trio.Lock()

    async def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = await self._stream.receive_some(65536)
            if not data:
                raise LinkError("the web process closed the connection")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def receive(self) -> bytes:
        """Return the next frame's body; raises LinkError at the end."""
        return await self._read(body_length(await self._read(HEADER.size)))

    async def send(self, data: bytes) -> None:
        """Send framed bytes."""
        async with self._sending:
            await self._stream.send_all(data)


async def serve_connection(stream: trio.SocketStream, hub: Hub) -> None:
    """Serve one connection to its end; never raises for what the other end does."""
    async with stream:
        link = Link(stream)
        try:
            with trio.fail_after(_HELLO_TIMEOUT_S):
                hello = loads(Hello, await link.receive())
            if hello.kind == "download":
                await _serve_download(link, hello, hub)
            elif hello.kind == "health":
                await link.send(frame(dumps(hub.services.health())))
            else:
                await _serve_editor(link, hello, hub)
        except* (LinkError, ContractError, trio.TooSlowError, trio.BrokenResourceError):
            _LOG.debug("a connection of the web process ended")
        except* Exception:
            # One window's fault is no other's.
            _LOG.exception("a connection of the web process failed")


async def _serve_editor(link: Link, hello: Hello, hub: Hub) -> None:
    scope = trio.CancelScope()
    peer = Peer(hello, scope)
    window: Window | None = None
    try:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, link, peer, scope)
                nursery.start_soon(_recheck_on_change, link, hub)
                try:
                    window = await _first_message(link, hub, peer)
                    if window is not None:
                        await _read_messages(link, window, peer, nursery)
                except LinkError:
                    scope.cancel()
                peer.finish()
    finally:
        if window is not None:
            window.leave(peer)


async def _write(link: Link, peer: Peer, scope: trio.CancelScope) -> None:
    try:
        while (body := await peer.next()) is not None:
            await link.send(frame(body))
        await link.send(closing_frame(peer.close_code))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        scope.cancel()


async def _recheck_on_change(link: Link, hub: Hub) -> None:
    """A sign-out raises the policy version: have the web process look at once who this is."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await hub.services.feed.wait_changed()
            await link.send(frame(RECHECK))
            await trio.sleep(_RECHECK_PAUSE_S)


async def _first_message(link: Link, hub: Hub, peer: Peer) -> Window | None:
    try:
        message = decode_client((await link.receive()).decode("utf-8"))
    except (MessageError, UnicodeDecodeError):
        peer.close_code = _BAD_MESSAGE
        return None
    if not isinstance(message, wire.OpenWindow):
        peer.close_code = _BAD_MESSAGE
        return None
    if message.protocol != wire.PROTOCOL_VERSION:
        peer.close_code = _OUTDATED
        return None
    return await hub.open_window(message, peer)


async def _read_messages(link: Link, window: Window, peer: Peer, nursery: trio.Nursery) -> None:
    """Take requests. Each runs as a task of its own, so that a slow page holds no other request
    up; how many may be open is bounded, and then the browser waits."""
    limiter = trio.CapacityLimiter(_OPEN_REQUESTS)

    async def handle(message: wire.ClientMessage, place: object) -> None:
        try:
            await window.handle(message, peer)
        finally:
            limiter.release_on_behalf_of(place)

    while True:
        try:
            message = decode_client((await link.receive()).decode("utf-8"))
        except MessageError as error:
            if error.request:
                peer.send(wire.RequestFailed(error.request, "bad_request", str(error)))
                continue
            peer.close_code = _BAD_MESSAGE
            return
        except UnicodeDecodeError:
            peer.close_code = _BAD_MESSAGE
            return
        if isinstance(message, wire.RunText | wire.Ping | wire.SaveTab | wire.CancelRun):
            # Short, and their order counts.
            await window.handle(message, peer)
            continue
        place = object()
        await limiter.acquire_on_behalf_of(place)
        nursery.start_soon(handle, message, place)


async def _serve_download(link: Link, hello: Hello, hub: Hub) -> None:
    try:
        offered = await hub.take_download(hello)
    except (SpoolFullError, OSError):
        _LOG.exception("a download was refused: it cannot be recorded")
        await link.send(frame(dumps(Download(503))))
        return
    if offered is None:
        await link.send(frame(dumps(Download(404))))
        return
    media_type = MEDIA_TYPES[offered.format]
    await link.send(frame(dumps(Download(200, offered.file_name, media_type))))
    async for part in _parts(hub, offered):
        await link.send(frame(part))
    await link.send(frame(b""))


async def _parts(hub: Hub, offered: Offered) -> AsyncIterator[bytes]:
    parts = export(
        hub.views,
        offered.result,
        offered.view,
        offered.format,
        for_spreadsheet=offered.for_spreadsheet,
    )
    while True:
        try:
            part = await trio.to_thread.run_sync(next, parts, b"")
        except StoreError as error:
            raise LinkError(str(error)) from error
        if not part:
            return
        yield part


async def run(
    settings: MiddlewareSettings, task_status: trio.TaskStatus[Hub] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; reports the hub when the socket is there."""
    settings.results_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = ResultStore(settings.results_dir, limit_bytes=settings.results_limit_bytes)
    keeper = Keeper(settings.results_dir / "editor.sqlite3")
    try:
        async with open_services(settings.relay) as services, trio.open_nursery() as nursery:
            hub = Hub(services, store, keeper, nursery, keep_s=settings.results_keep_s)
            nursery.start_soon(hub.sweep)
            nursery.start_soon(hub.rights.watch)
            if settings.relay.redis_url:
                nursery.start_soon(CleaningJobs(settings.relay.redis_url, hub, nursery).run)

            async def served(stream: trio.SocketStream) -> None:
                await serve_connection(stream, hub)

            with _listen(str(settings.runner_socket)) as listener:
                task_status.started(hub)
                _LOG.info("the runner is up")
                try:
                    await trio.serve_listeners(served, [trio.SocketListener(listener)])
                finally:
                    hub.close()
                    nursery.cancel_scope.cancel()
    finally:
        keeper.close()


def _listen(path: str) -> trio.socket.SocketType:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        os_socket = listener
        # Binding a Unix socket resolves nothing, so the blocking call is the plain one.
        os_socket._sock.bind(path)  # type: ignore[attr-defined]  # trio's bind is async
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


async def _main(settings: MiddlewareSettings, parent: int | None) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_signal, nursery.cancel_scope)
        if parent is not None:
            nursery.start_soon(_end_with_parent, parent, nursery.cancel_scope)
        await nursery.start(run, settings)


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _end_with_parent(parent: int, scope: trio.CancelScope) -> None:
    # Nothing tells a process of its parent's end; it can only look.
    while os.getppid() == parent:  # noqa: ASYNC110
        await trio.sleep(_PARENT_POLL_S)
    _LOG.error("the web process is gone; the runner ends")
    scope.cancel()


def main() -> None:
    """Entry point. Exit code 2 for settings."""
    configure_logs("middleware-runner")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = MiddlewareSettings.from_environment()
    except SettingsError as error:
        sys.stderr.write(f"querykeep-middleware runner: {error}\n")
        sys.exit(2)
    parent = os.environ.get("QUERYKEEP_RUNNER_PARENT", "")
    trio.run(_main, settings, int(parent) if parent.isdecimal() else None)


if __name__ == "__main__":
    main()
