"""One installation of the demo: its folder, ports, secrets and certificates, made at the first run.

Layout below the home folder (`.run`):

    installation.json   the id; proves that the folder is ours before anything is deleted
    ports.json          the ports, chosen once
    demo.json           what scripts and tests read (0600)
    secrets/            passwords of servers and accounts, keys of the services (0700)
    tls/                ca.pem, server.pem and their keys
    pid/ log/           one file per process
    redis/ postgresql/ mariadb/   the private servers (or below /var/lib/querykeep/<id>)
    api/ spool/ results/ …        the services' own
"""

import base64
import datetime
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from querykeep_demo.certificates import make_certificates
from querykeep_demo.port_book import PortBook
from querykeep_demo.ports import Ports
from querykeep_demo.processes import ProcessError
from querykeep_demo.servers import (
    STATE_FOLDER_OF_ROOT,
    MariadbServer,
    PostgresqlServer,
    PrivateServer,
    RedisServer,
    new_password,
    port_is_free,
    reachable_folder,
)

ACCOUNTS = ("admin", "dba", "analyst", "developer", "auditor")
SERVICES_WITH_KEYS = ("middleware", "proxy", "tool")
PASSWORD_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords of this installation, all random."""

    redis: str = field(repr=False)
    postgresql: str = field(repr=False)
    mariadb: str = field(repr=False)
    shop_postgresql: str = field(repr=False)
    shop_mariadb: str = field(repr=False)
    accounts: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Installation:
    """Paths, ports and secrets of one home folder."""

    home: Path
    id: str
    ports: Ports
    secrets: Secrets

    @classmethod
    def open(cls, home: Path, *, now: datetime.datetime) -> Self:
        """Open the home folder, making whatever is missing.

        Raises:
            ProcessError: The folder holds something that is not an installation, or is unreadable.
        """
        home = home.resolve()  # as /proc shows a working folder
        home.mkdir(parents=True, exist_ok=True)
        for name in ("log", "pid", "secrets"):
            (home / name).mkdir(exist_ok=True)
            (home / name).chmod(0o700)
        (home / "tls").mkdir(exist_ok=True)
        identity = read_id(home)
        if identity is None:
            identity = secrets.token_hex(6)
            _write_private(home / "installation.json", {"version": 1, "id": identity})
        ports = Ports.read(home / "ports.json")
        if ports is None:
            ports = PortBook().choose(identity, home, port_is_free, wanted=Ports())
        installation = cls(home=home, id=identity, ports=ports, secrets=_secrets(home))
        installation._make_keys()
        make_certificates(
            ca_file=installation.ca_file,
            ca_key_file=home / "tls/ca-key.pem",
            cert_file=installation.cert_file,
            key_file=installation.cert_key_file,
            now=now,
        )
        return installation

    def enter_port_book(self) -> None:
        """Tell other installations which ports this one is about to use."""
        PortBook().enter(self.id, self.home, self.ports)

    def with_other_ports(self, is_ours: Callable[[int], bool]) -> Self:
        """Return this installation with another port wherever somebody else holds one.

        Args:
            is_ours: Whether a port that is not free is held by this installation itself.
        """
        ports = PortBook().choose(
            self.id,
            self.home,
            lambda port: port_is_free(port) or is_ours(port),
            wanted=self.ports,
        )
        return replace(self, ports=ports)

    @property
    def is_first_run(self) -> bool:
        """Whether nothing was ever started to the end here, so that nobody knows the ports yet."""
        return not (self.home / "demo.json").exists()

    @property
    def ca_file(self) -> Path:
        """Certificate of the authority that clients trust."""
        return self.home / "tls/ca.pem"

    @property
    def cert_file(self) -> Path:
        """Certificate of the proxy's ports."""
        return self.home / "tls/server.pem"

    @property
    def cert_key_file(self) -> Path:
        """Private key of the proxy's ports."""
        return self.home / "tls/server-key.pem"

    @property
    def root_key_file(self) -> Path:
        """Root key of the API."""
        return self.home / "secrets/api.key"

    @property
    def service_keys_file(self) -> Path:
        """Digests of the services' keys, for the API."""
        return self.home / "secrets/service-keys.json"

    def key_file(self, service: str) -> Path:
        """Key of one service for the internal API."""
        return self.home / f"secrets/{service}.key"

    def log_file(self, name: str) -> Path:
        """Where one process writes."""
        return self.home / f"log/{name}.log"

    def pid_file(self, name: str) -> Path:
        """Identity of one process."""
        return self.home / f"pid/{name}.json"

    def servers(self) -> dict[str, PrivateServer]:
        """Return the private servers in the order in which they start."""
        data = reachable_folder(self.home, installation_id=self.id)
        return {
            "redis": RedisServer(
                self.home / "redis", port=self.ports.redis, password=self.secrets.redis
            ),
            "postgresql": PostgresqlServer(
                data / "postgresql", port=self.ports.postgresql, password=self.secrets.postgresql
            ),
            "mariadb": MariadbServer(
                data / "mariadb", port=self.ports.mariadb, password=self.secrets.mariadb
            ),
        }

    def delete(self) -> None:
        """Remove the home folder and the servers' data; everything must have been stopped."""
        delete(self.home)

    def _make_keys(self) -> None:
        if not self.root_key_file.exists():
            _write_text(self.root_key_file, base64.b64encode(secrets.token_bytes(32)).decode())
        digests: dict[str, str] = {}
        for service in SERVICES_WITH_KEYS:
            if not self.key_file(service).exists():
                _write_text(self.key_file(service), secrets.token_hex(32))
            key = self.key_file(service).read_text().strip()
            digests[service] = hashlib.sha256(key.encode()).hexdigest()
        _write_private(self.service_keys_file, digests)


def read_id(home: Path) -> str | None:
    """Return the id of the installation in a folder, None when there is none.

    Raises:
        ProcessError: The file that should hold it holds something else.
    """
    path = home / "installation.json"
    if not path.exists():
        return None
    try:
        identity = json.loads(path.read_text())["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessError(f"{path} is damaged; remove {home} by hand") from error
    # It becomes part of a path that `reset` deletes.
    if not isinstance(identity, str) or not identity.isalnum():
        raise ProcessError(f"{path} is damaged; remove {home} by hand")
    return identity


def delete(home: Path) -> None:
    """Remove an installation's folders; a folder without an installation is refused.

    Raises:
        ProcessError: The folder is not ours.
    """
    if not home.exists():
        return
    identity = read_id(home)
    if identity is None and any(home.iterdir()):
        raise ProcessError(f"{home} holds no installation.json, so it is left alone")
    if identity is not None:
        shutil.rmtree(STATE_FOLDER_OF_ROOT / identity, ignore_errors=True)
    shutil.rmtree(home)


def _secrets(home: Path) -> Secrets:
    path = home / "secrets/passwords.json"
    kept: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
    accounts = kept.get("accounts")
    made = Secrets(
        redis=str(kept.get("redis") or new_password()),
        postgresql=str(kept.get("postgresql") or new_password()),
        mariadb=str(kept.get("mariadb") or new_password()),
        shop_postgresql=str(kept.get("shop_postgresql") or new_password()),
        shop_mariadb=str(kept.get("shop_mariadb") or new_password()),
        accounts={
            name: str(
                (accounts.get(name) if isinstance(accounts, dict) else None) or spoken_password()
            )
            for name in ACCOUNTS
        },
    )
    _write_private(
        path,
        {
            "redis": made.redis,
            "postgresql": made.postgresql,
            "mariadb": made.mariadb,
            "shop_postgresql": made.shop_postgresql,
            "shop_mariadb": made.shop_mariadb,
            "accounts": made.accounts,
        },
    )
    return made


def spoken_password() -> str:
    """Return a password that a person can read out and type: 20 letters, about 98 bits."""
    letters = "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(20))
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))


def _write_private(path: Path, content: object) -> None:
    _write_text(path, json.dumps(content, ensure_ascii=False, indent=1))


def _write_text(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    new_path = path.with_name(path.name + ".new")
    new_path.unlink(missing_ok=True)
    descriptor = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    new_path.replace(path)
