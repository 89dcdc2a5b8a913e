"""The agent's road with a real client: ticket, TLS, local password, masked rows."""

from __future__ import annotations

import psycopg
import pytest
import trio
from tests.proxy.fix_shop_proxy import only_value
from tests.proxy.test_proxy import PASSWORD, ask_ticket, hello, read_frame
from tests.relay.fix_relay import Client


class Tunnel:
    """A stand-in for the agent: one local port, one governed session."""

    def __init__(self, proxy, certificate) -> None:
        self._proxy = proxy
        self._certificate = certificate
        self.port = 0

    async def run(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        await trio.serve_tcp(self._carry, 0, host="127.0.0.1", task_status=task_status)

    async def _carry(self, local: trio.SocketStream) -> None:
        answer = await ask_ticket(self._proxy, self._certificate)
        stream = await trio.open_tcp_stream("127.0.0.1", self._proxy.ports["data"])
        remote = trio.SSLStream(
            stream,
            self._certificate.client_context("querykeep/1"),
            server_hostname="127.0.0.1",
            https_compatible=True,
        )
        async with remote:
            await remote.send_all(hello(answer.json()["ticket"]))
            client = Client(remote)
            assert (await read_frame(client))["ok"] is True
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, local, remote, nursery)
                nursery.start_soon(self._pump, remote, local, nursery)

    async def _pump(self, source, sink, nursery) -> None:
        try:
            while data := await source.receive_some(65536):
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        nursery.cancel_scope.cancel()


async def test_a_client_signs_in_with_the_local_password(pg_proxy, tls_certificate):
    tunnel = Tunnel(pg_proxy, tls_certificate)

    def work(port: int, password: str) -> str:
        with psycopg.connect(
            host="127.0.0.1", port=port, user="anyone", password=password, dbname="shop",
            sslmode="disable", connect_timeout=10,
        ) as connection:  # fmt: skip
            return only_value(connection.execute("select email from customers where id = 1"))

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(tunnel.run)
        port = listener.socket.getsockname()[1]
        assert "*****@" in await trio.to_thread.run_sync(work, port, PASSWORD)
        with pytest.raises(psycopg.OperationalError, match="password"):
            await trio.to_thread.run_sync(work, port, "another process's guess")
        nursery.cancel_scope.cancel()
    await trio.to_thread.run_sync(pg_proxy.api.wait_for, lambda: len(pg_proxy.api.ended) == 2)
    assert {e["route"] for e in pg_proxy.api.events("StatementStarted")} == {"agent"}
