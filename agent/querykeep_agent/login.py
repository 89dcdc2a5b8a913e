"""Signing in: find the server, begin a login, wait for the person, join the halves, redeem.

In the browser's way half of the code comes over the sign-in port and half by redirect to this
machine's own loopback port, so that a link that someone else was talked into confirming is worth
nothing. Without a browser the person types a short code (RFC 8628), and the wire's half is all.
"""

from __future__ import annotations

import getpass
import ipaddress
import platform
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import trio

from querykeep_agent.account import Account, Tokens, seconds_left
from querykeep_agent.callback import CallbackListener
from querykeep_agent.errors import (
    AgentError,
    NotSignedInError,
    NotTrustedError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from querykeep_agent.home import Home, Server
from querykeep_agent.keystore import choose_kind
from querykeep_agent.proofs import AgentKey, Pkce, new_login_id, sign_login
from querykeep_agent.tasks import open_tasks
from querykeep_agent.tls import TlsStream
from querykeep_agent.web import (
    Api,
    BusyError,
    ProtocolMismatchError,
    clock_fault,
    not_trusted,
    open_api,
    tls_context,
)

DEFAULT_SERVER = "127.0.0.1:6000"
SIGNIN_PORT = 6000
_WAIT_S = 20
_RETRY_S = 2.0
_PAGE_S = 5.0
"""How long the browser may take to fetch the page that says that it is done."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the person is shown: the page to open and, without a browser, the code to type there."""

    url: str
    user_code: str
    valid_s: float


async def sign_in(
    home: Home, address: str, *, ca_pem: str, use_browser: bool, show: Callable[[Prompt], None]
) -> Account:
    """Sign in and store what came of it; ``show`` tells the person what to do.

    Raises:
        AgentError: It did not come about; the text says why.
    """
    server = await find_server(address, ca_pem)
    await check_establish(server)
    key, pkce, login_id = AgentKey.new(), Pkce.new(), new_login_id()
    async with open_api(server.signin, "the sign-in server", server.ca_pem) as api:
        login = _Login(api, key, pkce, login_id)
        if use_browser:
            answer = await _with_browser(login, show)
        else:
            answer = await _with_code(login, show)
    user = answer.get("user")
    if not isinstance(user, dict):
        raise AgentError("the server's answer names no person: its version does not fit qk's")
    signed_in = Server(
        name=server.name,
        tls=server.tls,
        web=server.web,
        establish=server.establish,
        ca_pem=server.ca_pem,
        username=str(user.get("username", "")),
        display_name=str(user.get("display_name", "")),
        keystore=await trio.to_thread.run_sync(choose_kind, home.folder),
    )
    account = Account(home, signed_in)
    await trio.to_thread.run_sync(account.store_signin, key, Tokens.read(answer))
    home.remember(signed_in)
    return account


async def find_server(address: str, ca_pem: str) -> Server:
    """Ask a sign-in address what it is; TLS unless it is this machine's own.

    Raises:
        UsageError: The address has no meaning.
        AgentError: Nobody answers there, or nobody that is Querykeep.
    """
    host, port = read_address(address)
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ways = [False, True] if is_loopback(host) else [True]
    for tls in ways:
        url = f"{'https' if tls else 'http'}://{name}"
        try:
            async with open_api(url, "the sign-in server", ca_pem) as api:
                told = await api.call("GET", "/v1/server")
        except ProtocolMismatchError:
            if tls is ways[-1]:
                raise
            continue
        return _server(name, tls, told, ca_pem, host)
    raise AssertionError("each way returns or raises")


def _server(name: str, tls: bool, told: dict[str, Any], ca_pem: str, host: str) -> Server:
    web, establish = str(told.get("web", "")), str(told.get("establish", ""))
    if told.get("product") != "querykeep" or not web or not establish.startswith("https://"):
        raise UnreachableError(f"{name} answers, but is no sign-in port of Querykeep")
    if is_loopback(urlsplit(establish).hostname or "") and not is_loopback(host):
        raise AgentError(
            f"{name} says that sessions are established at {establish}, which is this machine. "
            "Its administrator must set QUERYKEEP_ESTABLISH_URL"
        )
    return Server(
        name=name,
        tls=tls,
        web=web,
        establish=establish,
        # The address was verified, or is this machine itself: it may name the CA of its proxy.
        ca_pem=ca_pem or str(told.get("ca_pem") or ""),
        username="",
        display_name="",
        keystore="",
    )


async def check_establish(server: Server) -> None:
    """See that the proxy's certificate is trusted, before a person is asked for anything.

    Raises:
        NotTrustedError, UnreachableError: It is not, or nobody answers.
    """
    address = urlsplit(server.establish)
    host, port = address.hostname or "", address.port or 443
    where = f"the proxy at {server.establish}"
    try:
        with trio.fail_after(10):
            stream = await trio.open_tcp_stream(host, port)
            async with stream:
                await TlsStream(stream, tls_context(server.ca_pem), host).handshake()
    except ssl.SSLCertVerificationError as error:
        raise NotTrustedError(not_trusted(where, error)) from error
    except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError) as error:
        raise UnreachableError(f"{where} is not reachable. Is it running?") from error


def read_address(text: str) -> tuple[str, int]:
    """Return (host, port) of sign-in for host, host:port or the web UI's URL (then port 6000).

    Raises:
        UsageError: It is none of these.
    """
    is_url = "://" in text
    wrong = UsageError(f"--server {text}: expected HOST, HOST:PORT or the web UI's URL")
    try:
        parts = urlsplit(text if is_url else f"//{text}")
        port = parts.port
    except ValueError as error:
        raise wrong from error
    bad_scheme = is_url and parts.scheme not in ("http", "https")
    if not parts.hostname or bad_scheme or parts.username is not None:
        raise wrong
    return parts.hostname, SIGNIN_PORT if is_url or port is None else port


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Login:
    """One login under way."""

    def __init__(self, api: Api, key: AgentKey, pkce: Pkce, login_id: str) -> None:
        self._api = api
        self._key = key
        self._pkce = pkce
        self.id = login_id
        self._wire_half = ""
        self._asking = trio.Lock()

    async def begin(self, mode: str, redirect_port: int | None) -> Prompt:
        body: dict[str, object] = {
            "login_id": self.id,
            "code_challenge": self._pkce.challenge,
            "agent_key": self._key.public,
            "mode": mode,
            "machine": _machine(),
            "redirect_port": redirect_port,
        }
        answer = await self._api.call("POST", "/v1/logins", body)
        return Prompt(
            str(answer.get("confirm_url", "")),
            str(answer.get("user_code", "")),
            max(1.0, seconds_left(str(answer.get("expires_at", "")))),
        )

    async def wire_half(self) -> str:
        """Wait until the person has confirmed; return the wire's half of the code. One asks, the
        others wait for its answer: after the redemption the server would call the login over."""
        async with self._asking:
            while not self._wire_half:
                self._wire_half = await self._ask()
        return self._wire_half

    async def _ask(self) -> str:
        """Ask once, which may last; return the half, "" while the person is not done."""
        path = f"/v1/logins/{self.id}?wait={_WAIT_S}"
        try:
            answer = await self._api.call("GET", path, timeout_s=_WAIT_S + 15)
        except BusyError:
            await trio.sleep(_RETRY_S)  # the person may well need longer than a restart
            return ""
        match answer.get("state"):
            case "waiting":
                return ""
            case "confirmed":
                return str(answer.get("code_half", ""))
            case "denied":
                raise RefusedError("denied", "the sign-in was turned down in the browser")
            case _:
                raise RefusedError("expired", "the sign-in took too long. Run it again")

    async def redeem(self, browser_half: str) -> dict[str, Any]:
        """Redeem the whole code; raises NotSignedInError when it does not fit."""
        code = await self.wire_half() + browser_half
        body: dict[str, object] = {
            "grant": "login",
            "login_id": self.id,
            "code": code,
            "code_verifier": self._pkce.verifier,
            "signature": sign_login(self._key, self.id, code),
        }
        return await self._api.call("POST", "/v1/tokens", body)

    async def clock_fault(self) -> str:
        return await clock_fault(self._api)


async def _with_browser(login: _Login, show: Callable[[Prompt], None]) -> dict[str, Any]:
    callback = await CallbackListener.open()
    prompt = await login.begin("browser", callback.port)
    show(prompt)
    found: dict[str, Any] = {}
    complete = trio.Event()
    redeeming = trio.Lock()

    async def attempt(half: str) -> bool:
        async with redeeming:
            if complete.is_set():
                return False
            try:
                found.update(await login.redeem(half))
            except NotSignedInError:
                return False
            complete.set()
            return True

    with trio.move_on_after(prompt.valid_s) as limit:
        async with open_tasks() as nursery:
            nursery.start_soon(callback.serve, attempt)
            await login.wire_half()  # so that a refusal in the browser is heard at once
            await complete.wait()
            with trio.move_on_after(_PAGE_S):
                await callback.answered.wait()
            nursery.cancel_scope.cancel()
    if limit.cancelled_caught and not complete.is_set():
        raise RefusedError("expired", "the sign-in took too long. Run it again")
    return found


async def _with_code(login: _Login, show: Callable[[Prompt], None]) -> dict[str, Any]:
    prompt = await login.begin("device", None)
    show(prompt)
    with trio.move_on_after(prompt.valid_s):
        try:
            return await login.redeem("")
        except NotSignedInError as error:
            raise AgentError(await login.clock_fault() or error.message) from error
    raise RefusedError("expired", "the sign-in took too long. Run it again")


def _machine() -> str:
    """Return what the confirming page calls this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    return f"{user}@{socket.gethostname()} ({platform.system()})"
