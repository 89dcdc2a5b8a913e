"""The tunnel on real sockets: half-close, back-pressure, and how a client learns what is wrong."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.agent.fix_fake_querykeep import DATABASE, LOST, FakeQuerykeep, frame, tokens

from querykeep_agent.errors import AgentError, NotSignedInError
from querykeep_agent.session import Database, Sessions, open_sessions
from querykeep_agent.tunnel import Notice, Tunnel, listen

LARGE = b"x" * 3_000_000


class Local:
    """A tunnel under test and what it told."""

    def __init__(self, port: int, notices: list[Notice], sessions: Sessions) -> None:
        self.port = port
        self.notices = notices
        self.sessions = sessions

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def tunnel(fake: FakeQuerykeep, folder, database: Database = DATABASE, **account):
    notices: list[Notice] = []
    with trio.fail_after(60):
        async with fake.running(), open_sessions(fake.account(folder, **account)) as sessions:
            listener = await listen(0)
            opened = Tunnel(sessions, database, "password", listener, notices.append)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(opened.serve)
                yield Local(opened.port, notices, sessions)
                nursery.cancel_scope.cancel()


async def read_all(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    async for part in stream:
        data += part
    return bytes(data)


async def test_bytes_go_both_ways(fake, tmp_path):
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, LARGE)
            back = b""
            while len(back) < len(LARGE):
                back += await client.receive_some()
        assert back == LARGE


async def test_a_client_that_has_said_all_still_gets_its_answer(fake, tmp_path):
    async def answer_at_the_end(stream) -> None:
        said = b"".join([part async for part in stream])
        await stream.send_all(hashlib.sha256(said).digest() + LARGE)

    fake.session = answer_at_the_end
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        await client.send_all(LARGE)
        await client.send_eof()
        assert await read_all(client) == hashlib.sha256(LARGE).digest() + LARGE


async def test_the_servers_end_reaches_the_client_after_the_last_byte(fake, tmp_path):
    async def farewell(stream) -> None:
        await stream.send_all(LARGE)

    fake.session = farewell
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        assert await read_all(client) == LARGE


async def test_a_lost_server_ends_the_client(fake, tmp_path):
    async def die(stream) -> None:
        await stream.send_all(b"some")
        await stream.transport_stream.aclose()

    fake.session = die
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        assert await read_all(client) == b"some"


async def test_who_does_not_read_is_not_fed(fake, tmp_path):
    """What stands between a fast server and a slow client is the kernel's buffers, not ours."""
    sent = 0

    async def pour(stream) -> None:
        nonlocal sent
        while True:
            await stream.send_all(b"x" * 65536)
            sent += 65536

    fake.session = pour
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        await trio.testing.wait_all_tasks_blocked(0.5)
        held = sent
        assert 0 < held < 16_000_000
        got = 0
        while got <= held:
            got += len(await client.receive_some())
        while sent <= held:
            await client.receive_some()


async def test_a_server_that_does_not_read_stops_the_client(fake, tmp_path):
    async def never_read(stream) -> None:
        await trio.sleep_forever()

    fake.session = never_read
    sent = 0

    async def pour(client) -> None:
        nonlocal sent
        while True:
            await client.send_all(b"x" * 65536)
            sent += 65536

    async with (
        tunnel(fake, tmp_path) as local,
        await local.connect() as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(pour, client)
        await trio.testing.wait_all_tasks_blocked(0.5)
        assert 0 < sent < 16_000_000
        nursery.cancel_scope.cancel()


async def test_each_connection_proves_itself_anew(fake, tmp_path):
    async with tunnel(fake, tmp_path) as local:
        for _ in range(2):
            async with await local.connect() as client:
                await client.send_all(b"?")
                assert await client.receive_some() == b"?"
        key = local.sessions.account.key()
    asked = [body for path, body in fake.asked if path == "/v1/sessions"]
    assert len(asked) == len(fake.hellos) == 2
    assert asked[0]["verifiers"]["scram_salt"] != asked[1]["verifiers"]["scram_salt"]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public))
    hashed = hashlib.sha256(b"access0").hexdigest()
    for body, hello in zip(asked, fake.hellos, strict=True):
        proof = body["proof"]
        signed = f"querykeep-establish\n{body['connection']}\n{proof['timestamp']}\n{hashed}"
        public.verify(base64.b64decode(proof["signature"]), signed.encode())
        public.verify(base64.b64decode(hello["signature"]), b"querykeep-ticket\nticket")


REFUSALS = {
    "refused": (frame({"error": {"code": "no_grant", "message": "no grant on shop"}}), "no grant"),
    "busy": (frame({"error": {"code": "policy_unreachable", "message": "away"}}), "away"),
    "too long": (b"\xff\xff\xff\xff", "it is no Querykeep"),
    "no JSON": (b"\0\0\0\x03abc", "not JSON"),
    "other form": (frame({"hello": 1}), "Update qk"),
    "closed": (b"", "fell silent"),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize(("cli", "program"), [("psql", "psql"), ("mysql", "mariadb")])
async def test_real_clients_are_told_why_there_is_no_session(fake, tmp_path, case, cli, program):
    first, words = REFUSALS[case]
    fake.first_frame = first

    async def nothing(stream) -> None:
        return

    fake.session = nothing
    async with tunnel(fake, tmp_path, replace(DATABASE, cli=cli)) as local:
        said = await ask(program, local.port)
    assert "qk: " in said
    assert words in said
    assert words in local.notices[0].text


async def ask(program: str, port: int) -> str:
    options = {
        "psql": ["-h", "127.0.0.1", "-p", str(port), "-d", "shop", "-c", "select 1"],
        "mariadb": ["--no-defaults", "-h127.0.0.1", f"-P{port}", "-e", "select 1"],
    }
    done = await trio.run_process(
        [program, *options[program]], capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode != 0
    return done.stderr.decode()


async def test_what_is_transient_is_tried_again(fake, tmp_path):
    draining = (503, {"code": "draining", "detail": "this proxy is shutting down"})
    fake.answers["/v1/sessions"] = [draining, draining]
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        fake.answers["/v1/sessions"].append(
            (201, {"ticket": "t", "data": f"127.0.0.1:{fake.data_port}"})
        )
        await client.send_all(b"?")
        assert await client.receive_some() == b"?"
        assert local.notices == []


async def test_a_data_port_that_is_not_the_servers_gets_no_ticket(fake, tmp_path, other_ca):
    async with tunnel(fake, tmp_path, ca_pem=other_ca) as local, await local.connect() as client:
        await client.send_eof()
        assert await read_all(client) == b""
        assert "is not trusted" in local.notices[0].text
    assert (fake.asked, fake.hellos) == ([], [])


@pytest.fixture
def other_ca(tmp_path) -> str:
    file = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=other", "-keyout", tmp_path / "key.pem", "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
    return file.read_text()


async def test_another_protocol_on_the_data_port(fake, tmp_path):
    fake.alpn = "http/1.1"
    async with tunnel(fake, tmp_path) as local, await local.connect() as client:
        await client.send_eof()
        assert await read_all(client) == b""
        assert "does not speak querykeep/1" in local.notices[0].text


async def test_one_renewal_for_many_connections(fake, tmp_path):
    fake.answers["/v1/tokens"] = [(200, tokens(1)), (401, {"code": "bad", "detail": "spent"})]
    async with tunnel(fake, tmp_path, access_until="2020-01-01T00:00:00Z") as local:

        async def use() -> None:
            async with await local.connect() as client:
                await client.send_all(b"?")
                assert await client.receive_some() == b"?"

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(use)
        assert local.sessions.account.tokens().refresh_token == "refresh1"
    assert [path for path, _ in fake.asked].count("/v1/tokens") == 1


async def test_a_wrong_clock_is_named_and_costs_no_sign_in(fake, tmp_path):
    fake.answers["/v1/tokens"] = [(401, {"code": "bad_agent_grant", "detail": "over"})]
    fake.answers["/v1/server"] = [(200, {"product": "querykeep", "time": 1_000_000_000})]
    async with fake.running():
        account = fake.account(tmp_path, access_until="2020-01-01T00:00:00Z")
        with pytest.raises(AgentError, match=r"clock is .* ahead of the server's"):
            await account.access_token()
        assert account.tokens().refresh_token == "refresh0"
        fake.answers["/v1/tokens"] = [(200, tokens(1))]
        assert await account.access_token() == "access1"


async def test_a_sign_in_that_is_over_forgets_its_tokens(fake, tmp_path):
    fake.answers["/v1/tokens"] = [(401, {"code": "bad_agent_grant", "detail": "over"})]
    async with fake.running():
        account = fake.account(tmp_path, access_until="2020-01-01T00:00:00Z")
        for _ in range(2):
            with pytest.raises(NotSignedInError, match="Sign in again"):
                await account.access_token()
    assert [path for path, _ in fake.asked].count("/v1/tokens") == 1


async def test_a_lost_answer_of_a_renewal_is_asked_for_again(fake, tmp_path):
    fake.answers["/v1/tokens"] = [(LOST, {}), (200, tokens(1))]
    async with fake.running():
        account = fake.account(tmp_path, access_until="2020-01-01T00:00:00Z")
        before = account.tokens().refresh_token
        assert await account.access_token() == tokens(1)["access_token"]
        sent = [body["refresh_token"] for path, body in fake.asked if path == "/v1/tokens"]
        assert sent == [before, before]
        assert account.tokens().refresh_token == tokens(1)["refresh_token"]
