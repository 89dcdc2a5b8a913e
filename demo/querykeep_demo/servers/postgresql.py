"""A private PostgreSQL."""

import contextlib
import shutil
import signal
from pathlib import Path

import psycopg

from querykeep_demo.processes import ProcessError, ProcessIdentity
from querykeep_demo.servers.private import HOST, PROBE_TIMEOUT_S, PrivateServer


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
