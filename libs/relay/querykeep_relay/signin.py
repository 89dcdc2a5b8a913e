"""Answers a session's ``Challenge`` and ``Prove``: from the API, or from verifiers in a grant.

A grant brings verifiers of a one-time local password (agent, loopback drivers): then nothing leaves
this process. Otherwise the verifiers stay in the API, which also answers unknown users steadily.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from querykeep_engines.kit.scram import (
    MECHANISM,
    MECHANISM_PLUS,
    ScramError,
    server_first,
    verify_client_final,
)
from querykeep_engines.kit.session import Challenge, Challenged, Prove, SignedIn, SignInFailed
from querykeep_guard.contracts.codec import ContractError
from querykeep_guard.contracts.session import (
    ClientInfo,
    ClientVerifiers,
    ConnectionInfo,
    Route,
    SessionGrant,
    SignInRefusal,
)
from querykeep_relay.api_client import (
    ApiClient,
    ApiProblemError,
    ApiRefusedError,
    ApiUnavailableError,
)

UNREACHABLE = SignInRefusal(
    "policy_unreachable",
    "Querykeep cannot reach its policy service now, so nobody can be signed in. Try again shortly.",
)
_WRONG = SignInRefusal("bad_credentials", "the user name or password is wrong")


class ApiSignIn:
    """Signs a client in through the API, which alone holds what proofs are checked against."""

    def __init__(
        self, api: ApiClient, connection: ConnectionInfo, route: Route, address: str
    ) -> None:
        self._api = api
        self._connection = connection
        self._route = route
        self._address = address
        self._challenge_id: str | None = None

    async def challenge(self, command: Challenge) -> Challenged | SignInFailed:
        """Fetch the challenge."""
        body = {
            "mechanism": command.mechanism,
            "username": command.username,
            "data": command.data,
            "gs2_header": command.gs2_header,
            "channel_binding": command.channel_binding,
            "client": self._client(command.client),
            "database": command.database,
            "tls": command.tls,
        }
        try:
            self._challenge_id, data = await self._api.challenge(
                self._connection.id, self._route, body
            )
        except ApiRefusedError as refused:
            return SignInFailed(refused.refusal)
        except (ApiUnavailableError, ApiProblemError, ContractError):
            return SignInFailed(UNREACHABLE)
        return Challenged(data)

    async def prove(self, command: Prove) -> SignedIn | SignInFailed:
        """Pass the proof on."""
        body: dict[str, object] = {
            "mechanism": command.mechanism,
            "username": command.username,
            "data": command.data,
            "nonce": command.nonce,
            "database": command.database,
            "client": self._client(command.client),
            "tls": command.tls,
        }
        if self._challenge_id is not None:
            body["challenge_id"] = self._challenge_id
        try:
            grant, data = await self._api.prove(self._connection.id, self._route, body)
        except ApiRefusedError as refused:
            return SignInFailed(refused.refusal)
        except (ApiUnavailableError, ApiProblemError, ContractError):
            return SignInFailed(UNREACHABLE)
        return SignedIn(grant, data)

    def _client(self, client: ClientInfo) -> ClientInfo:
        return replace(client, address=self._address)


class GrantSignIn:
    """Checks a one-time local password against the verifiers that came with a grant."""

    def __init__(
        self, grant: SessionGrant, verifiers: ClientVerifiers, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._grant = grant
        self._verifiers = verifiers
        self._random_bytes = random_bytes
        self._asked: Challenge | None = None
        self._server_first = b""

    async def challenge(self, command: Challenge) -> Challenged | SignInFailed:
        """Make the SCRAM server-first-message."""
        if command.mechanism not in (MECHANISM, MECHANISM_PLUS):
            return SignInFailed(_WRONG)
        nonce = base64.b64encode(self._random_bytes(18))
        try:
            self._server_first = server_first(
                command.data, nonce, self._verifiers.scram_salt, self._verifiers.scram_iterations
            )
        except ScramError:
            return SignInFailed(_WRONG)
        self._asked = command
        return Challenged(self._server_first)

    async def prove(self, command: Prove) -> SignedIn | SignInFailed:
        """Check the proof; the user name says nothing, the password is for one session."""
        if command.mechanism in (MECHANISM, MECHANISM_PLUS):
            final = self._scram_final(command.data)
            return SignInFailed(_WRONG) if final is None else SignedIn(self._grant, final)
        if command.mechanism.endswith("native_password"):
            right = is_native_proof(command.data, command.nonce, self._verifiers.native_stage2)
        elif command.mechanism.startswith("caching_sha2"):
            right = is_caching_proof(command.data, command.nonce, self._verifiers.caching_stage2)
        else:
            right = False
        return SignedIn(self._grant) if right else SignInFailed(_WRONG)

    def _scram_final(self, data: bytes) -> bytes | None:
        asked = self._asked
        if asked is None:
            return None
        try:
            return verify_client_final(
                data,
                client_first_bare=asked.data,
                server_first_message=self._server_first,
                gs2_header=asked.gs2_header,
                channel_binding=asked.channel_binding,
                stored_key=self._verifiers.scram_stored_key,
                server_key=self._verifiers.scram_server_key,
            )
        except ScramError:
            return None


def is_native_proof(response: bytes, nonce: bytes, stage2: bytes) -> bool:
    """True when ``response`` = SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password)))."""
    if len(response) != 20:
        return False
    mask = hashlib.sha1(nonce + stage2, usedforsecurity=False).digest()
    stage1 = bytes(a ^ b for a, b in zip(response, mask, strict=True))
    found = hashlib.sha1(stage1, usedforsecurity=False).digest()
    return hmac.compare_digest(found, stage2)


def is_caching_proof(response: bytes, nonce: bytes, stage2: bytes) -> bool:
    """True when ``response`` = SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce)."""
    if len(response) != 32:
        return False
    mask = hashlib.sha256(stage2 + nonce).digest()
    stage1 = bytes(a ^ b for a, b in zip(response, mask, strict=True))
    return hmac.compare_digest(hashlib.sha256(stage1).digest(), stage2)
