"""The proxy's own ports: agentless, establishment, agent data, health; and its draining."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import ssl
import struct
from dataclasses import replace

import httpx
import trio
from tests.polling import until
from tests.ports import free_port
from tests.proxy.fix_proxy import Certificate, make_certificate
from tests.relay.fix_relay import Client

from querykeep_engines.kit.scram import make_verifiers
from querykeep_guard.contracts.codec import to_json


async def in_thread(call, *args):
    return await trio.to_thread.run_sync(call, *args)


async def test_agentless_session_plain(proxy):
    client = await proxy.client(proxy.ports["shop"])
    assert (await client.login()).startswith("ready ")
    assert await client.ask("select 1") == ["row 1", "done"]
    await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("StatementCompleted")))
    started = proxy.api.events("StatementStarted")[0]
    assert (started["route"], started["client"]["address"]) == ("agentless", "127.0.0.1")


async def test_agentless_session_upgrades_to_tls(proxy, tls_certificate):
    plain = await proxy.client(proxy.ports["shop"])
    await plain.send("TLS")
    assert await plain.line() == "go"
    stream = trio.SSLStream(
        plain.stream, tls_certificate.client_context(), server_hostname="127.0.0.1"
    )
    client = Client(stream)
    assert await client.line() == "secure 32"
    assert (await client.login()).startswith("ready ")
    assert await client.ask("rows 3 70000") == ["row " + "x" * 70000] * 3 + ["done"]
    await in_thread(proxy.api.wait_for, lambda: bool(proxy.api.events("SessionOpened")))
    assert proxy.api.events("SessionOpened")[0]["tls"] is True


async def test_a_renewed_certificate_is_served_without_a_restart(proxy, tls_certificate, tmp_path):
    files = (tls_certificate.cert_file, tls_certificate.key_file)
    kept = [file.read_bytes() for file in files]
    old = Certificate(*(tmp_path / name for name in ("old.pem", "old-key.pem")))
    old.cert_file.write_bytes(kept[0])
    new = make_certificate(tmp_path)

    async def accepted(trusting: Certificate) -> set[str]:
        """Return the ports whose certificate a client takes that trusts one pair only."""
        found = set()
        for name in ("shop", "establish", "data"):
            client = await proxy.client(proxy.ports[name])
            if name == "shop":
                await client.send("TLS")
                assert await client.line() == "go"
            context = trusting.client_context()
            stream = trio.SSLStream(client.stream, context, server_hostname="127.0.0.1")
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError as error:
                if not isinstance(error.__cause__, ssl.SSLCertVerificationError):
                    raise
            else:
                found.add(name)
            # An address has few places for strangers: see that this one is given back.
            with contextlib.suppress(trio.BrokenResourceError):
                await client.stream.send_eof()
                while await client.stream.receive_some(4096):
                    pass
            await client.stream.aclose()
        return found

    live = await proxy.client(proxy.ports["shop"])
    await live.login()
    everywhere = {"shop", "establish", "data"}
    try:
        assert await accepted(old) == everywhere
        # One file after the other: the old pair goes on while they do not fit together.
        files[0].write_bytes(new.cert_file.read_bytes())
        assert await accepted(old) == everywhere
        files[1].write_bytes(new.key_file.read_bytes())
        assert await accepted(new) == everywhere
        assert await accepted(old) == set()
        assert await live.ask("select 1") == ["row 1", "done"]
    finally:
        for file, content in zip(files, kept, strict=True):
            file.write_bytes(content)
    assert await accepted(old) == everywhere


async def test_plaintext_sent_ahead_of_tls_is_never_taken_as_input(proxy):
    """CVE-2021-23214: what stands between the request and the handshake must not be replayed."""
    client = await proxy.client(proxy.ports["shop"])
    await client.send("TLS\nlogin ann pw")
    assert await client.line() == "(end)"
    client = await proxy.client(proxy.ports["shop"])
    await client.send("TLS")
    assert await client.line() == "go"
    await client.send("login ann pw")
    assert not (await client.line()).startswith("ready")
    assert "signin/prove" not in proxy.api.calls


async def test_listeners_follow_the_connections(proxy):
    port = free_port()
    first = proxy.api.connections[0]
    live = await proxy.client(proxy.ports["shop"])
    await live.login()
    with proxy.api.lock:
        proxy.api.connections = [replace(first, id="c2", name="second", port=port)]
    proxy.api.change_policy()

    async def moved() -> bool:
        parts = json.loads((await proxy.get("/readyz"))[1])["parts"]
        return parts["connections"]["ports"] == {"second": f"listening on 127.0.0.1:{port}"}

    await until(moved)
    assert await live.ask("select 1") == ["row 1", "done"]
    client = await proxy.client(port)
    await client.stream.aclose()


async def test_a_taken_port_is_an_error_that_names_the_setting(proxy):
    taken = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = taken[0].socket.getsockname()[1]
    with proxy.api.lock:
        second = replace(proxy.api.connections[0], id="c2", name="second", port=port)
        proxy.api.connections = [*proxy.api.connections, second]
    proxy.api.change_policy()

    async def shown() -> bool:
        status, body = await proxy.get("/readyz")
        text = json.loads(body)["parts"]["connections"]["ports"].get("second", "")
        return status == 503 and "QUERYKEEP_PORTS" in text

    await until(shown)
    await taken[0].aclose()

    async def healed() -> bool:
        return (await proxy.get("/readyz"))[0] == 200

    await until(healed)


async def test_unauthenticated_connections_are_bounded_per_address(proxy):
    waiting = [await proxy.client(proxy.ports["shop"]) for _ in range(5)]
    extra = await proxy.client(proxy.ports["shop"])
    assert await extra.line() == "(end)"
    assert (await waiting[0].login()).startswith("ready ")
    again = await proxy.client(proxy.ports["shop"])
    assert (await again.login()).startswith("ready ")


async def test_health_and_metrics(proxy):
    assert await proxy.get("/healthz") == (200, b'{"ok": true, "service": "proxy"}')
    client = await proxy.client(proxy.ports["shop"])
    await client.login()
    status, body = await proxy.get("/metrics")
    assert status == 200
    assert b"querykeep_proxy_sessions 1.0" in body
    proxy.api.down = True

    async def red() -> bool:
        status, body = await proxy.get("/readyz")
        return status == 503 and json.loads(body)["parts"]["api"]["ok"] is False

    await until(red)
    assert (await proxy.get("/nowhere"))[0] == 404


async def test_drain_closes_ports_and_ends_sessions(proxy):
    idle = await proxy.client(proxy.ports["shop"])
    await idle.login()
    busy = await proxy.client(proxy.ports["shop"])
    await busy.login()
    await busy.send("wait")
    await proxy.relay.target.wait_seen()
    proxy.proxy.stop()
    assert await idle.line() == "bye drained"
    status, _ = await proxy.get("/readyz")
    assert status == 503
    try:
        await trio.open_tcp_stream("127.0.0.1", proxy.ports["shop"])
    except OSError:
        closed = True
    assert closed
    proxy.relay.target.released.set()
    assert await busy.line() == "cancelled"
    assert await busy.line() == "bye drained"
    with trio.fail_after(60):
        await proxy.proxy.wait_over()


async def test_a_shortage_of_descriptors_is_survived(proxy):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = await proxy.client(proxy.ports["shop"])
    await client.login()
    pending = trio.socket.socket()
    lowest = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    holes = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        while True:
            try:
                holes.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        await pending.connect(("127.0.0.1", proxy.ports["shop"]))
        await trio.sleep(0.3)
        assert await client.ask("select 1") == ["row 1", "done"]
    finally:
        for hole in holes:
            os.close(hole)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    late = Client(trio.SocketStream(pending))
    proxy.relay.clients.append(late)
    assert (await late.login()).startswith("ready ")


# --- agents ---------------------------------------------------------------------------------------

PASSWORD = "local-password"
SALT = b"s" * 16


def establish_body() -> dict:
    return {
        "connection": "shop",
        "client": {"address": "8.8.8.8", "program": "qk", "host_name": "laptop"},
        "verifiers": to_json(make_verifiers(PASSWORD, SALT)),
        "proof": {"timestamp": 1, "signature": "AA=="},
    }


async def ask_ticket(proxy, tls_certificate, token: str = "access") -> httpx.Response:
    async with httpx.AsyncClient(verify=tls_certificate.client_context(), trust_env=False) as http:
        return await http.post(
            f"https://127.0.0.1:{proxy.ports['establish']}/v1/sessions",
            headers={"Authorization": f"Bearer {token}"},
            json=establish_body(),
        )


async def open_data(proxy, tls_certificate, alpn: str = "querykeep/1") -> Client:
    stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports["data"])
    tls = trio.SSLStream(stream, tls_certificate.client_context(alpn), server_hostname="127.0.0.1")
    client = Client(tls)
    proxy.relay.clients.append(client)
    return client


def hello(ticket: str) -> bytes:
    body = json.dumps(
        {
            "ticket": ticket,
            "signature": base64.b64encode(b"sig").decode(),
            "client": {"program": "qk"},
        }
    ).encode()
    return struct.pack(">I", len(body)) + body


async def read_frame(client: Client) -> dict:
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        part = await client.stream.receive_some(65536)
        assert part, "the proxy closed before its answer"
        data += part
    size = struct.unpack(">I", data[:4])[0]
    client.buffer = data[4 + size :]
    return json.loads(data[4 : 4 + size])


async def test_agent_session_from_ticket_to_rows(proxy, tls_certificate):
    answer = await ask_ticket(proxy, tls_certificate)
    assert answer.status_code == 201
    body = answer.json()
    assert body["data"] == "127.0.0.1:9000"
    assert body["connection"]["name"] == "shop"
    client = await open_data(proxy, tls_certificate)
    await client.stream.send_all(hello(body["ticket"]))
    assert (await read_frame(client))["ok"] is True
    # The fake engine sends the response as text: a right native proof made from it is bytes that
    # its line protocol cannot carry, so a wrong one is what this end can show.
    assert await client.login("any", PASSWORD) == "refused bad_credentials"


async def test_a_ticket_works_once(proxy, tls_certificate):
    ticket = (await ask_ticket(proxy, tls_certificate)).json()["ticket"]
    first = await open_data(proxy, tls_certificate)
    await first.stream.send_all(hello(ticket))
    assert (await read_frame(first))["ok"] is True
    second = await open_data(proxy, tls_certificate)
    await second.stream.send_all(hello(ticket))
    assert (await read_frame(second))["error"]["code"] == "ticket_invalid"


async def test_a_ticket_that_ran_out_says_what_to_do_and_the_port_closes(proxy, tls_certificate):
    ticket = (await ask_ticket(proxy, tls_certificate)).json()["ticket"]
    proxy.api.ticket_time_over()
    client = await open_data(proxy, tls_certificate)
    await client.stream.send_all(hello(ticket))
    error = (await read_frame(client))["error"]
    assert error["code"] == "ticket_invalid"
    assert error["message"] == "the ticket is unknown, used or too old"
    assert await client.line() == "(end)"
    assert not proxy.relay.services.live


async def test_an_oversized_or_broken_first_frame_is_refused(proxy, tls_certificate):
    for frame in (
        struct.pack(">I", 8193),
        struct.pack(">I", 0xFFFFFFFF) + b"x" * 100,
        struct.pack(">I", 0),
        struct.pack(">I", 5) + b"\xff\x00\x01\x02\x03",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 4) + b"null",
    ):
        client = await open_data(proxy, tls_certificate)
        await client.stream.send_all(frame)
        assert (await read_frame(client))["error"]["code"] == "malformed"
        await client.stream.aclose()
    assert "tickets/redeem" not in proxy.api.calls


async def test_another_protocol_on_the_data_port_is_refused(proxy, tls_certificate):
    client = await open_data(proxy, tls_certificate, "http/1.1")
    assert (await read_frame(client))["error"]["code"] == "protocol"


async def test_garbage_instead_of_tls_is_dropped(proxy):
    for port in ("data", "establish"):
        client = await proxy.client(proxy.ports[port])
        await client.stream.send_all(b"\x00\xff GET / \r\n" * 100)
        try:
            while await client.stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            continue


async def test_establishing_needs_a_token_and_a_whole_request(proxy, tls_certificate):
    base = f"https://127.0.0.1:{proxy.ports['establish']}"
    headers = {"Authorization": "Bearer access"}
    async with httpx.AsyncClient(verify=tls_certificate.client_context(), trust_env=False) as http:
        assert (await http.post(f"{base}/v1/sessions", json={})).status_code == 401
        answer = await http.post(f"{base}/v1/sessions", headers=headers, content=b"{")
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
        answer = await http.post(f"{base}/v1/sessions", headers=headers, content=b"x" * 70_000)
        assert answer.status_code == 413
        assert (await http.get(f"{base}/v1/sessions", headers=headers)).status_code == 405
        assert (await http.get(f"{base}/v1/other", headers=headers)).status_code == 404
        listed = await http.get(f"{base}/v1/connections", headers=headers)
        assert listed.json() == {"connections": [{"id": "c1", "name": "shop"}]}
    assert (await ask_ticket(proxy, tls_certificate, "stolen")).status_code == 401
    proxy.api.down = True
    assert (await ask_ticket(proxy, tls_certificate)).status_code == 503
