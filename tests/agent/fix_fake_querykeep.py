"""A Querykeep that does as a test tells it: sign-in, establishment, data port on real sockets."""

from __future__ import annotations

import json
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import pytest
import trio

from querykeep_agent.account import Account, Tokens
from querykeep_agent.home import Home, Server
from querykeep_agent.proofs import AgentKey
from querykeep_agent.session import ALPN, Database

FAR = "2099-01-01T00:00:00Z"
DATABASE = Database("id1", "shop", "postgresql", "shop", "PostgreSQL", "psql", "read-only")
Answer = tuple[int, dict[str, Any]]


def tokens(number: int, access_expires_at: str = FAR) -> dict[str, str]:
    return {
        "access_token": f"access{number}",
        "access_expires_at": access_expires_at,
        "refresh_token": f"refresh{number}",
        "refresh_expires_at": FAR,
    }


LOST = 0


async def echo(stream: trio.SSLStream) -> None:
    """The usual session: what comes goes back."""
    async for data in stream:
        await stream.send_all(data)


@dataclass
class FakeQuerykeep:
    """``answers`` by path are taken in turn, the last one stays; ``asked`` is what came. An answer
    of status ``LOST`` is never sent: the connection ends."""

    certificate: Any
    session: Callable[[trio.SSLStream], Awaitable[None]] = echo
    first_frame: bytes | None = None
    alpn: str = ALPN
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    signin_port: int = 0
    establish_port: int = 0
    data_port: int = 0

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            for name, handler in (
                ("signin", self._http),
                ("establish", self._https),
                ("data", self._data),
            ):
                serve = trio.serve_tcp
                (listener,) = await nursery.start(
                    lambda h, task_status, serve=serve: serve(
                        h, 0, host="127.0.0.1", task_status=task_status
                    ),
                    handler,
                )
                setattr(self, f"{name}_port", listener.socket.getsockname()[1])
            self.answers.setdefault(
                "/v1/server", [(200, {"product": "querykeep", "time": time.time()})]
            )
            data = f"127.0.0.1:{self.data_port}"
            self.answers.setdefault("/v1/sessions", [(201, {"ticket": "ticket", "data": data})])
            yield self
            nursery.cancel_scope.cancel()

    def account(self, folder: Path, ca_pem: str | None = None, access_until: str = FAR) -> Account:
        """Return an account that is signed in here."""
        server = Server(
            name=f"127.0.0.1:{self.signin_port}",
            tls=False,
            web="http://127.0.0.1:1",
            establish=f"https://127.0.0.1:{self.establish_port}",
            ca_pem=Path(self.certificate.cert_file).read_text() if ca_pem is None else ca_pem,
            username="someone",
            display_name="Someone",
            keystore="file",
        )
        home = Home(folder)
        home.remember(server)
        account = Account(home, server)
        account.store_signin(AgentKey.new(), Tokens.read(tokens(0, access_until)))
        return account

    def _tls(self, alpn: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.cert_file, self.certificate.key_file)
        if alpn:
            context.set_alpn_protocols([alpn])
        return context

    async def _https(self, stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, self._tls(None), server_side=True, https_compatible=True)
        await self._http(tls)

    async def _http(self, stream: trio.abc.Stream) -> None:
        connection, target, body = h11.Connection(h11.SERVER), "", b""
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some(65536)))
                elif isinstance(event, h11.Request):
                    target, body = event.target.decode().partition("?")[0], b""
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    answer = self._answer(connection, target, body)
                    if not answer:
                        await stream.aclose()
                        return
                    await stream.send_all(answer)
                    connection.start_next_cycle()
                else:
                    return
        except (trio.BrokenResourceError, h11.ProtocolError):
            return

    def _answer(self, connection: h11.Connection, target: str, body: bytes) -> bytes:
        self.asked.append((target, json.loads(body) if body else None))
        turns = self.answers[target]
        status, data = turns.pop(0) if len(turns) > 1 else turns[0]
        if status == LOST:
            return b""
        content = json.dumps(data).encode()
        head = h11.Response(status_code=status, headers=[("Content-Length", str(len(content)))])
        parts = (head, h11.Data(data=content), h11.EndOfMessage())
        return b"".join(connection.send(part) or b"" for part in parts)

    async def _data(self, stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, self._tls(self.alpn), server_side=True, https_compatible=True)
        try:
            async with tls:
                (length,) = struct.unpack(">I", await _exactly(tls, 4))
                self.hellos.append(json.loads(await _exactly(tls, length)))
                first = self.first_frame
                await tls.send_all(frame({"ok": True}) if first is None else first)
                await self.session(tls)
        except trio.BrokenResourceError:
            return


def frame(data: object) -> bytes:
    body = json.dumps(data).encode()
    return struct.pack(">I", len(body)) + body


async def _exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await stream.receive_some(count - len(data))
        if not part:
            raise trio.BrokenResourceError
        data += part
    return data


@pytest.fixture
def fake(tls_certificate) -> FakeQuerykeep:
    """A Querykeep to be told; run it with ``async with fake.running()``."""
    return FakeQuerykeep(tls_certificate)
