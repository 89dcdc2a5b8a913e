"""*Test*: reach a target, sign in and look around, telling the failing step apart."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from querykeep_engines.kit.driver import DriverError, ProbeReport
from querykeep_engines.kit.probing import ProbeLog, reach
from querykeep_engines.mysql.connection import MysqlConnection
from querykeep_engines.mysql.tls import is_tls_required
from querykeep_guard.contracts.session import Target, TlsMode

_CLIENT_SSL = 0x0800
_GREETING_LIMIT_BYTES = 4096
_ERROR_PACKET = 0xFF

_DANGEROUS = ("SUPER", "FILE", "PROCESS", "GRANT OPTION", "CREATE USER", "SHUTDOWN")
_PRIVILEGES = """
SELECT privilege_type FROM information_schema.user_privileges
WHERE grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
"""
_VIEWS = """
SELECT COUNT(*), COALESCE(SUM(view_definition = ''), 0) FROM information_schema.views
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
"""
_TABLES = """
SELECT COUNT(*) FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
"""
_TRIGGER_PRIVILEGE = """
SELECT COUNT(*) FROM (
  SELECT privilege_type FROM information_schema.user_privileges WHERE privilege_type = 'TRIGGER'
  UNION ALL
  SELECT privilege_type FROM information_schema.schema_privileges WHERE privilege_type = 'TRIGGER'
) held
"""


def probe(
    target: Target, connect: Callable[[Target], MysqlConnection], flavour: str
) -> ProbeReport:
    """Run all steps; ``connect`` is the driver's own. See ``Driver.probe``."""
    log = ProbeLog(flavour)
    raw = reach(target, log)
    if raw is None:
        return log.finish()
    with raw:
        if not _greets(raw, target, log):
            return log.finish()
    try:
        connection = connect(target)
    except DriverError as error:
        if error.stage != "tls" and target.tls_mode is not TlsMode.DISABLE:
            log.add("tls", "ok", f"mode {target.tls_mode.value}")
        if error.stage in ("database", "permission"):
            log.add("authentication", "ok", f"signed in as {target.username}")
        if error.stage == "permission":
            log.add("database", "failed", error.message)
            return log.finish()
        log.add(error.stage, "failed", error.message)
        return log.finish()
    try:
        _report_tls(connection, target, log)
        log.add("authentication", "ok", f"signed in as {target.username}")
        log.add("database", "ok", f"connected to database {target.database!r}")
        _look_around(connection, log)
        version = connection.server_version
        seen = "mariadb" if "mariadb" in version.lower() else "mysql"
        return log.finish(version, seen)
    except DriverError as error:
        log.add("permission", "failed", error.message)
        return log.finish(connection.server_version)
    finally:
        connection.close()


def _greets(raw: socket.socket, target: Target, log: ProbeLog) -> bool:
    """Read the server's greeting: tells a port that is no MySQL, and one that offers no TLS."""
    raw.settimeout(target.connect_timeout_s)
    try:
        header = raw.recv(4, socket.MSG_WAITALL)
        length = int.from_bytes(header[:3], "little")
        if len(header) < 4 or not 0 < length <= _GREETING_LIMIT_BYTES:
            log.add("tls", "failed", _not_mysql(target))
            return False
        greeting = raw.recv(length, socket.MSG_WAITALL)
    except OSError as error:
        log.add("tls", "failed", f"the server did not greet: {error.strerror or error}")
        return False
    if greeting[:1] == bytes([_ERROR_PACKET]):
        text = greeting[3:].decode("utf-8", "replace")
        log.add("authentication", "failed", f"the server turned us away: {text}")
        return False
    end = greeting.find(b"\x00")
    if greeting[:1] != b"\x0a" or end < 0 or len(greeting) < end + 16:
        log.add("tls", "failed", _not_mysql(target))
        return False
    (capabilities,) = struct.unpack_from("<H", greeting, end + 14)
    if not capabilities & _CLIENT_SSL and is_tls_required(target.tls_mode):
        log.add(
            "tls",
            "failed",
            f"the server offers no TLS, but mode {target.tls_mode.value} requires it",
        )
        return False
    return True


def _not_mysql(target: Target) -> str:
    return f"{target.host}:{target.port} did not answer as a MySQL or MariaDB server does"


def _report_tls(connection: MysqlConnection, target: Target, log: ProbeLog) -> None:
    if target.tls_mode is TlsMode.DISABLE:
        log.add("tls", "warning", "TLS is switched off for this connection")
    elif connection.is_secure:
        log.add("tls", "ok", f"encrypted, mode {target.tls_mode.value}")
    else:
        log.add("tls", "warning", "the server offers no TLS; data travels in clear")


def _look_around(connection: MysqlConnection, log: ProbeLog) -> None:
    held = {row[0] for row in connection.query(_PRIVILEGES)}
    warnings = []
    dangerous = [name for name in _DANGEROUS if name in held]
    if dangerous:
        warnings.append(
            f"the account holds {', '.join(dangerous)} on everything: use an ordinary account"
        )
    views, unreadable = connection.query(_VIEWS)[0]
    if unreadable not in (None, "0"):
        warnings.append(
            f"the texts of {unreadable} of {views} views cannot be read: grant SHOW VIEW, or "
            "statements on them are refused"
        )
    if connection.query(_TRIGGER_PRIVILEGE)[0][0] == "0":
        warnings.append("triggers cannot be seen: grant TRIGGER, so that writes can be judged")
    tables = connection.query(_TABLES)[0][0]
    if tables == "0":
        warnings.append("the account sees no table")
    if warnings:
        log.add("permission", "warning", "; ".join(warnings))
    else:
        log.add("permission", "ok", f"sees {tables} tables and views")
