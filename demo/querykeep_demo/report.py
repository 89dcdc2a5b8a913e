"""What `make run` tells: `.run/demo.json` for programs, a page of text for people."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from querykeep_demo.installation import Installation
from querykeep_demo.processes import ProcessError
from querykeep_demo.seed import CONNECTION_NAMES
from querykeep_demo.servers import HOST
from querykeep_demo.shop import Shop

VERSION = 1


@dataclass(frozen=True, slots=True)
class ProxyToken:
    """User name and password for one person and one connection."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What the seed made: ids, ports and the secrets that are shown only once."""

    api_tokens: dict[str, str] = field(repr=False)
    connection_ids: dict[str, str]
    connection_ports: dict[str, int]
    proxy_tokens: dict[str, dict[str, ProxyToken]] = field(repr=False)

    @classmethod
    def parse(cls, answer: str) -> Self:
        """Read the answer of `querykeep seed-demo`.

        Raises:
            ProcessError: It is not what docs/seams.md says, or a secret is missing.
        """
        try:
            parts = json.loads(answer)
            accounts, connections = parts["accounts"], parts["connections"]
            seeded = cls(
                api_tokens={name: account["api_token"] for name, account in accounts.items()},
                connection_ids={name: entry["id"] for name, entry in connections.items()},
                connection_ports={
                    name: int(entry["proxy"]["port"]) for name, entry in connections.items()
                },
                proxy_tokens={
                    name: {
                        user: ProxyToken(token["username"], token["password"])
                        for user, token in entry["tokens"].items()
                    }
                    for name, entry in connections.items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProcessError(f"querykeep seed-demo answered something else: {error!r}") from error
        secrets = [*seeded.api_tokens.values()]
        secrets += [token.password for by in seeded.proxy_tokens.values() for token in by.values()]
        if not all(isinstance(secret, str) and secret for secret in secrets):
            raise ProcessError("querykeep seed-demo left out a token although asked to renew all")
        return seeded

    def write(self, path: Path) -> None:
        """Keep the answer, for the next runs."""
        write_private(
            path,
            {
                "accounts": {name: {"api_token": token} for name, token in self.api_tokens.items()},
                "connections": {
                    name: {
                        "id": identity,
                        "proxy": {"port": self.connection_ports[name]},
                        "tokens": {
                            user: {"username": token.username, "password": token.password}
                            for user, token in self.proxy_tokens[name].items()
                        },
                    }
                    for name, identity in self.connection_ids.items()
                },
            },
        )


def demo_document(
    installation: Installation, shops: dict[str, Shop], seeded: Seeded, pids: dict[str, int]
) -> dict[str, object]:
    """Return the content of `demo.json`; its shape is promised in the documentation."""
    ports = installation.ports
    return {
        "version": VERSION,
        "web": f"http://{HOST}:{ports.web}",
        "api": f"http://{HOST}:{ports.api}",
        "tool": f"http://{HOST}:{ports.tool}",
        "agent_signin": f"{HOST}:{ports.agent_signin}",
        "proxy": {
            "establish": f"https://{HOST}:{ports.establish}",
            "data": f"{HOST}:{ports.data}",
            "health": f"http://{HOST}:{ports.proxy_health}",
        },
        "ca_file": str(installation.ca_file),
        "pids": pids,
        "accounts": {
            name: {
                "username": name,
                "password": password,
                "api_token": seeded.api_tokens[name],
            }
            for name, password in installation.secrets.accounts.items()
        },
        "connections": {
            CONNECTION_NAMES[engine]: _connection(CONNECTION_NAMES[engine], engine, shop, seeded)
            for engine, shop in shops.items()
        },
    }


def _connection(name: str, engine: str, shop: Shop, seeded: Seeded) -> dict[str, object]:
    return {
        "id": seeded.connection_ids[name],
        "engine": engine,
        "proxy": {"host": HOST, "port": seeded.connection_ports[name]},
        "database": shop.database,
        "direct": {
            "host": shop.host,
            "port": shop.port,
            "user": shop.user,
            "password": shop.password,
            "database": shop.database,
        },
        "tokens": {
            user: {"username": token.username, "password": token.password}
            for user, token in seeded.proxy_tokens[name].items()
        },
    }


def page(installation: Installation, shops: dict[str, Shop], seeded: Seeded) -> str:
    """Return what a person reads at the end of `make run`."""
    ports = installation.ports
    lines = [
        "Querykeep runs.",
        "",
        f"  Web UI      http://{HOST}:{ports.web}",
        f"  API         http://{HOST}:{ports.api}/api/docs/",
        f"  Tool        http://{HOST}:{ports.tool}",
        f"  Agent       sign-in {HOST}:{ports.agent_signin}, sessions https://{HOST}:{ports.establish}"
        f" and {HOST}:{ports.data}",
        "",
        "  Account     Password                  May",
    ]
    may = {
        "admin": "administer Querykeep; no data",
        "dba": "everything in both shops, unmasked",
        "analyst": "read both shops, masked",
        "developer": "read and write both shops, masked",
        "auditor": "read the audit log",
    }
    lines += [
        f"  {name:<11} {password:<25} {may[name]}"
        for name, password in installation.secrets.accounts.items()
    ]
    lines += ["", "  With your own tools (the analyst's tokens):"]
    for engine, shop in shops.items():
        name = CONNECTION_NAMES[engine]
        lines.append(
            "    "
            + _client_line(
                shop, seeded.connection_ports[name], seeded.proxy_tokens[name]["analyst"]
            )
        )
    lines += [
        "",
        "  With the agent (sign in as the analyst in the browser):",
        f"    .venv/bin/qk login --server {HOST}:{ports.agent_signin}",
        f"    .venv/bin/qk psql {CONNECTION_NAMES['postgresql']}",
    ]
    lines += [
        "",
        f"  All of it, for programs: {_short(installation.home / 'demo.json')}   "
        f"Logs: {_short(installation.home / 'log')}",
        "  make stop ends it, make reset deletes it.",
    ]
    return "\n".join(lines)


def _client_line(shop: Shop, port: int, token: ProxyToken) -> str:
    if shop.engine == "postgresql":
        return f"psql postgresql://{token.username}:{token.password}@{HOST}:{port}/{shop.database}"
    return f"mariadb -h {HOST} -P {port} -u {token.username} -p{token.password} {shop.database}"


def _short(path: Path) -> str:
    """Return the path as seen from the working folder when it lies below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def write_private(path: Path, content: object) -> None:
    """Write JSON that only its owner can read, in one step."""
    new_path = path.with_name(path.name + ".new")
    new_path.unlink(missing_ok=True)
    descriptor = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.write("\n")
    new_path.replace(path)
