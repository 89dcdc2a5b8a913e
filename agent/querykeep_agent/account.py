"""A signed-in server: access tokens that renew themselves, and local passwords.

Renewal is single-flight across all processes of this person: it happens under a file lock, and the
new refresh token is stored before anything uses the new access token. A refresh token is good once;
if the server says that it was spent, two hold it, and this machine's sign-in is over.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import trio

from querykeep_agent.errors import AgentError, NotSignedInError, UnreachableError
from querykeep_agent.home import Home, Server
from querykeep_agent.proofs import AgentKey, new_password, sign_refresh
from querykeep_agent.web import BusyError, ProtocolMismatchError, clock_fault, open_api

_RENEW_BEFORE_S = 60.0
_ASK_AGAIN_S = (0.2, 2.0)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the server gave at sign-in or renewal; times are RFC 3339."""

    access_token: str
    access_expires_at: str
    refresh_token: str
    refresh_expires_at: str

    def __repr__(self) -> str:
        """Show no token."""
        return f"Tokens(until {self.refresh_expires_at})"

    @staticmethod
    def read(answer: dict[str, Any]) -> Tokens:
        """Read a server's answer; raises AgentError for another shape."""
        fields = [answer.get(name) for name in Tokens.__slots__]
        if not all(isinstance(value, str) and value for value in fields):
            raise AgentError("the server's answer holds no tokens: its version does not fit qk's")
        return Tokens(*map(str, fields))


class Account:
    """A server's secrets, in use."""

    def __init__(self, home: Home, server: Server) -> None:
        self.home = home
        self.server = server
        self._store = home.keystore(server)
        self._renewal = trio.Lock()

    def read(self) -> dict[str, Any]:
        """Return the stored secrets.

        Raises:
            NotSignedInError: There are none.
        """
        found = self._store.read(self.server.name)
        if found is None or "agent_key" not in found:
            raise NotSignedInError(
                f"not signed in to {self.server.name}. Sign in: qk login --server "
                f"{self.server.name}"
            )
        return found

    def key(self) -> AgentKey:
        """Return the agent key of this sign-in."""
        return AgentKey(base64.b64decode(self.read()["agent_key"]))

    def store_signin(self, key: AgentKey, tokens: Tokens) -> None:
        """Begin with new tokens; the local passwords of an earlier sign-in stay."""
        with self.home.renewing(self.server.name):
            try:
                old = self._store.read(self.server.name) or {}
            except AgentError:
                old = {}
            secrets = {
                "agent_key": base64.b64encode(key.seed).decode(),
                "tokens": _plain(tokens),
                "passwords": old.get("passwords", {}),
            }
            self._store.write(self.server.name, secrets)

    def password(self, connection_id: str, *, renew: bool = False) -> str:
        """Return a connection's local password; it is made at the first time, or anew."""
        with self.home.renewing(self.server.name):
            secrets = self.read()
            passwords = secrets.setdefault("passwords", {})
            if renew or connection_id not in passwords:
                passwords[connection_id] = new_password()
                self._store.write(self.server.name, secrets)
            return str(passwords[connection_id])

    async def access_token(self, *, rejected: str = "") -> str:
        """Return an access token that holds for a while yet, renewed if need be.

        Args:
            rejected: A token that the server has just turned down: it is not returned again.

        Raises:
            NotSignedInError: The server does not renew this sign-in any more.
            UnreachableError: The server does not answer.
        """
        async with self._renewal:
            tokens = await _thread(self._tokens)
            if _is_fresh(tokens, rejected):
                return tokens.access_token
            return (await self._renew(rejected)).access_token

    def tokens(self) -> Tokens:
        """Return the stored tokens as they are."""
        return self._tokens()

    async def sign_out(self) -> None:
        """Have the server revoke this sign-in and forget its secrets, passwords included.

        Raises:
            UnreachableError: The server did not answer; nothing is forgotten.
        """
        tokens = await _thread(self._tokens)
        async with open_api(self.server.signin, "the sign-in server", self.server.ca_pem) as api:
            await api.call("POST", "/v1/tokens/revoke", {"refresh_token": tokens.refresh_token})
        await _thread(self.forget)

    def forget(self) -> None:
        """Forget the secrets without asking the server."""
        with self.home.renewing(self.server.name):
            self._store.delete(self.server.name)

    def _tokens(self) -> Tokens:
        secrets = self.read()
        if not isinstance(secrets.get("tokens"), dict):
            raise _over(self.server)
        return Tokens.read(secrets["tokens"])

    async def _renew(self, rejected: str) -> Tokens:
        # The lock is held by this task while a worker thread waits for it, so that the loop runs on
        # and Ctrl-C works; a renewal once begun is not cancelled between server and disk.
        lock = self.home.renewing(self.server.name)
        await trio.to_thread.run_sync(lock.__enter__, abandon_on_cancel=False)
        try:
            tokens = await _thread(self._tokens)
            if _is_fresh(tokens, rejected):
                return tokens  # another process was faster
            renewed = tokens
            with trio.CancelScope(shield=True):
                renewed = await self._exchange(tokens)
        finally:
            lock.__exit__(None, None, None)
        return renewed

    async def _exchange(self, tokens: Tokens) -> Tokens:
        secrets = await _thread(self.read)
        key = AgentKey(base64.b64decode(secrets["agent_key"]))
        timestamp = int(time.time())
        body: dict[str, object] = {
            "grant": "refresh",
            "refresh_token": tokens.refresh_token,
            "timestamp": timestamp,
            "signature": sign_refresh(key, tokens.refresh_token, timestamp),
        }
        fresh = await self._ask_for_tokens(body)
        if fresh is None:
            secrets.pop("tokens", None)
            await _thread(lambda: self._store.write(self.server.name, secrets))
            raise _over(self.server)
        secrets["tokens"] = _plain(fresh)
        await _thread(lambda: self._store.write(self.server.name, secrets))
        return fresh

    async def _ask_for_tokens(self, body: dict[str, object]) -> Tokens | None:
        """Return new tokens, None when the server turns the old one down for good.

        An answer that was lost is asked for again at once: the server gives the same rotation to
        the same key for a short time, and takes a later return of the token for a theft.
        """
        async with open_api(self.server.signin, "the sign-in server", self.server.ca_pem) as api:
            for pause_s in (*_ASK_AGAIN_S, None):
                try:
                    return Tokens.read(await api.call("POST", "/v1/tokens", body))
                except NotSignedInError as error:
                    if fault := await clock_fault(api):
                        raise AgentError(fault) from error
                    return None
                except (UnreachableError, BusyError, ProtocolMismatchError):
                    if pause_s is None:
                        raise
                await trio.sleep(pause_s)
        return None


def seconds_left(moment: str) -> float:
    """Return how long an RFC 3339 time is ahead; raises AgentError for another form."""
    try:
        return datetime.fromisoformat(moment).timestamp() - time.time()
    except ValueError as error:
        raise AgentError(f"the server's answer holds {moment!r} where a time belongs") from error


def _is_fresh(tokens: Tokens, rejected: str) -> bool:
    lasting = seconds_left(tokens.access_expires_at) > _RENEW_BEFORE_S
    return lasting and tokens.access_token != rejected


def _plain(tokens: Tokens) -> dict[str, str]:
    return {name: getattr(tokens, name) for name in Tokens.__slots__}


def _over(server: Server) -> NotSignedInError:
    return NotSignedInError(
        f"the sign-in of this machine to {server.name} is over: signed out, revoked, too old, or "
        f"used by someone else. Sign in again: qk login --server {server.name}"
    )


async def _thread(work: Callable[[], T]) -> T:
    """Run what reads or writes disk or keychain beside the loop."""
    return await trio.to_thread.run_sync(work)
