"""A private MariaDB."""

import os
import shutil
from pathlib import Path

import pymysql

from querykeep_demo.servers.private import PROBE_TIMEOUT_S, PrivateServer, installed_program


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
                installed_program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data_folder}",
                # A server that starts removes what others left in a temporary folder, or use there.
                f"--tmpdir={self.data_folder}",
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
            f"--tmpdir={self.data_folder}",
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
        return [installed_program("mariadbd"), *options]

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
