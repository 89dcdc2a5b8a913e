"""*Test*: reach a target, sign in and look around, telling the failing step apart.

Steps in order: dns, tcp, tls, authentication, database, permission. What follows a failed step is
``skipped``. Never raises, never shows a secret.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
from collections.abc import Callable

from querykeep_engines.kit.driver import DriverError, ProbeReport
from querykeep_engines.kit.probing import ProbeLog, reach
from querykeep_engines.postgresql.connection import PostgresqlConnection
from querykeep_engines.postgresql.tls import TlsRefusedError, start_tls
from querykeep_guard.contracts.session import Target, TlsMode

# Tried to tell a wrong password from a wrong database where the server's text does not.
_MAINTENANCE_DATABASES = ("postgres", "template1")
Connect = Callable[[Target], PostgresqlConnection]

_LOOK_AROUND = """
SELECT r.rolsuper, r.rolreplication, r.rolbypassrls, r.rolcreaterole,
       (SELECT count(*) FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'),
       (SELECT count(*) FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
           AND pg_catalog.has_table_privilege(c.oid, 'SELECT')),
       pg_catalog.pg_has_role(current_user, 'pg_read_server_files', 'USAGE')
         OR pg_catalog.pg_has_role(current_user, 'pg_write_server_files', 'USAGE')
         OR pg_catalog.pg_has_role(current_user, 'pg_execute_server_program', 'USAGE')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def probe(target: Target, connect: Connect) -> ProbeReport:
    """Run all steps; ``connect`` is the driver's own. See ``Driver.probe``."""
    report = ProbeLog("postgresql")
    try:
        return _probe(target, connect, report)
    except DriverError as error:
        report.add(error.stage, "failed", error.message)
    except OSError as error:
        report.add("tcp", "failed", f"the connection broke: {error.strerror or error}")
    return report.finish()


def _probe(target: Target, connect: Connect, report: ProbeLog) -> ProbeReport:
    raw = reach(target, report)
    if raw is None:
        return report.finish()
    with raw:
        if not _try_tls(raw, target, report):
            return report.finish()
    try:
        connection = connect(target)
    except DriverError as error:
        stage = _stage_of(error, target, connect)
        if stage != "authentication":
            report.add("authentication", "ok", f"signed in as {target.username}")
        if stage == "permission":
            report.add("database", "ok", f"database {target.database!r} exists")
        report.add(stage, "failed", error.message)
        return report.finish()
    try:
        report.add("authentication", "ok", f"signed in as {target.username}")
        report.add("database", "ok", f"connected to database {target.database!r}")
        _look_around(connection, report)
        return report.finish(connection.server_version)
    finally:
        connection.close()


def _try_tls(raw: socket.socket, target: Target, report: ProbeLog) -> bool:
    if target.tls_mode is TlsMode.DISABLE:
        report.add("tls", "warning", "TLS is switched off for this connection")
        return True
    try:
        secured = start_tls(raw, target)
    except (TlsRefusedError, ssl.SSLError) as error:
        report.add("tls", "failed", _tls_text(error))
        return False
    except OSError as error:
        report.add("tls", "failed", f"the server closed the connection: {error.strerror or error}")
        return False
    if isinstance(secured, ssl.SSLSocket):
        report.add("tls", "ok", f"{secured.version()}, mode {target.tls_mode.value}")
        secured.close()
    else:
        report.add("tls", "warning", "the server offers no TLS; data travels in clear")
    return True


def _tls_text(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    return str(error)


def _stage_of(error: DriverError, target: Target, connect: Connect) -> str:
    """Return where a refused sign-in failed: text first, else by asking for another database."""
    if error.code or error.stage != "authentication":
        return error.stage
    for database in _MAINTENANCE_DATABASES:
        if database == target.database:
            continue
        try:
            connect(dataclasses.replace(target, database=database)).close()
        except DriverError:
            continue
        return "database"
    return "authentication"


def _look_around(connection: PostgresqlConnection, report: ProbeLog) -> None:
    rows = connection.query(_LOOK_AROUND)
    if not rows:
        report.add("permission", "failed", "the account does not see itself in pg_roles")
        return
    superuser, replication, bypass, createrole, total, readable, files = rows[0]
    warnings = []
    if superuser == "t":
        warnings.append("the account is a superuser: use an ordinary account")
    for flag, text in (
        (replication, "may replicate"),
        (bypass, "bypasses row level security"),
        (createrole, "may create roles"),
        (files, "may read or write server files or run programs"),
    ):
        if flag == "t" and superuser != "t":
            warnings.append(f"the account {text}")
    if total != "0" and readable == "0":
        warnings.append(f"the account may read none of {total} tables and views")
    if warnings:
        report.add("permission", "warning", "; ".join(warnings))
    else:
        report.add("permission", "ok", f"may read {readable} of {total} tables and views")
