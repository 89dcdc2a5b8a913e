"""The native MySQL/MariaDB driver (PyMySQL): connect, *Test*, crawl, cancel, processes, kill.

Blocking; the editor's runner and jobs use it in threads. Implements ``kit.driver.Driver``.
"""

from __future__ import annotations

import ssl

from querykeep_engines.kit.driver import (
    DriverError,
    NativeProcess,
    ProbeReport,
    SocketAddress,
)
from querykeep_engines.kit.watching import ConnectionWatch
from querykeep_engines.mysql import catalog as catalogs
from querykeep_engines.mysql import probe as probing
from querykeep_engines.mysql.connection import MysqlConnection, open_connection
from querykeep_engines.mysql.tls import client_context, is_tls_required
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.session import Target

_PROCESSES = """
SELECT id, COALESCE(user, ''), COALESCE(db, ''), CONCAT_WS(' ', command, state),
       COALESCE(info, ''), time
FROM information_schema.processlist WHERE id <> CONNECTION_ID() ORDER BY id
"""
_GOVERNED_TIMEOUT_S = 30.0
_ROUNDING_S = 1.0
_NO_SUCH_THREAD = "1094"


class MysqlDriver:
    """Opens connections of one flavour; holds no state."""

    def __init__(self, flavour: str) -> None:
        self._flavour = flavour

    def probe(self, target: Target) -> ProbeReport:
        """Reach, sign in and look around, telling the failing step apart. Never raises."""
        return probing.probe(target, self.connect, self._flavour)

    def connect(self, target: Target) -> MysqlConnection:
        """Open a connection to a target; raises ``DriverError``."""
        try:
            context = client_context(target)
        except (ssl.SSLError, ValueError) as error:
            raise DriverError("tls", f"a certificate or key cannot be read: {error}") from None
        opened = open_connection(
            host=target.host,
            port=target.port,
            unix_socket=None,
            user=target.username,
            password=target.password,
            database=target.database,
            timeout_s=target.connect_timeout_s,
            tls=context,
            tls_required=is_tls_required(target.tls_mode),
        )
        return MysqlConnection(opened, lambda thread: self._kill(target, "KILL QUERY", thread))

    def connect_governed(self, address: SocketAddress, database: str) -> MysqlConnection:
        """Open a connection to a governed session's private socket; raises ``DriverError``."""
        opened = open_connection(
            host=address.host or None,
            port=address.port,
            unix_socket=address.unix_path or None,
            user=address.username,
            password=address.password,
            database=database,
            timeout_s=_GOVERNED_TIMEOUT_S,
            tls=None,
            tls_required=False,
            is_governed=True,
        )
        return MysqlConnection(opened)

    def crawl(self, target: Target) -> Catalog:
        """Read the whole catalog in a bounded number of queries; raises ``DriverError``."""
        connection = self.connect(target)
        try:
            return catalogs.crawl(connection, self._flavour)
        finally:
            connection.close()

    def fingerprint(self, target: Target) -> str:
        """Return what ``crawl`` would give as ``Catalog.fingerprint``; raises ``DriverError``."""
        connection = self.connect(target)
        try:
            return catalogs.fingerprint(connection)
        finally:
            connection.close()

    def watch(self, target: Target) -> ConnectionWatch[MysqlConnection]:
        """Open a connection kept for fingerprints; raises ``DriverError``."""
        return ConnectionWatch(self.connect(target), catalogs.fingerprint)

    def cancel(self, target: Target, native_id: bytes) -> None:
        """Cancel what the session ``native_id`` (its thread id in decimal) runs; raises
        ``DriverError``."""
        self._kill(target, "KILL QUERY", _thread_id(native_id.decode("ascii", "replace")))

    def stop_left_running(self, target: Target, native_id: bytes, age_s: float) -> None:
        """End that session's thread; raises ``DriverError``. Numbers begin anew with the server, so
        that one which started later does not have it."""
        thread = _thread_id(native_id.decode("ascii", "replace"))
        connection = self.connect(target)
        try:
            ((_, uptime_s),) = connection.query("SHOW GLOBAL STATUS LIKE 'Uptime'")
            if float(uptime_s or 0) + _ROUNDING_S >= age_s:
                connection.query(f"KILL CONNECTION {thread}")
        except DriverError as error:
            if error.code != _NO_SUCH_THREAD:
                raise
        finally:
            connection.close()

    def processes(self, target: Target) -> tuple[NativeProcess, ...]:
        """Return the server's process list as far as the stored account sees it."""
        connection = self.connect(target)
        try:
            rows = connection.query(_PROCESSES)
        finally:
            connection.close()
        return tuple(
            NativeProcess(
                native_id=thread or "",
                user=user or "",
                database=database or "",
                state=state or "",
                statement=statement or "",
                since_s=None if since is None else float(since),
            )
            for thread, user, database, state, statement, since in rows
        )

    def kill(self, target: Target, native_id: str) -> None:
        """End a server thread; raises ``DriverError`` when there is none or it is not allowed."""
        self._kill(target, "KILL CONNECTION", _thread_id(native_id))

    def _kill(self, target: Target, verb: str, thread: int) -> None:
        connection = self.connect(target)
        try:
            connection.query(f"{verb} {thread}")
        finally:
            connection.close()


def _thread_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise DriverError("database", f"{text!r} is not a thread id")
    return int(text)
