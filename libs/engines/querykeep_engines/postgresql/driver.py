"""The native PostgreSQL driver (psycopg 3, libpq): connect, *Test*, crawl, cancel, processes, kill.

Blocking; the editor's runner and jobs use it in threads. Implements ``kit.driver.Driver``.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from pathlib import PurePosixPath

import psycopg
from psycopg.conninfo import make_conninfo

from querykeep_engines.kit.driver import (
    GOVERNED_PROGRAM,
    DriverError,
    NativeProcess,
    ProbeReport,
    SocketAddress,
)
from querykeep_engines.kit.watching import ConnectionWatch
from querykeep_engines.postgresql import catalog as catalogs
from querykeep_engines.postgresql import probe as probing
from querykeep_engines.postgresql.connection import PostgresqlConnection
from querykeep_engines.postgresql.tls import TlsMaterial, TlsRefusedError, start_tls
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.session import Target

_CANCEL_REQUEST_CODE = 80877102
# pid and a secret of 4 bytes (protocol 3.0) up to 256 bytes (3.2).
_NATIVE_ID_BYTES = range(8, 261)
_SOCKET_FILE = re.compile(r"\.s\.PGSQL\.(\d{1,5})")

# English texts of the server for a refused sign-in; libpq gives no SQLSTATE there. Another language
# falls through to "authentication", which *Test* checks further.
_SIGN_IN_FAILURES = (
    (re.compile(r'database "[^"]*" does not exist'), "database", "3D000"),
    (re.compile(r'permission denied for database "'), "permission", "42501"),
    (re.compile(r"password authentication failed"), "authentication", "28P01"),
    (re.compile(r"no pg_hba\.conf entry|pg_hba\.conf rejects"), "authentication", "28000"),
    (
        re.compile(r'role "[^"]*" (does not exist|is not permitted)'),
        "authentication",
        "28000",
    ),
    (re.compile(r"too many (connections|clients)|connection slots"), "database", "53300"),
    (
        re.compile(r"system is (starting up|shutting down|in recovery)"),
        "database",
        "57P03",
    ),
    (re.compile(r"could not translate host name"), "dns", ""),
    (re.compile(r"connection timeout expired|timeout expired"), "tcp", ""),
    (
        re.compile(r"Connection refused|No route|unreachable|No such file"),
        "tcp",
        "",
    ),
    (re.compile(r"SSL|certificate"), "tls", ""),
)

_PROCESSES = """
SELECT pid::text, coalesce(usename, ''), coalesce(datname, ''), coalesce(state, backend_type, ''),
       coalesce(query, ''),
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(query_start, backend_start))::text
FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() ORDER BY pid
"""


class PostgresqlDriver:
    """Opens connections; holds no state."""

    def probe(self, target: Target) -> ProbeReport:
        """Reach, sign in and look around, telling the failing step apart. Never raises."""
        return probing.probe(target, self._open)

    def connect(self, target: Target) -> PostgresqlConnection:
        """Open a connection to a target; raises ``DriverError``."""
        return self._open(target)

    def connect_governed(self, address: SocketAddress, database: str) -> PostgresqlConnection:
        """Open a connection to a governed session's private socket; raises ``DriverError``.

        ``address.unix_path`` must be ``<folder>/.s.PGSQL.<port>``, the only form that libpq knows.
        """
        parameters = {
            "dbname": database,
            "user": address.username,
            "password": address.password,
            "sslmode": "disable",
            "gssencmode": "disable",
            "application_name": GOVERNED_PROGRAM,
        }
        if address.unix_path:
            path = PurePosixPath(address.unix_path)
            found = _SOCKET_FILE.fullmatch(path.name)
            if found is None:
                raise DriverError("tcp", f"{path.name!r} is not named .s.PGSQL.<port>")
            parameters |= {"host": str(path.parent), "port": found.group(1)}
        else:
            parameters |= {"host": address.host, "port": str(address.port)}
        return PostgresqlConnection(_connect(parameters))

    def crawl(self, target: Target) -> Catalog:
        """Read the whole catalog in a bounded number of queries; raises ``DriverError``."""
        connection = self._open(target)
        try:
            return catalogs.crawl(connection)
        finally:
            connection.close()

    def fingerprint(self, target: Target) -> str:
        """Return what ``crawl`` would give as ``Catalog.fingerprint``; raises ``DriverError``."""
        connection = self._open(target)
        try:
            return catalogs.fingerprint(connection)
        finally:
            connection.close()

    def watch(self, target: Target) -> ConnectionWatch[PostgresqlConnection]:
        """Open a connection kept for fingerprints; raises ``DriverError``."""
        return ConnectionWatch(self._open(target), catalogs.fingerprint)

    def cancel(self, target: Target, native_id: bytes) -> None:
        """Cancel what the session ``native_id`` runs; raises ``DriverError``.

        ``native_id`` is the payload of that session's BackendKeyData: process id (int32) and secret
        key (4 to 256 bytes). Returns when the server has taken the request; whether something was
        cancelled the protocol does not tell.
        """
        if len(native_id) not in _NATIVE_ID_BYTES:
            raise DriverError("database", "not a backend key: expected 8 to 260 bytes")
        address = (target.host, target.port)
        try:
            with socket.create_connection(address, timeout=target.connect_timeout_s) as raw:
                secured = start_tls(raw, target)
                header = struct.pack("!ii", 8 + len(native_id), _CANCEL_REQUEST_CODE)
                secured.sendall(header + native_id)
                with contextlib.suppress(OSError):
                    secured.recv(1)
                secured.close()
        except (TlsRefusedError, ssl.SSLError) as error:
            raise DriverError("tls", f"cancel request: {error}") from error
        except OSError as error:
            raise DriverError("tcp", f"cancel request: {error.strerror or error}") from error

    def stop_left_running(self, target: Target, native_id: bytes, age_s: float) -> None:
        """Stop what that session runs: the key is of that one backend. Once it has stopped, the
        server finds its client gone, rolls back and ends. Raises ``DriverError``."""
        self.cancel(target, native_id)

    def processes(self, target: Target) -> tuple[NativeProcess, ...]:
        """Return the server's process list as far as the stored account sees it."""
        connection = self._open(target)
        try:
            rows = connection.query(_PROCESSES)
        finally:
            connection.close()
        return tuple(
            NativeProcess(
                native_id=pid or "",
                user=user or "",
                database=database or "",
                state=state or "",
                statement=statement or "",
                since_s=None if since is None else float(since),
            )
            for pid, user, database, state, statement, since in rows
        )

    def kill(self, target: Target, native_id: str) -> None:
        """End the server process ``native_id`` (its pid); raises ``DriverError`` when there is none
        or the stored account may not."""
        if not native_id.isdecimal():
            raise DriverError("database", f"{native_id!r} is not a process id")
        connection = self._open(target)
        try:
            rows = connection.query(f"SELECT pg_catalog.pg_terminate_backend({int(native_id)})")
        finally:
            connection.close()
        if rows != [("t",)]:
            raise DriverError("database", f"no server process {native_id}")

    def _open(self, target: Target) -> PostgresqlConnection:
        material = TlsMaterial(target)
        parameters = {
            "host": target.host,
            "port": str(target.port),
            "dbname": target.database,
            "user": target.username,
            "password": target.password,
            "connect_timeout": str(max(2, round(target.connect_timeout_s))),
            "gssencmode": "disable",
            "application_name": "querykeep",
            **material.parameters,
        }
        try:
            return PostgresqlConnection(_connect(parameters), material)
        except BaseException:
            material.close()
            raise


def _connect(parameters: dict[str, str]) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(
            make_conninfo("", client_encoding="UTF8", passfile="/dev/null", **parameters),
            autocommit=True,
        )
    except psycopg.Error as error:
        raise _sign_in_error(error) from None


def _sign_in_error(error: psycopg.Error) -> DriverError:
    text = " ".join(str(error).split())
    for pattern, stage, code in _SIGN_IN_FAILURES:
        if pattern.search(text):
            return DriverError(stage, text, code)
    return DriverError("authentication", text, error.sqlstate or "")
