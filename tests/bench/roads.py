"""The roads to one database that are measured side by side: direct, a bare relay, Querykeep."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fix_system import DemoConnection
from tests.ports import free_port

from querykeep_demo.processes import ProcessError, log_tail, start_detached, stop, wait_for
from querykeep_demo.servers import HOST, port_is_free

READY_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Road:
    """One way to a database. `name`: direct, pgbouncer, haproxy or querykeep; `pid`: the process in
    between, 0 where there is none."""

    name: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    host: str = HOST
    pid: int = 0

    def libpq_environment(self) -> dict[str, str]:
        """Return the environment with which libpq's programs take this road."""
        return os.environ | {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
        }


def direct(connection: DemoConnection) -> Road:
    """The road without anything in between, as superuser."""
    bare = connection.direct
    return Road("direct", bare.port, bare.user, bare.password, bare.database)


def querykeep(connection: DemoConnection, account: str, *, pid: int = 0) -> Road:
    """The governed road, by the proxy token of a demo account."""
    token = connection.tokens[account]
    return Road(
        "querykeep",
        connection.port,
        token.username,
        token.password,
        connection.database,
        pid=pid,
    )


@contextmanager
def pgbouncer(connection: DemoConnection) -> Iterator[Road]:
    """A bare PostgreSQL relay: pgbouncer, one server session per client session."""
    bare = connection.direct
    port = free_port()
    with _folder() as folder:
        users = folder / "users.txt"
        users.write_text(f'"{bare.user}" "{bare.password}"\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            "[databases]\n"
            f"{bare.database} = host={bare.host} port={bare.port} dbname={bare.database}\n"
            "[pgbouncer]\n"
            f"listen_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\n"
            "pool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\n"
            "log_connections = 0\nlog_disconnections = 0\n"
        )
        with _process(folder, ["pgbouncer", str(configuration)], port) as pid:
            yield Road("pgbouncer", port, bare.user, bare.password, bare.database, pid=pid)


@contextmanager
def haproxy(connection: DemoConnection) -> Iterator[Road]:
    """A bare TCP relay: haproxy."""
    bare = connection.direct
    port = free_port()
    with _folder() as folder:
        configuration = folder / "haproxy.cfg"
        configuration.write_text(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 10m\n"
            "  timeout server 10m\n"
            f"listen bench\n  bind {HOST}:{port}\n  server target {bare.host}:{bare.port}\n"
        )
        with _process(folder, ["haproxy", "-db", "-f", str(configuration)], port) as pid:
            yield Road("haproxy", port, bare.user, bare.password, bare.database, pid=pid)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder that the user `postgres` reaches: pgbouncer does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="qk-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(folder: Path, command: list[str], port: int) -> Iterator[int]:
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise ProcessError(f"{command[0]} is not installed: `make bench` installs it")
    prefix: list[str] = []
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    log = folder / "log"
    identity = start_detached(
        [*prefix, program, *command[1:]], log_file=log, pid_file=folder / "pid", cwd=folder
    )
    try:
        if not wait_for(lambda: not port_is_free(port), timeout_s=READY_TIMEOUT_S):
            raise ProcessError(f"{command[0]} did not listen:\n{log_tail(log)}")
        yield identity.pid
    finally:
        stop(identity, timeout_s=10)


def run(command: list[str], environment: dict[str, str]) -> str:
    """Run a client program to its end and return its output.

    Raises:
        ProcessError: It failed; the text holds what it said.
    """
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise ProcessError(f"{command[0]} failed: {(done.stdout + done.stderr)[-2_000:]}")
    return done.stdout
