"""Private PostgreSQL, MariaDB and Redis servers on loopback, apart from all that already run.

A server object names a folder, a port and its secrets; `start` makes the data on the first call,
starts the process detached and waits until it answers; a second object on the same folder finds the
running process again. Started as root, the database servers run as their packages' users
(`postgres`, `mysql`), who must be able to reach the folder: `reachable_folder` chooses one.

Nothing here is for production: these are the servers of `make run` and of the tests.
"""

from querykeep_demo.servers.folders import STATE_FOLDER_OF_ROOT, reachable_folder
from querykeep_demo.servers.mariadb import MariadbServer
from querykeep_demo.servers.postgresql import PostgresqlServer, postgresql_programs
from querykeep_demo.servers.private import (
    HOST,
    PrivateServer,
    free_port,
    new_password,
    port_is_free,
)
from querykeep_demo.servers.redis import RedisServer

__all__ = [
    "HOST",
    "STATE_FOLDER_OF_ROOT",
    "MariadbServer",
    "PostgresqlServer",
    "PrivateServer",
    "RedisServer",
    "free_port",
    "new_password",
    "port_is_free",
    "postgresql_programs",
    "reachable_folder",
]
