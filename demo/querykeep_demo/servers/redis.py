"""A private Redis."""

import os
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from querykeep_demo.servers.private import PROBE_TIMEOUT_S, PrivateServer, installed_program


class RedisServer(PrivateServer):
    """A private Redis without persistence: one named user, the default user switched off."""

    name = "Redis"
    user = "querykeep"
    database = "0"

    @property
    def url(self) -> str:
        """Address with user and password, as `QUERYKEEP_REDIS_URL` wants it."""
        return f"redis://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def _configuration_file(self) -> Path:
        return self.folder / "redis.conf"

    def _is_initialized(self) -> bool:
        return False  # the configuration is made at each start

    def _initialize(self) -> None:
        self.data_folder.mkdir(exist_ok=True)
        descriptor = os.open(self._configuration_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # Administration (CONFIG, SAVE, REPLICAOF, MODULE …) and emptying the database are nobody's
        # business here.
        with os.fdopen(descriptor, "w") as file:
            file.write(
                f"bind {self.listen_address}\n"
                f"port {self.port}\n"
                "protected-mode yes\n"
                'save ""\n'
                "appendonly no\n"
                f'dir "{self.data_folder}"\n'
                "user default off\n"
                f"user {self.user} on >{self.password} ~* &* +@all -@admin"
                " -flushall -flushdb -swapdb\n"
            )

    def _command(self) -> list[str]:
        return [installed_program("redis-server"), str(self._configuration_file)]

    def _answers(self) -> bool:
        client = redis.Redis.from_url(
            self.url, socket_timeout=PROBE_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
