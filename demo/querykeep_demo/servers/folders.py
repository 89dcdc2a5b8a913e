"""Where the data of private servers goes: their users must be able to reach it."""

import os
import subprocess
from pathlib import Path

from querykeep_demo.servers.mariadb import MariadbServer
from querykeep_demo.servers.postgresql import PostgresqlServer

STATE_FOLDER_OF_ROOT = Path("/var/lib/querykeep")


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


def _can_reach(user: str, folder: Path) -> bool:
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "test", "-x", folder],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0
