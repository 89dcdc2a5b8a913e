"""One governed session: a ticket from 8000, one TLS connection to 9000, its first frames.

agent                    8000 (HTTPS)                 9000 (TLS, ALPN querykeep/1)
  |--- /v1/sessions ------->|  access token, proof, verifiers of the local password
  |<-- ticket (30 s) -------|
  |--- uint32 length, JSON {ticket, signature, client} ------->|
  |<-- uint32 length, JSON {"ok": true} | {"error": …} --------|
  |<================ plain database protocol =================>|
"""

from __future__ import annotations

import json
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from querykeep_agent import __version__
from querykeep_agent.account import Account
from querykeep_agent.errors import (
    AgentError,
    NotSignedInError,
    NotTrustedError,
    RefusedError,
    UnreachableError,
)
from querykeep_agent.login import is_loopback, read_address
from querykeep_agent.proofs import new_password, sign_establish, sign_ticket, verifiers
from querykeep_agent.tls import TlsStream
from querykeep_agent.web import Api, BusyError, clock_fault, not_trusted, open_api, tls_context

ALPN = "querykeep/1"
_LENGTH = struct.Struct(">I")
_FRAME_LIMIT_BYTES = 8 * 1024
_CONNECT_TIMEOUT_S = 15.0
_RETRY_S = 4.0
"""How long is tried again while the proxy restarts or the network comes back after sleep."""
_FIRST_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Database:
    """A connection as ``GET /v1/connections`` lists it. ``cli`` names the kind of client program;
    ``url`` and ``jdbc`` are templates with {host}, {port}, {database}, {username}, {password}."""

    id: str
    name: str
    engine: str
    database: str
    label: str
    cli: str
    privilege: str
    url: str = ""
    jdbc: str = ""


class Sessions:
    """Opens sessions of one account. One per process; its connections to 8000 are kept open."""

    def __init__(self, account: Account, establish: Api) -> None:
        self._account = account
        self._establish = establish
        self._data_tls = tls_context(account.server.ca_pem)
        self._data_tls.set_alpn_protocols([ALPN])

    @property
    def account(self) -> Account:
        """Whose sessions these are."""
        return self._account

    async def databases(self) -> list[Database]:
        """Return what this person may open now."""
        answer = await self._with_token(
            lambda token: self._establish.call("GET", "/v1/connections", access_token=token)
        )
        known = Database.__slots__
        try:
            return [
                Database(**{name: str(entry[name]) for name in known if name in entry})
                for entry in answer["connections"]
            ]
        except (KeyError, TypeError) as error:
            raise AgentError(
                "the list of connections has another form than this qk knows. Update qk"
            ) from error

    async def database(self, name: str) -> Database:
        """Return one of them by its name (case does not matter) or id.

        Raises:
            RefusedError: There is none of this name in reach.
        """
        found = await self.databases()
        for entry in found:
            if name in (entry.id, entry.name):
                return entry
        for entry in found:
            if entry.name.casefold() == name.casefold():
                return entry
        names = ", ".join(entry.name for entry in found) or "none at all"
        raise RefusedError(
            "no_grant", f"you have no grant on {name!r} that holds now. You may open: {names}"
        )

    @asynccontextmanager
    async def open(self, database: Database, password: str) -> AsyncIterator[TlsStream]:
        """Give a stream of plain database protocol, whose server asks the local client for
        ``password``. What is transient is tried again for some seconds.

        Raises:
            AgentError: There is no session; the text says why.
        """
        no_more_after = trio.current_time() + _RETRY_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                stream, tls = await self._start(database, password)
                break
            except UnreachableError:
                if trio.current_time() + pause_s > no_more_after:
                    raise
                await trio.sleep(pause_s)
                pause_s *= 2
        async with stream:
            yield tls

    async def _start(
        self, database: Database, password: str
    ) -> tuple[trio.SocketStream, TlsStream]:
        """Get one ticket and use it."""
        ticket, address = await self._ticket(database, password)
        stream = await _connect(*address)
        try:
            return stream, await self._begin(stream, address, ticket)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def probe_data_port(self, database: Database) -> str:
        """Reach the data port without opening a session; return its address.

        Raises:
            AgentError: It is not reachable, or not trusted.
        """
        _, address = await self._ticket(database, new_password())
        async with await _connect(*address) as stream:
            await self._shake_hands(TlsStream(stream, self._data_tls, address[0]), address)
        return f"{address[0]}:{address[1]}"

    async def _ticket(self, database: Database, password: str) -> tuple[str, tuple[str, int]]:
        key = await trio.to_thread.run_sync(self._account.key)
        forms = await trio.to_thread.run_sync(verifiers, password)

        async def ask(token: str) -> dict[str, Any]:
            timestamp = int(time.time())
            signature = sign_establish(key, database.id, timestamp, token)
            body: dict[str, object] = {
                "connection": database.id,
                "client": {"program": "qk", "version": __version__},
                "verifiers": forms,
                "proof": {"timestamp": timestamp, "signature": signature},
            }
            return await self._establish.call("POST", "/v1/sessions", body, access_token=token)

        answer = await self._with_token(ask)
        ticket, data = answer.get("ticket"), answer.get("data")
        if not isinstance(ticket, str) or not isinstance(data, str):
            raise AgentError("the proxy's answer holds no ticket: its version does not fit qk's")
        host, port = read_address(data)
        if is_loopback(host) and not is_loopback(read_address(self._account.server.establish)[0]):
            raise AgentError(
                f"the proxy says that sessions go to {data}, which is this machine. Its "
                "administrator must set QUERYKEEP_PUBLIC_DATA_ADDRESS"
            )
        return ticket, (host, port)

    async def _with_token(self, ask: Any) -> dict[str, Any]:
        """Call with an access token; once more with a new one if it is turned down."""
        token = await self._account.access_token()
        try:
            return dict(await ask(token))
        except NotSignedInError:
            token = await self._account.access_token(rejected=token)
        try:
            return dict(await ask(token))
        except NotSignedInError as error:
            server = self._account.server
            async with open_api(server.signin, "the sign-in server", server.ca_pem) as api:
                fault = await clock_fault(api)
            raise (AgentError(fault) if fault else error) from error

    async def _begin(
        self, stream: trio.SocketStream, address: tuple[str, int], ticket: str
    ) -> TlsStream:
        tls = TlsStream(stream, self._data_tls, address[0])
        key = await trio.to_thread.run_sync(self._account.key)
        hello = {
            "ticket": ticket,
            "signature": sign_ticket(key, ticket),
            "client": {"program": "qk", "version": __version__},
        }
        await self._shake_hands(tls, address)
        where = _data_port(address)
        try:
            with trio.fail_after(_CONNECT_TIMEOUT_S):
                await tls.send_all(_frame(hello))
                answer = await _read_frame(tls)
        except (ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise UnreachableError(f"{where} closed or fell silent before the session") from error
        refusal = answer.get("error")
        if isinstance(refusal, dict):
            raise _refusal(str(refusal.get("code", "refused")), str(refusal.get("message", "")))
        if answer.get("ok") is not True:
            raise AgentError(f"{where} answers in a form that this qk does not know. Update qk")
        return tls

    async def _shake_hands(self, tls: TlsStream, address: tuple[str, int]) -> None:
        where = _data_port(address)
        try:
            with trio.fail_after(_CONNECT_TIMEOUT_S):
                await tls.handshake()
        except ssl.SSLCertVerificationError as error:
            raise NotTrustedError(not_trusted(where, error)) from error
        except (ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise UnreachableError(f"{where} closed or fell silent in the TLS handshake") from error
        if tls.alpn != ALPN:
            raise UnreachableError(f"{where} does not speak {ALPN}")


@asynccontextmanager
async def open_sessions(account: Account) -> AsyncIterator[Sessions]:
    """Give the sessions of an account."""
    server = account.server
    async with open_api(server.establish, "the proxy", server.ca_pem) as establish:
        yield Sessions(account, establish)


async def _connect(host: str, port: int) -> trio.SocketStream:
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await trio.open_tcp_stream(host, port)
    except (OSError, trio.TooSlowError) as error:
        raise UnreachableError(
            f"{_data_port((host, port))} is not reachable. Is a firewall in between?"
        ) from error


def _data_port(address: tuple[str, int]) -> str:
    return f"the proxy's data port {address[0]}:{address[1]}"


def _refusal(code: str, message: str) -> AgentError:
    if code == "policy_unreachable":
        return BusyError(message)
    return RefusedError(code, message)


def _frame(data: object) -> bytes:
    body = json.dumps(data).encode()
    return _LENGTH.pack(len(body)) + body


async def _read_frame(tls: TlsStream) -> dict[str, Any]:
    (length,) = _LENGTH.unpack(await _read_exactly(tls, _LENGTH.size))
    if not 0 < length <= _FRAME_LIMIT_BYTES:
        raise AgentError(f"the proxy's first frame claims {length} bytes: it is no Querykeep")
    try:
        data = json.loads(await _read_exactly(tls, length))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise AgentError("the proxy's first frame is not JSON: it is no Querykeep")
    return data


async def _read_exactly(tls: TlsStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await tls.receive(count - len(data))
        if not part:
            raise trio.BrokenResourceError("closed before the first frame was whole")
        data += part
    return data
