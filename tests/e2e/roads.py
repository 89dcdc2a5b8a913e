"""The bare road to a demo database and the agentless one through Querykeep, side by side."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from psycopg.conninfo import make_conninfo
from tests.agent.fix_agent import Qk
from tests.fix_system import DemoConnection, System

TIMEOUT_S = 90


@dataclass(frozen=True, slots=True)
class Road:
    """Where a client connects, as whom, and whether with TLS."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    ca_file: Path | None = None

    def libpq(self) -> dict[str, Any]:
        """Return the settings of PostgreSQL clients."""
        tls = {"sslmode": "disable"}
        if self.ca_file:
            tls = {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)}
        return {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "application_name": "walk",
            "connect_timeout": "30",
            **tls,
        }

    def psycopg(self, **options: Any) -> psycopg.Connection[Any]:
        """Connect psycopg 3."""
        return psycopg.connect(make_conninfo(**self.libpq()), **options)

    def pymysql(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """Connect PyMySQL."""
        tls = {"ssl": {"ca": str(self.ca_file)}} if self.ca_file else {"ssl_disabled": True}
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            **tls,
            **options,
        )

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a PostgreSQL program, which reads its address from the environment."""
        names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
        names |= {"connect_timeout": "PGCONNECT_TIMEOUT"}
        settings = {
            names.get(name, f"PG{name.upper()}"): value for name, value in self.libpq().items()
        }
        return _run(list(command), os.environ | settings, text)

    def mariadb(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run the MariaDB command line client."""
        tls = ["--skip-ssl"]
        if self.ca_file:
            tls = [f"--ssl-ca={self.ca_file}", "--ssl-verify-server-cert"]
        address = [f"--host={self.host}", f"--port={self.port}", f"--user={self.user}"]
        command = ["mariadb", "--no-defaults", *address, *tls, *arguments, self.database]
        return _run(command, os.environ | {"MYSQL_PWD": self.password}, text)


def _run(
    command: list[str], environment: dict[str, str], text: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def governed(
    system: System, connection: DemoConnection, user: str = "analyst", *, tls: bool = False
) -> Road:
    """Return the road through Querykeep with someone's token."""
    token = connection.tokens[user]
    return Road(
        connection.host,
        connection.port,
        token.username,
        token.password,
        connection.database,
        system.ca_file if tls else None,
    )


def through_agent(qk: Qk, name: str) -> Road:
    """Open a signed-in agent's own port and return the road over it."""
    qk.start("connect", "--json", name).wait_for(f'.*"name": "{name}".*')
    local = qk.json("url", name)
    return Road(
        local["host"], local["port"], local["username"], local["password"], local["database"]
    )


def bare(connection: DemoConnection) -> Road:
    """Return the road to the database itself, as superuser."""
    direct = connection.direct
    return Road(direct.host, direct.port, direct.user, direct.password, direct.database)
