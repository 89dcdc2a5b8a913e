"""Private PostgreSQL, MariaDB and Redis servers on loopback, apart from all that already run.

A server object names a folder, a port and its secrets; `start` makes the data on the first call,
starts the process detached and waits until it answers; a second object on the same folder finds the
running process again. Started as root, the database servers run as their packages' users
(`postgres`, `mysql`), who must be able to reach the folder: `reachable_folder` chooses one.

Nothing here is for production: these are the servers of `make run` and of the tests.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

import psycopg
import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from querykeep_demo.ports import PortTakenError
from querykeep_demo.processes import (
    ProcessError,
    ProcessIdentity,
    log_tail,
    running,
    start_detached,
    stop,
    wait_for,
)

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
PROBE_TIMEOUT_S = 3
LOWEST_RANDOM_PORT = 15_000
HIGHEST_RANDOM_PORT = 32_000
SYSTEM_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
STATE_FOLDER_OF_ROOT = Path("/var/lib/querykeep")


class PrivateServer(ABC):
    """One private server process and its data folder.

    Attributes:
        folder: Holds data, log and pid file; made by `start`.
        host, port, user, password: Where and as whom the administrator of the server signs in.
        database: The database to name when connecting.
        keeps_data: Whether writes must survive a crash of the machine; tests say no and run faster.
        listen_address: Where it listens; loopback, but for a container that is its own machine.
        dies_with_parent: Whether the kernel ends the server when the thread that started it ends.
    """

    name: ClassVar[str]
    run_as: ClassVar[str | None] = None
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    user: str
    database: str

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        password: str,
        keeps_data: bool = True,
        dies_with_parent: bool = False,
        listen_address: str = HOST,
    ) -> None:
        self.folder = folder
        self.host = HOST
        self.port = port
        self.password = password
        self.keeps_data = keeps_data
        self.dies_with_parent = dies_with_parent
        self.listen_address = listen_address

    def __repr__(self) -> str:
        """Name the server without its password."""
        return f"<{type(self).__name__} {self.host}:{self.port} in {self.folder}>"

    @property
    def data_folder(self) -> Path:
        """Where the server keeps its files."""
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        """What the server wrote to its standard output and error."""
        return self.folder / "server.log"

    @property
    def pid_file(self) -> Path:
        """Identity of the running process, see `processes`."""
        return self.folder / "server.pid"

    def process(self) -> ProcessIdentity | None:
        """Return the running process, None when the server is down."""
        return running(self.pid_file)

    def start(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the server unless it already runs, and wait until it answers.

        Raises:
            PortTakenError: Another program holds the port.
            ProcessError: A program is missing, or the server did not get ready in time; the text
                holds the end of its log.
        """
        if self.process() is None:
            self._make_folder()
            if not self._is_initialized():
                self._initialize()
            self._check_port()
            self._launch()
        identity = self.process()

        def is_settled() -> bool:
            return self._answers() or self.process() is None

        if not wait_for(is_settled, timeout_s=timeout_s) or self.process() is None:
            if identity is not None and identity.is_running():
                stop(identity, timeout_s=STOP_TIMEOUT_S, first_signal=self.stop_signal)
            self._check_port()  # taken between the look above and the server's own start
            raise ProcessError(
                f"{self.name} on port {self.port} did not get ready. The end of {self.log_file}:\n"
                f"{log_tail(self.log_file)}"
            )
        self._after_start()

    def _check_port(self) -> None:
        if not port_is_free(self.port):
            raise PortTakenError(
                f"port {self.port} is taken by another program: {self.name} cannot start"
            )

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the server and wait for it; nothing happens when it is down."""
        identity = self.process()
        if identity is not None:
            stop(identity, timeout_s=timeout_s, first_signal=self.stop_signal)
        self.pid_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    @abstractmethod
    def _is_initialized(self) -> bool: ...

    @abstractmethod
    def _initialize(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _after_start(self) -> None:  # noqa: B027 – a hook that most servers leave empty
        """Tidy up what only the first start needed."""

    def _launch(self) -> None:
        command = self._command()
        prefix = self._as_other_user()
        if self.dies_with_parent:
            prefix = [*(prefix or ["setpriv"]), "--pdeathsig", self.stop_signal.name[3:]]
        start_detached(
            [*prefix, *command],
            log_file=self.log_file,
            pid_file=self.pid_file,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )

    def _as_other_user(self) -> list[str]:
        if self.run_as is None or os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={self.run_as}", f"--regid={self.run_as}", "--init-groups"]

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.run_as is None or os.geteuid() != 0:
            self.folder.chmod(0o700)
            return
        try:
            account = pwd.getpwnam(self.run_as)
        except KeyError as error:
            raise ProcessError(
                f"there is no system user {self.run_as}: install the server package of {self.name}"
            ) from error
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.folder.chmod(0o700)

    def _run(self, command: list[str]) -> None:
        """Run a set-up program of the server as the server's user."""
        done = subprocess.run(
            [*self._as_other_user(), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=READY_TIMEOUT_S,
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            raise ProcessError(
                f"{Path(command[0]).name} failed with code {done.returncode}:\n"
                f"{(done.stdout + done.stderr).strip()}"
            )

    @contextmanager
    def _secret_file(self, name: str, text: str) -> Iterator[Path]:
        """Hand a secret to a set-up program through a file that only the server's user can read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            if self.run_as is not None and os.geteuid() == 0:
                account = pwd.getpwnam(self.run_as)
                os.chown(path, account.pw_uid, account.pw_gid)
            yield path
        finally:
            path.unlink(missing_ok=True)


class PostgresqlServer(PrivateServer):
    """A private PostgreSQL server, reached over TCP only."""

    name = "PostgreSQL"
    run_as = "postgres"
    # SIGTERM would wait for the clients to leave; SIGINT ends their sessions (PostgreSQL, "Shutting
    # Down the Server").
    stop_signal = signal.SIGINT
    user = "postgres"
    database = "postgres"

    def _is_initialized(self) -> bool:
        # pg_control is among the last files that initdb writes; a folder without it is a set-up
        # that was cut off.
        return (
            self.data_folder / "global" / "pg_control"
        ).exists() and not self._half_made.exists()

    @property
    def _half_made(self) -> Path:
        return self.folder / "initializing"

    def _initialize(self) -> None:
        self._half_made.touch()
        shutil.rmtree(self.data_folder, ignore_errors=True)
        with self._secret_file("superuser-password", self.password) as password_file:
            self._run(
                [
                    str(postgresql_programs() / "initdb"),
                    *("-D", str(self.data_folder)),
                    *("-U", self.user, f"--pwfile={password_file}"),
                    *("--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                ]
            )
        if self.listen_address != HOST:
            with (self.data_folder / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all scram-sha-256\n")
        self._half_made.unlink()

    def _launch(self) -> None:
        """Start it; the lock of one that was killed and not yet collected is taken away first.

        PostgreSQL asks only whether the pid exists, which a zombie's does. Whether backends of the
        killed one are still there it finds out by itself, from its shared memory.
        """
        lock = self.data_folder / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            if ProcessIdentity.of(int(lock.read_text().splitlines()[0])) is None:
                lock.unlink()
        super()._launch()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": self.listen_address,
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "shared_buffers": "64MB",
            "max_connections": "200",
        }
        if not self.keeps_data:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        program = str(postgresql_programs() / "postgres")
        return [program, "-D", str(self.data_folder), "-p", str(self.port), *arguments]

    def _answers(self) -> bool:
        try:
            psycopg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=self.database,
                connect_timeout=PROBE_TIMEOUT_S,
            ).close()
        except psycopg.OperationalError:
            return False
        return True


class MariadbServer(PrivateServer):
    """A private MariaDB server with utf8mb4 throughout."""

    name = "MariaDB"
    run_as = "mysql"
    user = "root"
    database = "mysql"

    @property
    def _first_start_file(self) -> Path:
        return self.data_folder / "first-start.sql"

    def _is_initialized(self) -> bool:
        return (self.data_folder / "mysql").is_dir() and (self.folder / "initialized").exists()

    def _initialize(self) -> None:
        shutil.rmtree(self.data_folder, ignore_errors=True)
        self._run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data_folder}",
                *([f"--user={self.run_as}"] if os.geteuid() == 0 else []),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ]
        )
        # install-db leaves root without a password: the accounts are made anew before the port
        # opens.
        with self._secret_file(
            "first-start.new",
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');\n"
            "FLUSH PRIVILEGES;\n"
            + "".join(
                f"CREATE USER 'root'@'{host}' IDENTIFIED BY '{self.password}';\n"
                f"GRANT ALL PRIVILEGES ON *.* TO 'root'@'{host}' WITH GRANT OPTION;\n"
                for host in ("localhost", self.host)
            ),
        ) as path:
            shutil.move(path, self._first_start_file)
        (self.folder / "initialized").touch()

    def _command(self) -> list[str]:
        options = [
            "--no-defaults",
            f"--datadir={self.data_folder}",
            f"--port={self.port}",
            f"--bind-address={self.listen_address}",
            # Relative to the data folder: an absolute path may exceed the 107 bytes that sun_path
            # holds.
            "--socket=server.sock",
            "--pid-file=server.pid",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            "--default-time-zone=+00:00",
            "--innodb-buffer-pool-size=64M",
            "--max-connections=200",
        ]
        if not self.keeps_data:
            options += ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]
        if self._first_start_file.exists():
            options.append(f"--init-file={self._first_start_file}")
        return [_program("mariadbd"), *options]

    def _answers(self) -> bool:
        try:
            pymysql.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                connect_timeout=PROBE_TIMEOUT_S,
            ).close()
        except pymysql.err.OperationalError:
            return False
        return True

    def _after_start(self) -> None:
        self._first_start_file.unlink(missing_ok=True)


class RedisServer(PrivateServer):
    """A private Redis without persistence: one named user, the default user switched off."""

    name = "Redis"
    user = "querykeep"
    database = "0"

    @property
    def url(self) -> str:
        """Address with user and password, as `QUERYKEEP_REDIS_URL` wants it."""
        return f"redis://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def _configuration_file(self) -> Path:
        return self.folder / "redis.conf"

    def _is_initialized(self) -> bool:
        return False  # the configuration is made at each start

    def _initialize(self) -> None:
        self.data_folder.mkdir(exist_ok=True)
        descriptor = os.open(self._configuration_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # Administration (CONFIG, SAVE, REPLICAOF, MODULE …) and emptying the database are nobody's
        # business here.
        with os.fdopen(descriptor, "w") as file:
            file.write(
                f"bind {self.listen_address}\n"
                f"port {self.port}\n"
                "protected-mode yes\n"
                'save ""\n'
                "appendonly no\n"
                f'dir "{self.data_folder}"\n'
                "user default off\n"
                f"user {self.user} on >{self.password} ~* &* +@all -@admin"
                " -flushall -flushdb -swapdb\n"
            )

    def _command(self) -> list[str]:
        return [_program("redis-server"), str(self._configuration_file)]

    def _answers(self) -> bool:
        client = redis.Redis.from_url(
            self.url, socket_timeout=PROBE_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def new_password() -> str:
    """Return a random password of letters and digits, safe in URLs, SQL and configuration."""
    return secrets.token_hex(16)


def free_port() -> int:
    """Return a random loopback port that nobody listens on at this moment.

    Below the range that kernels hand out to outgoing connections (32768 and up), so that no client
    takes it in the moment between this look and the server's start.
    """
    while True:
        port = LOWEST_RANDOM_PORT + secrets.randbelow(HIGHEST_RANDOM_PORT - LOWEST_RANDOM_PORT + 1)
        if port_is_free(port):
            return port


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def reachable_folder(wanted: Path, *, installation_id: str) -> Path:
    """Return where database data goes: the wanted folder, or /var/lib where users cannot reach it.

    Only root starts servers as other users, so only for root the choice matters.
    """
    if os.geteuid() != 0:
        return wanted
    wanted.mkdir(parents=True, exist_ok=True)
    users = [server.run_as for server in (PostgresqlServer, MariadbServer) if server.run_as]
    if all(_can_reach(user, wanted) for user in users):
        return wanted
    return STATE_FOLDER_OF_ROOT / installation_id


def postgresql_programs() -> Path:
    """Return the folder with initdb and postgres of the newest installed PostgreSQL.

    Raises:
        ProcessError: PostgreSQL's server package is not installed.
    """
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not folders:
        raise ProcessError("PostgreSQL is not installed: `apt-get install postgresql`")
    return max(folders, key=lambda folder: float(folder.parent.name))


def _program(name: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PROGRAM_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        raise ProcessError(f"{name} is not installed; `make deps` installs what is missing")
    return found


def _can_reach(user: str, folder: Path) -> bool:
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "test", "-x", folder],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0
