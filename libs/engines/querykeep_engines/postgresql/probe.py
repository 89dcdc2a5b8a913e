"""*Test*: reach a target, sign in and look around, telling the failing step apart.

Steps in order: dns, tcp, tls, authentication, database, permission. What follows a failed step is
``skipped``. Never raises, never shows a secret.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
import time
from collections.abc import Callable

from querykeep_engines.kit.driver import DriverError, ProbeReport, ProbeStep
from querykeep_engines.postgresql.connection import PostgresqlConnection
from querykeep_engines.postgresql.tls import TlsRefusedError, start_tls
from querykeep_guard.contracts.session import Target, TlsMode

STEPS = ("dns", "tcp", "tls", "authentication", "database", "permission")
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


class _Report:
    def __init__(self) -> None:
        self._steps: list[ProbeStep] = []
        self._started = time.monotonic()

    def add(self, name: str, state: str, message: str) -> None:
        now = time.monotonic()
        self._steps.append(ProbeStep(name, state, message, (now - self._started) * 1000))
        self._started = now

    def finish(self, version: str = "") -> ProbeReport:
        done = {step.name for step in self._steps}
        for name in STEPS:
            if name not in done:
                self.add(name, "skipped", "not reached")
        failed = any(step.state == "failed" for step in self._steps)
        return ProbeReport(not failed, tuple(self._steps), version, "postgresql")


def probe(target: Target, connect: Connect) -> ProbeReport:
    """Run all steps; ``connect`` is the driver's own. See ``Driver.probe``."""
    report = _Report()
    try:
        return _probe(target, connect, report)
    except DriverError as error:
        report.add(error.stage, "failed", error.message)
    except OSError as error:
        report.add("tcp", "failed", f"the connection broke: {error.strerror or error}")
    return report.finish()


def _probe(target: Target, connect: Connect, report: _Report) -> ProbeReport:
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        report.add("dns", "failed", f"host name {target.host!r} cannot be resolved: {error}")
        return report.finish()
    found = sorted({str(address[4][0]) for address in addresses})
    report.add("dns", "ok", f"{target.host} is {', '.join(found)}")
    raw = _reach(target, report)
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


def _reach(target: Target, report: _Report) -> socket.socket | None:
    address = (target.host, target.port)
    try:
        raw = socket.create_connection(address, timeout=target.connect_timeout_s)
    except TimeoutError:
        report.add("tcp", "failed", f"{target.host}:{target.port} did not answer in time")
    except OSError as error:
        reason = error.strerror or error
        report.add("tcp", "failed", f"{target.host}:{target.port} cannot be reached: {reason}")
    else:
        report.add("tcp", "ok", f"{target.host}:{target.port} answers")
        return raw
    return None


def _try_tls(raw: socket.socket, target: Target, report: _Report) -> bool:
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


def _look_around(connection: PostgresqlConnection, report: _Report) -> None:
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
