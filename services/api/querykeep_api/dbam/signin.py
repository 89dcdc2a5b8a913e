"""Agentless sign-in: challenges and proofs of proxy tokens. The verifiers never leave this service.

A challenge's state travels sealed in its id, so that any worker can take the proof and nothing is
stored. Unknown user names get a steady fake salt and fail at the proof, by the same arithmetic.

Specifications: RFC 5802, RFC 7677 (SCRAM-SHA-256); MySQL ``mysql_native_password`` and the fast
path of ``caching_sha2_password``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from querykeep_api.dbam.models import Connection, ProxyToken
from querykeep_api.dbam.opening import SignInRefused, open_session, refuse
from querykeep_api.kernel import clock
from querykeep_api.kernel.errors import InvalidInput, NotFound
from querykeep_api.kernel.secrets import keyed_hash, purpose_key
from querykeep_engines.kit.scram import (
    DEFAULT_ITERATIONS,
    MECHANISM,
    MECHANISM_PLUS,
    ScramError,
    server_first,
    verify_client_final,
)
from querykeep_guard.contracts.session import (
    ClientInfo,
    ClientVerifiers,
    Route,
    SessionGrant,
)

NATIVE = "mysql_native_password"
CACHING = "caching_sha2_password"
CHALLENGE_TIME_S = 60
_NONCE_BYTES = 12
_BAD = "Wrong user name or password for this connection. Use a proxy token made for it."


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client sent to prove that it knows a password."""

    mechanism: str
    data: bytes
    nonce: bytes = b""
    challenge_id: str = ""


@dataclass(frozen=True, slots=True)
class _Challenge:
    connection_id: str
    username: str
    gs2_header: bytes
    channel_binding: bytes
    first_bare: bytes
    server_first: bytes


def access_connection(connection_id: str) -> Connection:
    """Return a connection by id; raises NotFound."""
    connection = Connection.everything.filter(pk=connection_id).first()
    if connection is None:
        raise NotFound("There is no such connection.")
    return connection


def make_challenge(
    connection: Connection,
    *,
    mechanism: str,
    username: str,
    data: bytes,
    gs2_header: bytes,
    channel_binding: bytes,
    tls: bool,
) -> tuple[str, bytes]:
    """Return (challenge id, server-first-message).

    Raises:
        SignInRefused: The connection wants TLS or is disabled.
        InvalidInput: The mechanism has no challenge, or the client's message is malformed.
    """
    _check_transport(connection, tls)
    if mechanism not in (MECHANISM, MECHANISM_PLUS):
        raise InvalidInput(f"The mechanism {mechanism!r} has no challenge.")
    if mechanism == MECHANISM_PLUS and not (channel_binding and gs2_header.startswith(b"p=")):
        raise InvalidInput("SCRAM-SHA-256-PLUS needs channel binding.")
    _, verifiers = _verifiers(connection, username)
    nonce = base64.b64encode(os.urandom(18))
    try:
        first = server_first(data, nonce, verifiers.scram_salt, verifiers.scram_iterations)
    except ScramError as error:
        raise InvalidInput(f"SCRAM: {error}", code="malformed_scram") from error
    challenge = _Challenge(connection.pk, username, gs2_header, channel_binding, data, first)
    return _seal(challenge), first


def prove(
    connection: Connection,
    *,
    username: str,
    proof: Proof,
    database: str,
    client: ClientInfo,
    tls: bool,
    ep: str,
) -> tuple[SessionGrant, bytes]:
    """Check a proof and open the session; return it with the mechanism's last message.

    Raises:
        SignInRefused: For every reason; an unknown name and a wrong password look alike.
    """
    _check_transport(connection, tls)
    token, verifiers = _verifiers(connection, username)
    last = _check_proof(connection, username, proof, verifiers)
    now = clock.now()
    if last is None or token is None:
        raise refuse("bad_credentials", _BAD)
    if token.expires_at is not None and token.expires_at <= now:
        raise refuse("bad_credentials", "This proxy token has expired: make a new one.")
    if database and database != connection.database:
        raise refuse(
            "unknown_database",
            f'The database "{database}" is not part of {connection.name}; '
            f'connect to "{connection.database}".',
        )
    grant = open_session(
        token.user,
        connection,
        route=Route.AGENTLESS,
        client=client,
        ep=ep,
        proxy_token=token,
    )
    return grant, last


def native_response_fits(response: bytes, nonce: bytes, stage2: bytes) -> bool:
    """Return whether a ``mysql_native_password`` response fits.

    Response = SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))), 20 bytes.
    """
    if len(response) != 20 or len(stage2) != 20 or not nonce:
        return False
    key = hashlib.sha1(nonce + stage2, usedforsecurity=False).digest()
    stage1 = bytes(a ^ b for a, b in zip(response, key, strict=True))
    made = hashlib.sha1(stage1, usedforsecurity=False).digest()
    return hmac.compare_digest(made, stage2)


def caching_response_fits(response: bytes, nonce: bytes, stage2: bytes) -> bool:
    """Return whether a ``caching_sha2_password`` fast response fits.

    Response = SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce), 32 bytes.
    """
    if len(response) != 32 or len(stage2) != 32 or not nonce:
        return False
    key = hashlib.sha256(stage2 + nonce).digest()
    stage1 = bytes(a ^ b for a, b in zip(response, key, strict=True))
    return hmac.compare_digest(hashlib.sha256(stage1).digest(), stage2)


def _check_transport(connection: Connection, tls: bool) -> None:
    if connection.tls_required and not tls:
        raise refuse(
            "tls_required", f"The connection {connection.name} takes TLS only (sslmode=require)."
        )
    if not connection.is_enabled:
        raise refuse("connection_disabled", f"The connection {connection.name} is disabled.")


def _verifiers(connection: Connection, username: str) -> tuple[ProxyToken | None, ClientVerifiers]:
    """Return the token of a name on this connection with its verifiers, or steady fake ones."""
    token = None
    if len(username) <= 100 and "\x00" not in username:
        token = (
            ProxyToken.everything.select_related("user")
            .filter(username=username, connection=connection)
            .first()
        )
    seed = keyed_hash("fake-verifiers", f"{connection.pk}\n{username}".encode(), 16 + 32 * 3 + 20)
    if token is not None:
        return token, token.verifiers
    return None, ClientVerifiers(
        scram_salt=seed[:16],
        scram_iterations=DEFAULT_ITERATIONS,
        scram_stored_key=seed[16:48],
        scram_server_key=seed[48:80],
        native_stage2=seed[80:100],
        caching_stage2=seed[100:132],
    )


def _check_proof(
    connection: Connection, username: str, proof: Proof, verifiers: ClientVerifiers
) -> bytes | None:
    """Return the mechanism's last message when the proof fits, else None."""
    if proof.mechanism in (MECHANISM, MECHANISM_PLUS):
        challenge = _unseal(proof.challenge_id)
        if challenge.connection_id != connection.pk or challenge.username != username:
            raise refuse("bad_credentials", _BAD)
        try:
            return verify_client_final(
                proof.data,
                client_first_bare=challenge.first_bare,
                server_first_message=challenge.server_first,
                gs2_header=challenge.gs2_header,
                channel_binding=challenge.channel_binding,
                stored_key=verifiers.scram_stored_key,
                server_key=verifiers.scram_server_key,
            )
        except ScramError:
            return None
    if proof.mechanism == NATIVE:
        fits = native_response_fits(proof.data, proof.nonce, verifiers.native_stage2)
        return b"" if fits else None
    if proof.mechanism == CACHING:
        fits = caching_response_fits(proof.data, proof.nonce, verifiers.caching_stage2)
        return b"" if fits else None
    raise InvalidInput(f"The mechanism {proof.mechanism!r} is not known here.")


def _seal(challenge: _Challenge) -> str:
    body = json.dumps(
        {
            "until": int(time.time()) + CHALLENGE_TIME_S,
            "connection": challenge.connection_id,
            "username": challenge.username,
            **{
                name: base64.b64encode(getattr(challenge, name)).decode()
                for name in ("gs2_header", "channel_binding", "first_bare", "server_first")
            },
        }
    ).encode()
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(purpose_key("signin-challenge")).encrypt(nonce, body, b"challenge")
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def _unseal(challenge_id: str) -> _Challenge:
    try:
        raw = base64.urlsafe_b64decode(challenge_id)
        body = AESGCM(purpose_key("signin-challenge")).decrypt(
            raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], b"challenge"
        )
    except (ValueError, InvalidTag) as error:
        raise InvalidInput("challenge_id: not a challenge of this installation") from error
    data = json.loads(body)
    if data["until"] < time.time():
        raise refuse("bad_credentials", "The sign-in took too long. Connect again.")
    return _Challenge(
        data["connection"],
        data["username"],
        *(
            base64.b64decode(data[name])
            for name in ("gs2_header", "channel_binding", "first_bare", "server_first")
        ),
    )


__all__ = ["Proof", "SignInRefused", "access_connection", "make_challenge", "prove"]
