"""The PostgreSQL sessions' blocking shell, run around MysqlSession. Used by these tests only."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pymysql
from tests.engines.postgresql.harness import (
    PASSWORD,
    SALT,
    DecideFunction,
    Governed,
    Shell,
    allow_all,
)

from querykeep_engines.kit import scram
from querykeep_engines.kit import session as kit
from querykeep_engines.mysql.session import MysqlSession
from querykeep_guard.contracts.session import ConnectionInfo, Route, SignInRefusal, Target


class MysqlShell(Shell):
    """Runs one MysqlSession."""

    def __init__(self, governed: Governed, client: socket.socket) -> None:
        super().__init__(governed, client)
        target = governed.target
        self.session = MysqlSession(  # type: ignore[assignment] # the other engine's session
            kit.SessionConfig(
                connection=ConnectionInfo(
                    "c1",
                    "shop-mariadb",
                    target.engine,
                    target.flavour,
                    "shop",
                    0,
                    governed.server_version,  # type: ignore[attr-defined]
                ),
                route=Route.AGENTLESS,
                client_address="127.0.0.1",
                random_bytes=os.urandom,
                new_id=lambda: uuid.uuid4().hex,
                now=lambda: (datetime.now(UTC), time.monotonic()),
                grant=None if governed.client_auth else governed.grant(),
                client_auth=governed.client_auth,
                client_tls_available=governed.server_tls is not None,
            )
        )

    def _cancel(self, native_id: bytes) -> None:
        target = self.governed.target

        def kill() -> None:
            connection = pymysql.connect(
                host=target.host, port=target.port, user=target.username, password=target.password
            )
            with contextlib.suppress(pymysql.Error), connection.cursor() as cursor:
                cursor.execute(f"KILL QUERY {int(native_id)}")
            connection.close()

        threading.Thread(target=kill, daemon=True).start()

    def _prove(self, command: kit.Prove) -> None:
        verifiers = scram.make_verifiers(PASSWORD, SALT)
        if command.mechanism == "mysql_native_password":
            mixed = hashlib.sha1(command.nonce + verifiers.native_stage2).digest()
            stage1 = bytes(a ^ b for a, b in zip(command.data, mixed, strict=True))
            good = hashlib.sha1(stage1).digest() == verifiers.native_stage2
        else:
            mixed = hashlib.sha256(verifiers.caching_stage2 + command.nonce).digest()
            stage1 = bytes(a ^ b for a, b in zip(command.data, mixed, strict=True))
            good = hashlib.sha256(stage1).digest() == verifiers.caching_stage2
        if good and self.governed.refuse is None:
            self.inbox.append(kit.SignedIn(self.governed.grant()))
        else:
            refusal = self.governed.refuse or SignInRefusal("bad_credentials", "no")
            self.inbox.append(kit.SignInFailed(refusal))


class MysqlGoverned(Governed):
    """A listener whose connections are governed MySQL or MariaDB sessions."""

    server_version = "10.11.0-MariaDB"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            shell = MysqlShell(self, client)
            self.shells.append(shell)
            threading.Thread(target=shell.run, daemon=True).start()


@contextlib.contextmanager
def governed_by(
    target: Target, decide: DecideFunction = allow_all, **options: object
) -> Iterator[MysqlGoverned]:
    """Run a governed listener for the length of a with block."""
    server = MysqlGoverned(target, decide, **options)  # type: ignore[arg-type] # its fields
    try:
        yield server
    finally:
        server.close()
