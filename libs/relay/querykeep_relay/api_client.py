"""The internal API as an enforcement point sees it (docs/seams.md, "Internal API").

Typed calls over HTTP with this service's key, mutual TLS where it is set. Every call has a timeout.
Nothing that a call carries is logged: bodies hold proofs, credentials and statements.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.codec import ContractError, dumps, from_json, to_json
from querykeep_guard.contracts.policy import SessionPolicy
from querykeep_guard.contracts.session import (
    ClientInfo,
    ClientVerifiers,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
    SignInRefusal,
    Target,
)

_KEPT_POLICIES = 256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from querykeep_relay.settings import RelaySettings


class ApiUnavailableError(Exception):
    """The API did not answer, or answered that it cannot (5xx): try again later, decide nothing."""


class ApiRefusedError(Exception):
    """A sign-in or session was refused, for a reason that the person may be told."""

    def __init__(self, refusal: SignInRefusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class ApiProblemError(Exception):
    """Any other refusal of a call: ``status`` and the problem's ``code`` and ``detail``."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One change since a version. ``kind``: user, connection, all."""

    kind: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """A session that must end."""

    session_id: str
    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """What changed since the version that the heartbeat named."""

    version: int
    changes: tuple[PolicyChange, ...] = ()
    end: tuple[SessionEnd, ...] = ()
    cancel: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndedPolicy:
    """Why a session has no policy any more."""

    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class PoliciesAnswer:
    """Fresh policies by session id, and the sessions that ended instead."""

    policies: dict[str, SessionPolicy]
    ended: dict[str, EndedPolicy]


@dataclass(frozen=True, slots=True)
class TicketAnswer:
    """A ticket for the data port and the connection that it is for."""

    ticket: str
    expires_at: str
    connection: ConnectionInfo


class ApiClient:
    """One pool of connections to the internal API; use ``open_api_client``."""

    def __init__(self, http: httpx.AsyncClient, ep: str) -> None:
        self._http = http
        self._ep = ep
        self._policies: dict[str, SessionPolicy] = {}

    @property
    def ep(self) -> str:
        """This enforcement point's name."""
        return self._ep

    async def connections(self) -> tuple[int, tuple[ConnectionInfo, ...]]:
        """Return the policy version and every connection to listen for."""
        data = await self._call("GET", "connections")
        items = tuple(from_json(ConnectionInfo, item) for item in data["connections"])
        return int(data["version"]), items

    async def challenge(
        self, connection_id: str, route: Route, body: Mapping[str, object]
    ) -> tuple[str, bytes]:
        """Return (challenge id, what to send to the client)."""
        data = await self._call(
            "POST",
            "signin/challenge",
            {"connection_id": connection_id, "route": route.value, **body},
        )
        return str(data["challenge_id"]), _bytes(data, "data")

    async def prove(
        self, connection_id: str, route: Route, body: Mapping[str, object]
    ) -> tuple[SessionGrant, bytes]:
        """Pass a proof on; return the grant and the mechanism's last message.

        Raises:
            ApiRefusedError: Turned away.
        """
        data = await self._call(
            "POST",
            "signin/prove",
            {"connection_id": connection_id, "route": route.value, "ep": self._ep, **body},
        )
        return self._grant(data["grant"]), _bytes(data, "data")

    async def ticket(
        self,
        access_token: str,
        connection: str,
        client: ClientInfo,
        verifiers: ClientVerifiers,
        proof: Mapping[str, object],
    ) -> TicketAnswer:
        """Ask for a ticket on behalf of an agent."""
        data = await self._call(
            "POST",
            "tickets",
            {
                "access_token": access_token,
                "connection": connection,
                "client": client,
                "verifiers": verifiers,
                "proof": dict(proof),
            },
        )
        return from_json(TicketAnswer, data)

    async def redeem(self, ticket: str, signature: bytes, client: ClientInfo) -> SessionGrant:
        """Redeem a ticket, once."""
        data = await self._call(
            "POST",
            "tickets/redeem",
            {"ticket": ticket, "signature": signature, "client": client, "ep": self._ep},
        )
        return self._grant(data["grant"])

    async def open_editor_session(
        self, cookie: str, connection_id: str, client: ClientInfo
    ) -> SessionGrant:
        """Open a session for a person signed in to the web UI."""
        data = await self._call(
            "POST",
            "sessions/editor",
            {"cookie": cookie, "connection_id": connection_id, "client": client, "ep": self._ep},
        )
        return self._grant(data["grant"])

    async def agent_connections(self, access_token: str) -> object:
        """Return the connections that an agent's person may use, as the API lists them."""
        data = await self._call(
            "GET", "agent-connections", headers={"X-Querykeep-Access": access_token}
        )
        listed: object = data["connections"]
        return listed

    async def heartbeat(self, body: Mapping[str, object]) -> HeartbeatAnswer:
        """Report sessions and learn of changes."""
        return from_json(HeartbeatAnswer, await self._call("POST", "heartbeat", body))

    async def policies(self, session_ids: Sequence[str]) -> PoliciesAnswer:
        """Return fresh policies of live sessions."""
        data = await self._call("POST", "policies", {"sessions": list(session_ids)})
        return from_json(PoliciesAnswer, data)

    async def catalog(self, connection_id: str) -> Catalog | None:
        """Return the stored catalog, or None when the connection was never crawled."""
        try:
            data = await self._call("GET", f"connections/{connection_id}/catalog")
        except ApiProblemError as problem:
            if problem.status == 404:
                return None
            raise
        return from_json(Catalog, data)

    async def put_catalog(self, connection_id: str, catalog: Catalog) -> None:
        """Hand in a catalog that was crawled here."""
        await self._call("PUT", f"connections/{connection_id}/catalog", catalog)

    async def target(self, connection_id: str) -> Target:
        """Return the target with its stored account, while a session lives there."""
        data = await self._call("GET", f"connections/{connection_id}/target")
        return from_json(Target, data)

    async def audit_records(self, records: Sequence[bytes]) -> dict[str, int]:
        """Hand in spool records (canonical JSON each); return {spool id: acknowledged sequence}."""
        body = b'{"ep":%s,"records":[%s]}' % (json.dumps(self._ep).encode(), b",".join(records))
        data = await self._call("POST", "audit/records", content=body, timeout_s=60.0)
        acknowledged = data["acknowledged"]
        return {str(spool): int(sequence) for spool, sequence in acknowledged.items()}

    async def report_job(
        self,
        run_id: str,
        *,
        ok: bool,
        summary: str,
        changes: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Tell what this process did for a run of a job; each change has kind, subject, detail."""
        await self._call(
            "POST",
            "jobs/report",
            {
                "run_id": run_id,
                "ep": self._ep,
                "ok": ok,
                "summary": summary,
                "changes": [dict(change) for change in changes],
            },
        )

    def _grant(self, data: Any) -> SessionGrant:
        """Read a grant. Reading its policy takes most of the time, and people's sessions follow
        each other under equal ones: the last policies are kept by their text."""
        if not isinstance(data, dict) or not isinstance(data.get("policy"), dict):
            return from_json(SessionGrant, data)
        text = json.dumps(data["policy"], sort_keys=True)
        policy = self._policies.get(text)
        if policy is None:
            policy = from_json(SessionPolicy, data["policy"])
            if len(self._policies) >= _KEPT_POLICIES:
                self._policies.clear()
            self._policies[text] = policy
        return from_json(SessionGrant, {**data, "policy": policy})

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        if body is not None:
            content = dumps(body)
        extra = {"Content-Type": "application/json", **(headers or {})}
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s)
        try:
            response = await self._http.request(
                method, path, content=content, headers=extra, timeout=timeout
            )
        except httpx.HTTPError as error:
            raise ApiUnavailableError(f"{path}: {type(error).__name__}") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise ApiUnavailableError(f"{path}: the API answered {response.status_code}")
        if response.status_code >= 400:
            raise _problem(response)
        if not response.content:
            return {}
        try:
            return response.json()
        except ValueError as error:
            raise ApiUnavailableError(f"{path}: the answer is no JSON") from error


@asynccontextmanager
async def open_api_client(settings: RelaySettings) -> AsyncIterator[ApiClient]:
    """Open the client; raises OSError or ssl.SSLError when certificates cannot be read."""
    # Two lines a second that say nothing: the feed itself logs when the API comes and goes.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    verify: ssl.SSLContext | bool = True
    if settings.internal_url.startswith("https:"):
        verify = ssl.create_default_context(cafile=settings.internal_ca_file or None)
        if settings.internal_cert_file:
            verify.load_cert_chain(
                settings.internal_cert_file, settings.internal_cert_key_file or None
            )
    http = httpx.AsyncClient(
        base_url=settings.internal_url.rstrip("/") + "/internal/v1/",
        headers={"Authorization": f"Bearer {settings.kind}:{settings.internal_key}"},
        verify=verify,
        timeout=httpx.Timeout(settings.api_timeout_s, connect=3.0),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
        trust_env=False,
        follow_redirects=False,
    )
    async with http:
        yield ApiClient(http, settings.ep)


def _problem(response: httpx.Response) -> Exception:
    try:
        data = response.json()
    except ValueError:
        data = {}
    if not isinstance(data, dict):
        data = {}
    if isinstance(data.get("refusal"), dict):
        try:
            return ApiRefusedError(from_json(SignInRefusal, data["refusal"]))
        except ContractError:
            return ApiUnavailableError("a refusal in a shape that this version does not know")
    detail = str(data.get("detail") or data.get("title") or "")
    return ApiProblemError(response.status_code, str(data.get("code", "")), detail)


def _bytes(data: Mapping[str, Any], name: str) -> bytes:
    return base64.b64decode(data.get(name) or "")


def plain(value: object) -> Any:
    """Return plain JSON data of a contract value (bytes as base64), for bodies built by hand."""
    return to_json(value)
