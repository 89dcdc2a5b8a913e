"""What all private servers share: a folder, a port, secrets, a process that runs detached."""

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


def installed_program(name: str) -> str:
    """Return the path of a server program.

    Raises:
        ProcessError: It is not installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PROGRAM_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        raise ProcessError(f"{name} is not installed; `make deps` installs what is missing")
    return found
