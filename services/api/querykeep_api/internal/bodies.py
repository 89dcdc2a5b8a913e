"""Bodies of the internal calls as frozen dataclasses, read by the contracts' codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from rest_framework.request import Request

from querykeep_api.kernel.errors import InvalidInput
from querykeep_guard.contracts.codec import ContractError, from_json
from querykeep_guard.contracts.session import ClientInfo, ClientVerifiers, Route

T = TypeVar("T")
_NOBODY = ClientInfo(address="")


@dataclass(frozen=True, slots=True)
class ChallengeBody:
    """``POST signin/challenge``."""

    connection_id: str
    mechanism: str
    username: str
    data: bytes
    route: Route = Route.AGENTLESS
    gs2_header: bytes = b"n,,"
    channel_binding: bytes = b""
    client: ClientInfo = _NOBODY
    database: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class ProveBody:
    """``POST signin/prove``."""

    connection_id: str
    mechanism: str
    username: str
    data: bytes
    ep: str
    client: ClientInfo
    route: Route = Route.AGENTLESS
    nonce: bytes = b""
    challenge_id: str = ""
    database: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class EstablishProof:
    """The agent key's signature over the request for a ticket."""

    timestamp: int | float | str
    signature: bytes


@dataclass(frozen=True, slots=True)
class TicketBody:
    """``POST tickets``."""

    access_token: str
    connection: str
    client: ClientInfo
    verifiers: ClientVerifiers
    proof: EstablishProof


@dataclass(frozen=True, slots=True)
class RedeemBody:
    """``POST tickets/redeem``."""

    ticket: str
    signature: bytes
    client: ClientInfo
    ep: str


@dataclass(frozen=True, slots=True)
class EditorBody:
    """``POST sessions/editor``."""

    cookie: str
    connection_id: str
    client: ClientInfo
    ep: str


@dataclass(frozen=True, slots=True)
class ResolveBody:
    """``POST web-sessions/resolve``."""

    cookie: str
    client_address: str = ""
    seen: bool = True


@dataclass(frozen=True, slots=True)
class PoliciesBody:
    """``POST policies``."""

    sessions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentLoginBody:
    """``POST agent-logins``."""

    login_id: str
    code_challenge: str
    agent_key: str
    mode: str
    machine: str = ""
    address: str = ""
    redirect_port: int | None = None


@dataclass(frozen=True, slots=True)
class AgentTokenBody:
    """``POST agent-tokens``: ``grant`` is ``login`` or ``refresh``."""

    grant: str
    signature: bytes
    login_id: str = ""
    code: str = ""
    code_verifier: str = ""
    refresh_token: str = ""
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class RevokeBody:
    """``POST agent-tokens/revoke``."""

    refresh_token: str


def _without_nul(data: Any) -> Any:
    """Return JSON data with NUL characters replaced: PostgreSQL stores none, and a client may put
    them anywhere in its own name or program."""
    if isinstance(data, str):
        return data.replace("\x00", "\ufffd")
    if isinstance(data, list):
        return [_without_nul(item) for item in data]
    if isinstance(data, dict):
        return {key: _without_nul(value) for key, value in data.items()}
    return data


def read_body(cls: type[T], request: Request) -> T:
    """Return the body as ``cls``; raises InvalidInput naming the field that is wrong."""
    try:
        return from_json(cls, _without_nul(request.data))
    except ContractError as error:
        raise InvalidInput(str(error), code="bad_body") from error
