"""MariaDB's newer ways to sign in, for PyMySQL, which knows one only with a further package and the
other not at all. The arithmetic is that of ``wire.auth``, as for governed sessions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import pymysql
from pymysql.protocol import MysqlPacket

from querykeep_engines.mysql.wire import auth


class _Connection(Protocol):
    password: bytes

    def write_packet(self, payload: bytes) -> None: ...

    def _read_packet(self) -> MysqlPacket: ...


class Ed25519SignIn:
    """``client_ed25519``: the server's nonce is signed."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def authenticate(self, packet: MysqlPacket) -> MysqlPacket:
        """Answer the server's request; return its next packet."""
        nonce = _rest(packet)
        password = self._connection.password.decode("utf-8")
        self._connection.write_packet(auth.ed25519_response(password, nonce))
        return self._connection._read_packet()


class ParsecSignIn:
    """``parsec``: an empty packet asks for the salt, then both nonces are signed."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def authenticate(self, packet: MysqlPacket) -> MysqlPacket:
        """Answer the server's request; return its next packet."""
        connection = self._connection
        nonce = _rest(packet)
        connection.write_packet(b"")
        salt = _rest(connection._read_packet())
        try:
            answer = auth.parsec_response(
                connection.password.decode("utf-8"),
                nonce,
                salt.removeprefix(b"\x01"),
                os.urandom(auth.PARSEC_NONCE_BYTES),
            )
        except auth.AuthError as failed:
            raise pymysql.OperationalError(2059, str(failed)) from None
        connection.write_packet(answer)
        return connection._read_packet()


def _rest(packet: MysqlPacket) -> bytes:
    read: Callable[[], bytes] = packet.read_all
    return read()


SIGN_INS: dict[str, Callable[[Any], Any]] = {auth.ED25519: Ed25519SignIn, auth.PARSEC: ParsecSignIn}
"""By the name of the plugin, as PyMySQL's ``auth_plugin_map`` wants it."""
