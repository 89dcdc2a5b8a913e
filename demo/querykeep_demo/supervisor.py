"""Starts, finds again, repairs and ends everything that `make run` consists of.

No process watches the others: `run` looks at what the pid files say, starts what is missing, waits
until everything answers and leaves. Running it again brings back whatever died since, also what was
killed without a chance to tidy up.
"""

import fcntl
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from querykeep_demo.catalog_crawl import crawl_catalogs
from querykeep_demo.installation import Installation
from querykeep_demo.ports import PortTakenError
from querykeep_demo.processes import (
    ProcessError,
    ProcessIdentity,
    end_session,
    log_tail,
    running,
    start_detached,
    stop,
    wait_for,
)
from querykeep_demo.report import Seeded, demo_document, page, write_private
from querykeep_demo.seed import demo_seed
from querykeep_demo.servers import (
    MariadbServer,
    PostgresqlServer,
    PrivateServer,
    RedisServer,
    port_is_free,
)
from querykeep_demo.services import Service, environment, services
from querykeep_demo.shop import Shop, load_mariadb, load_postgresql

# Bounds how late a failure is told; on a busy machine several starts at once take minutes.
READY_TIMEOUT_S = 180.0
# A process found running that does not answer within this is started anew.
ALREADY_RUNNING_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 180.0
PROBE_TIMEOUT_S = 5.0
HTTP_INTERVAL_S = 0.2
# At a first run; each time only the ports that others hold move.
PORT_CHOICES = 5
# What the API and the others have written; at a first run nobody has seen any of it.
SERVICE_FOLDERS = ("api", "checkpoints", "spool", "results", "tool")


@dataclass(frozen=True, slots=True)
class Started:
    """Everything that answers now."""

    shops: dict[str, Shop]
    seeded: Seeded
    pids: dict[str, int]


class Supervisor:
    """Runs one installation. `say` takes progress lines for a person."""

    def __init__(self, installation: Installation, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._use(installation)

    def _use(self, installation: Installation) -> None:
        self._installation = installation
        self._servers = installation.servers()
        redis = self._servers["redis"]
        if not isinstance(redis, RedisServer):
            raise TypeError(f"the server named redis is {redis!r}")
        self._redis_url = redis.url

    def run(self) -> str:
        """Bring everything up and return the page for a person.

        Raises:
            PortTakenError: Another program holds a port that people know from an earlier run.
            ProcessError: Something did not start; the text holds the end of its log.
        """
        with self._lock():
            self._installation.enter_port_book()
            for _choice in range(PORT_CHOICES - 1):
                try:
                    return self._bring_up()
                except PortTakenError as error:
                    if not self._installation.is_first_run:
                        raise
                    self._say(f"{error} Choosing other ports, since this is the first run.")
                    self._choose_other_ports()
            return self._bring_up()

    def _bring_up(self) -> str:
        with ThreadPoolExecutor() as pool:
            migration = pool.submit(self._migrate)
            shops = self._start_servers()
            migration.result()
        seeded = self._seed(shops)
        pids = self._start_services(seeded)
        crawl_catalogs(
            f"http://127.0.0.1:{self._installation.ports.api}",
            seeded.api_tokens["admin"],
            seeded.connection_ids,
            say=self._say,
        )
        document = demo_document(self._installation, shops, seeded, pids)
        write_private(self._installation.home / "demo.json", document)
        return page(self._installation, shops, seeded)

    def _choose_other_ports(self) -> None:
        """Move the ports that others hold; what has started and holds its own stays as it is."""
        for service in reversed(services(self._installation)):
            self._stop_service(service)
        ours = {server.port for server in self._servers.values() if server.process() is not None}
        before = self._installation.ports
        self._use(self._installation.with_other_ports(ours.__contains__))
        if self._installation.ports.connections != before.connections:
            # Connections keep the port they were made with: they are made anew.
            (self._installation.home / "secrets/seeded.json").unlink(missing_ok=True)
            for name in SERVICE_FOLDERS:
                shutil.rmtree(self._installation.home / name, ignore_errors=True)

    def stop(self) -> None:
        """End everything, services before the servers that they use."""
        with self._lock():
            for service in reversed(services(self._installation)):
                self._stop_service(service)
            for server in reversed(self._servers.values()):
                if server.process() is not None:
                    self._say(f"stopping {server.name}")
                server.stop()

    def status(self) -> dict[str, int | None]:
        """Return the pid of each process, None for those that do not run."""
        found: dict[str, ProcessIdentity | None] = {
            name: server.process() for name, server in self._servers.items()
        }
        for service in services(self._installation):
            found[service.name] = running(self._installation.pid_file(service.name))
        return {name: identity.pid if identity else None for name, identity in found.items()}

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let two commands on one installation take turns."""
        with (self._installation.home / "installation.json").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # --- servers

    def _start_servers(self) -> dict[str, Shop]:
        secrets = self._installation.secrets

        def start(server: PrivateServer) -> Shop | None:
            if server.process() is None:
                self._say(f"starting {server.name}")
            server.start()
            match server:
                case PostgresqlServer():
                    return load_postgresql(server, account_password=secrets.shop_postgresql)
                case MariadbServer():
                    return load_mariadb(server, account_password=secrets.shop_mariadb)
                case _:
                    return None

        with ThreadPoolExecutor() as pool:
            shops = list(pool.map(start, self._servers.values()))
        return {shop.engine: shop for shop in shops if shop is not None}

    # --- the API's data

    def _migrate(self) -> None:
        self._command("migrate")

    def _seed(self, shops: dict[str, Shop]) -> Seeded:
        """Make the demo's accounts, connections, grants and rules once; people may change them."""
        kept = self._installation.home / "secrets/seeded.json"
        if kept.exists():
            return Seeded.parse(kept.read_text())
        ports = self._installation.ports
        _check_ports(
            "the connections",
            (
                ("QUERYKEEP_PORTS", port)
                for port in range(ports.connections, ports.last_connection + 1)
            ),
            self._installation,
        )
        self._say("making accounts, connections, grants and rules")
        # Nobody has seen tokens of an earlier run that was cut off in between: they are made anew.
        seed = demo_seed(shops, self._installation.secrets.accounts, renew_tokens=True)
        file = self._installation.home / "secrets/seed.json"
        write_private(file, seed)
        try:
            answer = self._command("seed-demo", "--file", str(file))
        finally:
            file.unlink()
        seeded = Seeded.parse(answer)
        seeded.write(kept)
        return seeded

    def _command(self, *arguments: str) -> str:
        """Run a command of the API to its end and return what it wrote."""
        program = services(self._installation)[0].command[0]
        log_file = self._installation.log_file(arguments[0])
        try:
            with log_file.open("wb") as log:
                done = subprocess.run(
                    [program, *arguments],
                    env=self._environment("api"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    timeout=COMMAND_TIMEOUT_S,
                    check=False,
                )
        except FileNotFoundError as error:
            raise ProcessError(f"{program} is not installed; `make deps` installs it") from error
        except subprocess.TimeoutExpired as error:
            raise ProcessError(
                f"querykeep {arguments[0]} took longer than {COMMAND_TIMEOUT_S:.0f} s. "
                f"The end of {log_file}:\n{log_tail(log_file)}"
            ) from error
        if done.returncode != 0:
            raise ProcessError(
                f"querykeep {arguments[0]} failed with code {done.returncode}. "
                f"The end of {log_file}:\n{log_tail(log_file)}"
            )
        return done.stdout

    # --- services

    def _start_services(self, seeded: Seeded) -> dict[str, int]:
        everything = services(self._installation, tuple(seeded.connection_ports.values()))
        were_running = {
            service.name
            for service in everything
            if running(self._installation.pid_file(service.name)) is not None
        }
        to_start = [service for service in everything if service.name not in were_running]
        for service in to_start:
            self._make_room(service)
        for service in to_start:
            self._start_service(service)
        self._say("waiting until everything answers")
        for service in everything:
            if service.name in were_running and not self._is_ready(
                service, timeout_s=ALREADY_RUNNING_TIMEOUT_S
            ):
                self._say(f"{service.name} does not answer: starting it anew")
                self._stop_service(service)
                self._make_room(service)
                self._start_service(service)
            self._wait_until_ready(service)
        return {
            service.name: identity.pid
            for service in everything
            if (identity := running(self._installation.pid_file(service.name))) is not None
        }

    def _make_room(self, service: Service) -> None:
        """End what is left of an earlier run and see that its ports are free."""
        # Children of one that was killed may still hold its ports and its queue.
        earlier = ProcessIdentity.read(self._installation.pid_file(service.name))
        if earlier is not None:
            end_session(earlier, cwd=self._installation.home, timeout_s=STOP_TIMEOUT_S)
        _check_ports(service.name, service.ports, self._installation)

    def _start_service(self, service: Service) -> None:
        self._say(f"starting {service.name}")
        start_detached(
            service.command,
            env=self._environment(service.name),
            cwd=self._installation.home,
            log_file=self._installation.log_file(service.name),
            pid_file=self._installation.pid_file(service.name),
        )

    def _wait_until_ready(self, service: Service) -> None:
        if self._is_ready(service, timeout_s=READY_TIMEOUT_S):
            return
        log_file = self._installation.log_file(service.name)
        state = "ended" if self._process(service) is None else "runs but is not ready"
        complaint = self._complaint(service)
        # Somebody may have taken a port between the look before the start and the start itself.
        self._stop_service(service)
        self._make_room(service)
        raise ProcessError(
            f"{service.name} {state}{complaint}. The end of {log_file}:\n{log_tail(log_file)}"
        )

    def _is_ready(self, service: Service, *, timeout_s: float) -> bool:
        def is_settled() -> bool:
            return self._process(service) is None or all(map(_answers, service.ready_urls))

        is_in_time = wait_for(is_settled, timeout_s=timeout_s, interval_s=HTTP_INTERVAL_S)
        return is_in_time and self._process(service) is not None

    def _complaint(self, service: Service) -> str:
        """Return what the service itself says about not being ready."""
        for url in service.ready_urls:
            status, body = _get(url)
            if status != 200:
                return f" ({url}: {body.strip()[:500] or 'no answer'})"
        return ""

    def _process(self, service: Service) -> ProcessIdentity | None:
        return running(self._installation.pid_file(service.name))

    def _stop_service(self, service: Service) -> None:
        pid_file = self._installation.pid_file(service.name)
        identity = ProcessIdentity.read(pid_file)
        if identity is None:
            return
        if identity.is_running():
            self._say(f"stopping {service.name}")
            if not stop(identity, timeout_s=STOP_TIMEOUT_S):
                self._say(f"{service.name} did not end by itself and was killed")
        end_session(identity, cwd=self._installation.home, timeout_s=STOP_TIMEOUT_S)
        pid_file.unlink(missing_ok=True)

    def _environment(self, name: str) -> dict[str, str]:
        return environment(self._installation, name, redis_url=self._redis_url)


def _check_ports(name: str, ports: Iterable[tuple[str, int]], installation: Installation) -> None:
    for setting, port in ports:
        if not port_is_free(port):
            raise PortTakenError(
                f"port {port} ({setting}) of {name} is taken by another program. "
                f"Free it, or choose another in {installation.home / 'ports.json'}."
            )


def _answers(url: str) -> bool:
    return _get(url)[0] == 200


def _get(url: str) -> tuple[int, str]:
    """Return status and body; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as answer:
            return int(answer.status), answer.read(4_096).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(4_096).decode("utf-8", "replace")
    except OSError:
        return 0, ""
