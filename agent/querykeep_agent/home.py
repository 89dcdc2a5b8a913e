"""The agent's own folder: which servers it knows, which local port each connection has.

Secrets are not here (keystore.py). Every change reads and writes under one lock, so that several
``qk`` at once lose nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from querykeep_agent.errors import AgentError, NotSignedInError, UsageError
from querykeep_agent.files import (
    exclusive,
    open_lock,
    private_folder,
    read_json,
    try_lock,
    write_json,
)
from querykeep_agent.keystore import Keystore, open_keystore, short_hash

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Server:
    """A Querykeep that this person signed in to.

    ``name`` is host:port of its sign-in and names it everywhere; ``establish`` is the base URL of
    session establishment; ``ca_pem`` the CA that its certificates must come from ("" = the
    system's); ``ports`` the local port of each connection by its id.
    """

    name: str
    tls: bool
    web: str
    establish: str
    ca_pem: str
    username: str
    display_name: str
    keystore: str
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def signin(self) -> str:
        """Base URL of sign-in and renewal."""
        return f"{'https' if self.tls else 'http'}://{self.name}"


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """A tunnel that some process holds open now."""

    connection: str
    port: int
    pid: int


class Home:
    """The folder, opened."""

    def __init__(self, folder: Path) -> None:
        """Raises AgentError when the folder cannot be made private."""
        self.folder = private_folder(folder)

    @staticmethod
    def open() -> Home:
        """Open the folder that the environment names, or the usual one."""
        return Home(default_folder())

    def servers(self) -> dict[str, Server]:
        """Return what is known, by name."""
        return _read(self._config())[1]

    def server(self, name: str = "") -> Server:
        """Return a known server: the named one (any unambiguous part of its name will do), or the
        one last signed in to.

        Raises:
            NotSignedInError: There is none.
            UsageError: The name fits none, or several.
        """
        default, servers = _read(self._config())
        if not servers:
            raise NotSignedInError("not signed in. Sign in first: qk login --server HOST:PORT")
        if not name:
            return servers[default] if default in servers else next(iter(servers.values()))
        if name in servers:
            return servers[name]
        fitting = [key for key in servers if name in key or servers[key].web.rstrip("/") == name]
        if len(fitting) != 1:
            raise UsageError(f"--server {name}: signed in are {', '.join(servers)}")
        return servers[fitting[0]]

    def remember(self, server: Server) -> None:
        """Add or replace a server and make it the default; its ports stay."""
        with self._changing() as (_, servers):
            old = servers.get(server.name)
            servers[server.name] = replace(server, ports=old.ports if old else server.ports)
            self._write(server.name, servers)

    def forget(self, name: str) -> None:
        """Remove a server."""
        with self._changing() as (default, servers):
            servers.pop(name, None)
            self._write(default if default in servers else next(iter(servers), ""), servers)

    def set_port(self, server: str, connection_id: str, port: int) -> None:
        """Remember a connection's local port.

        Raises:
            UsageError: Another connection has this port.
        """
        with self._changing() as (default, servers):
            for other in servers.values():
                for known, taken in other.ports.items():
                    if taken == port and (other.name, known) != (server, connection_id):
                        raise UsageError(f"port {port} belongs to another connection: see qk ls")
            found = servers[server]
            servers[server] = replace(found, ports={**found.ports, connection_id: port})
            self._write(default, servers)

    def keystore(self, server: Server) -> Keystore:
        """Return where this server's secrets are."""
        return open_keystore(server.keystore, self.folder)

    @contextlib.contextmanager
    def renewing(self, server: str) -> Iterator[None]:
        """Hold the lock under which a server's secrets change; blocks."""
        with exclusive(self.folder / f"secrets-{short_hash(server)}.lock"):
            yield

    # --- tunnels that are open ---------------------------------------------------------------

    @contextlib.contextmanager
    def holding_tunnel(self, server: str, connection_id: str, port: int) -> Iterator[None]:
        """Say that this process has the connection's port, for as long as the block runs.

        Raises:
            AgentError: Another process has it.
        """
        path = self._tunnel_file(server, connection_id)
        with contextlib.closing(open_lock(path)) as file:
            if not try_lock(file):
                other = _read_tunnel(file)
                where = f" by process {other.pid} on 127.0.0.1:{other.port}" if other else ""
                raise AgentError(f"this connection is open already{where}. Use that one, or end it")
            file.seek(0)
            file.truncate()
            file.write(
                json.dumps({"connection": connection_id, "port": port, "pid": os.getpid()}).encode()
            )
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()

    def open_tunnel(self, server: str, connection_id: str) -> OpenTunnel | None:
        """Return the process that holds a connection's port open, if any."""
        path = self._tunnel_file(server, connection_id)
        if not path.exists():
            return None
        with contextlib.closing(open_lock(path)) as file:
            return None if try_lock(file) else _read_tunnel(file)

    def _tunnel_file(self, server: str, connection_id: str) -> Path:
        folder = private_folder(self.folder / "tunnels")
        return folder / f"{short_hash(f'{server} {connection_id}')}.json"

    # --- the file ----------------------------------------------------------------------------

    def _config(self) -> dict[str, Any] | None:
        return read_json(self.folder / "config.json")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[str, dict[str, Server]]]:
        with exclusive(self.folder / "config.lock"):
            yield _read(self._config())

    def _write(self, default: str, servers: dict[str, Server]) -> None:
        write_json(
            self.folder / "config.json",
            {
                "version": _VERSION,
                "default": default,
                "servers": {name: asdict(server) for name, server in servers.items()},
            },
        )


def default_folder() -> Path:
    """Return ``QUERYKEEP_AGENT_HOME``, else ``querykeep`` in the person's configuration folder."""
    if chosen := os.environ.get("QUERYKEEP_AGENT_HOME"):
        return Path(chosen)
    if sys.platform == "win32" and (roaming := os.environ.get("APPDATA")):
        return Path(roaming) / "querykeep"
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "querykeep"


def _read(config: dict[str, Any] | None) -> tuple[str, dict[str, Server]]:
    if config is None:
        return "", {}
    if config.get("version") != _VERSION:
        raise AgentError(
            f"the agent's configuration is of version {config.get('version')!r}; this qk reads "
            f"{_VERSION}. Update qk"
        )
    try:
        servers = {name: Server(**entry) for name, entry in config["servers"].items()}
        return str(config["default"]), servers
    except (KeyError, TypeError, AttributeError) as error:
        raise AgentError("the agent's configuration is damaged. Sign in again: qk login") from error


def _read_tunnel(file: IO[bytes]) -> OpenTunnel | None:
    """Return what the holder wrote; None in the moment before it has."""
    file.seek(0)
    try:
        return OpenTunnel(**json.loads(file.read(4096)))
    except (ValueError, TypeError):
        return None
