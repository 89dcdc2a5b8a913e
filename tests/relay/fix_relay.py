"""Relay services on a fake API, a fake target on loopback, and a client to talk through them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio
from tests.relay.fix_fake_engine import FakeEngine
from tests.relay.fix_internal_api import KEY, FakeApi

from querykeep_guard.contracts.session import ClientInfo, Route
from querykeep_relay.services import RelayServices, open_services
from querykeep_relay.settings import RelaySettings
from querykeep_relay.shell import ClientSide, GovernedSession, run_session
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import Transport


@dataclass
class FakeTarget:
    """Answers the fake protocol: ``rows N BYTES``, ``wait`` (until cancelled), else one row."""

    port: int = 0
    received: list[str] = field(default_factory=list)
    released: trio.Event = field(default_factory=trio.Event)
    seen: trio.Event = field(default_factory=trio.Event)
    sent_bytes: int = 0
    on_statement: Callable[[str], None] = lambda text: None

    async def serve(self, stream: trio.SocketStream) -> None:
        buffer = b""
        try:
            while data := await stream.receive_some(65536):
                buffer += data
                while b"\n" in buffer:
                    line, buffer = buffer.split(b"\n", 1)
                    await self._answer(stream, line.decode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _answer(self, stream: trio.SocketStream, line: str) -> None:
        if line == "hello":
            await stream.send_all(b"hi\n")
            return
        self.received.append(line)
        self.on_statement(line)
        self.seen.set()
        words = line.split(" ")
        if words[0] == "rows":
            row = b"row " + b"x" * int(words[2]) + b"\n"
            for _ in range(int(words[1])):
                await stream.send_all(row)
                self.sent_bytes += len(row)
            await stream.send_all(b"done\n")
        elif words[0] == "wait":
            await self.released.wait()
            await stream.send_all(b"cancelled\n")
        else:
            await stream.send_all(b"row 1\ndone\n")

    async def wait_seen(self) -> None:
        await self.seen.wait()
        self.seen = trio.Event()


class Client:
    """The other end of a governed session's transport."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, line: str) -> None:
        await self.stream.send_all(line.encode() + b"\n")

    async def line(self) -> str:
        while b"\n" not in self.buffer:
            data = await self.stream.receive_some(65536)
            if not data:
                return "(end)" if not self.buffer else self.buffer.decode()
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    async def login(self, user: str = "ann", password: str = "pw") -> str:
        await self.send(f"login {user} {password}")
        return await self.line()

    async def ask(self, statement: str) -> list[str]:
        await self.send(statement)
        lines = [await self.line()]
        while lines[-1].startswith("row "):
            lines.append(await self.line())
        return lines


class Relay:
    """Services, the fake parts around them, and ways to open sessions."""

    def __init__(
        self, services: RelayServices, api: FakeApi, engine: FakeEngine, target: FakeTarget
    ) -> None:
        self.services = services
        self.api = api
        self.engine = engine
        self.target = target
        self.sessions: list[GovernedSession] = []
        self.ended: list[object] = []
        self.all_ended = trio.Event()
        self.clients: list[Client] = []

    async def connect(
        self, *, tls: ListenerTls | None = None, observer=None, small: bool = False
    ) -> Client:
        ours, theirs = socket.socketpair()
        if small:
            for one in (ours, theirs):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        side = ClientSide(
            self.api.connections[0],
            Route.AGENTLESS,
            ClientInfo(address="10.0.0.1"),
            tls=tls,
        )
        transport = Transport(theirs)
        self.services.background.start_soon(self._run, transport, side, observer)
        client = Client(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
        self.clients.append(client)
        return client

    async def _run(self, transport: Transport, side: ClientSide, observer) -> None:
        reason = await run_session(
            transport,
            side,
            services=self.services,
            observer=observer,
            on_started=self.sessions.append,
        )
        self.ended.append(reason)
        self.all_ended.set()

    async def open(self, **options) -> Client:
        client = await self.connect(**options)
        assert (await client.login()).startswith("ready ")
        return client

    async def wait_ended(self, count: int = 1) -> None:
        with trio.fail_after(60):
            while len(self.ended) < count:
                self.all_ended = trio.Event()
                await self.all_ended.wait()


@asynccontextmanager
async def open_relay(api: FakeApi, tmp_path, **settings) -> AsyncIterator[Relay]:
    engine, target = FakeEngine(), FakeTarget()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, target.serve, 0)
        target.port = listeners[0].socket.getsockname()[1]
        api.target = replace(api.target, port=target.port)
        base = RelaySettings(
            kind="proxy",
            ep="proxy-test",
            address="here",
            internal_url=api.url,
            internal_key=KEY,
            spool_dir=tmp_path / "spool",
            catalog_poll_s=0.1,
            close_grace_s=0.5,
        )
        async with open_services(replace(base, **settings), engine=lambda name: engine) as services:
            opened = Relay(services, api, engine, target)
            try:
                yield opened
            finally:
                with trio.CancelScope(shield=True):
                    for client in opened.clients:
                        await trio.aclose_forcefully(client.stream)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def relay(internal_api: FakeApi, tmp_path) -> AsyncIterator[Relay]:
    async with open_relay(internal_api, tmp_path) as relay:
        yield relay
