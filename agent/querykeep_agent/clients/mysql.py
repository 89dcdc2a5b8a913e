"""mariadb and mysql, whichever is installed.

Their options stand in a file of mode 0600 that begins with the person's own files and ends with the
agent's settings, so that these win; the password is nowhere else. MariaDB's clients from 11.4 on
verify a server's certificate by default, MySQL's prefer TLS: within this machine there is none, and
each is told so in its own words.

Specification: MySQL manual, "Using Option Files", "ERR_Packet"; MariaDB, "Configuring MariaDB with
Option Files".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from querykeep_agent.clients.kind import Address, Launch
from querykeep_agent.errors import AgentError
from querykeep_agent.files import write_private

_PROGRAMS = ("mariadb", "mysql")
_DROPPED = ("MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_PWD", "MARIADB_HOST")
_SYSTEM_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf")
_ER_UNKNOWN_ERROR = 1105
"""A server's number: clients take their own (2000 and up) for a broken packet."""
_VERSION_TIMEOUT_S = 10.0


class MysqlKind:
    """The clients of MySQL and MariaDB."""

    def environment(self, address: Address) -> dict[str, str]:
        """Return the variables that these clients read; user and database they read nowhere."""
        return {
            "MYSQL_HOST": address.host,
            "MYSQL_TCP_PORT": str(address.port),
            "MYSQL_PWD": address.password,
            "MYSQL_USER": address.username,
            "MYSQL_DATABASE": address.database,
        }

    def launch(
        self,
        address: Address,
        arguments: Sequence[str],
        inherited: Mapping[str, str],
        folder: Path,
    ) -> Launch:
        """Start the client; raises AgentError when there is none."""
        path = inherited.get("PATH")
        found = (shutil.which(program, path=path) for program in _PROGRAMS)
        program = next((name for name in found if name), None)
        if program is None:
            raise AgentError("neither mariadb nor mysql is installed (or in PATH). Install one")
        options = folder / "client.cnf"
        text = option_file(address, is_mariadb=_is_mariadb(program), home=inherited.get("HOME", ""))
        write_private(options, text.encode())
        kept = {name: value for name, value in inherited.items() if name not in _DROPPED}
        return Launch((program, f"--defaults-file={options}", *arguments), kept)

    async def refuse(self, stream: trio.SocketStream, message: str) -> None:
        """Send an error where the greeting would be; it has no SQLSTATE so early."""
        text = f"qk: {message}".encode()[:512]
        body = b"\xff" + _ER_UNKNOWN_ERROR.to_bytes(2, "little") + text
        try:
            await stream.send_all(len(body).to_bytes(3, "little") + b"\0" + body)
            await stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


def option_file(address: Address, *, is_mariadb: bool, home: str) -> str:
    """Return the option file: the person's own first, then what reaches the tunnel."""
    own = [*_SYSTEM_FILES, *([os.path.join(home, ".my.cnf")] if home else [])]
    lines = [f"!include {file}" for file in own if os.path.isfile(file) and "\n" not in file]
    lines += [
        "[client]",
        f"host={_quoted(address.host)}",
        f"port={address.port}",
        "protocol=TCP",
        f"user={_quoted(address.username)}",
        f"password={_quoted(address.password)}",
        "skip-ssl" if is_mariadb else "ssl-mode=DISABLED",
        "[mysql]",
        f"database={_quoted(address.database)}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a value as option files read it; a line break cannot stand in one."""
    if "\n" in text or "\r" in text:
        raise AgentError("a name with a line break cannot be given to this client")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_mariadb(program: str) -> bool:
    try:
        shown = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(f"{program} does not start: {error}") from error
    return "mariadb" in shown.stdout.lower()
