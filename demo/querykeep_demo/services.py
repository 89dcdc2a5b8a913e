"""The processes of Querykeep itself: how each is started and where it says that it is ready."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from querykeep_demo.installation import SERVICES_WITH_KEYS, Installation
from querykeep_demo.servers import HOST

PROGRAMS = Path(sys.executable).parent
# What the API's own processes read: it alone holds the keys to stored credentials.
API_PROCESSES = ("api", "tool", "worker", "beat")
# Variables of the calling make or shell that must not reach a service.
DROPPED_VARIABLES = (
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "DJANGO_SETTINGS_MODULE",
    "PYTHONPATH",
    # Ten processes that compile every module anew take a minute to start.
    "PYTHONDONTWRITEBYTECODE",
)


@dataclass(frozen=True, slots=True)
class Service:
    """One detached process.

    Attributes:
        ready_urls: Each must answer 200; a process without any is ready while it runs.
        ports: What it listens on, by the setting that names it.
    """

    name: str
    command: tuple[str, ...]
    ready_urls: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()


def services(installation: Installation, connection_ports: tuple[int, ...] = ()) -> list[Service]:
    """Return the processes in the order in which they start; they end in the opposite one.

    Args:
        connection_ports: The ports of the demo's connections, known once they are made.
    """
    ports = installation.ports
    querykeep = str(PROGRAMS / "querykeep")
    return [
        Service(
            "api",
            (querykeep, "api"),
            (_ready(ports.api), _ready(ports.internal)),
            (("QUERYKEEP_API_BIND", ports.api), ("QUERYKEEP_INTERNAL_BIND", ports.internal)),
        ),
        Service("worker", (querykeep, "worker")),
        Service("beat", (querykeep, "beat")),
        Service(
            "middleware",
            (str(PROGRAMS / "querykeep-middleware"),),
            (_ready(ports.web),),
            (
                ("QUERYKEEP_WEB_BIND", ports.web),
                ("QUERYKEEP_AGENT_SIGNIN_BIND", ports.agent_signin),
            ),
        ),
        Service(
            "proxy",
            (str(PROGRAMS / "querykeep-proxy"),),
            (_ready(ports.proxy_health),),
            (
                ("QUERYKEEP_ESTABLISH_BIND", ports.establish),
                ("QUERYKEEP_DATA_BIND", ports.data),
                ("QUERYKEEP_PROXY_HEALTH_BIND", ports.proxy_health),
                *(("QUERYKEEP_PORTS", port) for port in connection_ports),
            ),
        ),
        # Last, since it is ready when all the others are.
        Service(
            "tool",
            (querykeep, "tool"),
            (f"http://{HOST}:{ports.tool}/readyz",),
            (("QUERYKEEP_TOOL_BIND", ports.tool),),
        ),
    ]


def environment(
    installation: Installation,
    name: str,
    *,
    redis_url: str,
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the whole environment of one process, with the secrets that are its own and no others.

    Settings of the caller (`QUERYKEEP_LOG_LEVEL` …) are handed on, except those decided here.
    """
    ports = installation.ports
    public_url = f"http://{HOST}:{ports.web}"
    variables = {key: value for key, value in inherited.items() if key not in DROPPED_VARIABLES}
    variables |= {
        "PATH": f"{PROGRAMS}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "QUERYKEEP_HOME": str(installation.home),
        "QUERYKEEP_REDIS_URL": redis_url,
        "QUERYKEEP_PUBLIC_URL": public_url,
        "QUERYKEEP_API_URL": f"http://{HOST}:{ports.api}",
        "QUERYKEEP_INTERNAL_URL": f"http://{HOST}:{ports.internal}",
        "QUERYKEEP_API_BIND": f"{HOST}:{ports.api}",
        "QUERYKEEP_INTERNAL_BIND": f"{HOST}:{ports.internal}",
        "QUERYKEEP_TOOL_BIND": f"{HOST}:{ports.tool}",
        "QUERYKEEP_WEB_BIND": f"{HOST}:{ports.web}",
        "QUERYKEEP_AGENT_SIGNIN_BIND": f"{HOST}:{ports.agent_signin}",
        "QUERYKEEP_ESTABLISH_BIND": f"{HOST}:{ports.establish}",
        "QUERYKEEP_DATA_BIND": f"{HOST}:{ports.data}",
        "QUERYKEEP_PROXY_HEALTH_BIND": f"{HOST}:{ports.proxy_health}",
        "QUERYKEEP_PORTS": f"{ports.connections}-{ports.last_connection}",
        "QUERYKEEP_PORTS_HOST": HOST,
        "QUERYKEEP_ESTABLISH_URL": f"https://{HOST}:{ports.establish}",
        "QUERYKEEP_PUBLIC_DATA_ADDRESS": f"{HOST}:{ports.data}",
        "QUERYKEEP_CA_FILE": str(installation.ca_file),
    }
    for secret in ("QUERYKEEP_SECRET_FILE", "QUERYKEEP_SERVICE_KEYS_FILE"):
        variables.pop(secret, None)
    if name in API_PROCESSES:
        variables["QUERYKEEP_SECRET_FILE"] = str(installation.root_key_file)
        variables["QUERYKEEP_SERVICE_KEYS_FILE"] = str(installation.service_keys_file)
    if name in SERVICES_WITH_KEYS:
        variables["QUERYKEEP_INTERNAL_KEY_FILE"] = str(installation.key_file(name))
    if name == "proxy":
        variables["QUERYKEEP_TLS_CERT_FILE"] = str(installation.cert_file)
        variables["QUERYKEEP_TLS_KEY_FILE"] = str(installation.cert_key_file)
    return variables


def _ready(port: int) -> str:
    return f"http://{HOST}:{port}/readyz"
