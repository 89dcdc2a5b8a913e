"""``querykeep-proxy`` as a process, for tests that need one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.proxy.fix_proxy import Certificate
from tests.relay.fix_internal_api import KEY

PROGRAM = Path(sys.executable).parent / "querykeep-proxy"
READY_S = 120
END_S = 90


def program_environment(
    folder: Path, api_url: str, health_port: int, certificate: Certificate | None = None
) -> dict[str, str]:
    """Return settings of a proxy that keeps its key and spool in ``folder``."""
    (folder / "key").write_text(KEY)
    environment = {
        "PATH": os.environ["PATH"],
        "QUERYKEEP_INTERNAL_URL": api_url,
        "QUERYKEEP_INTERNAL_KEY_FILE": str(folder / "key"),
        "QUERYKEEP_SPOOL_DIR": str(folder / "spool"),
        "QUERYKEEP_PORTS": "1024-65535",
        "QUERYKEEP_ESTABLISH_BIND": "127.0.0.1:0",
        "QUERYKEEP_DATA_BIND": "127.0.0.1:0",
        "QUERYKEEP_PROXY_HEALTH_BIND": f"127.0.0.1:{health_port}",
    }
    if certificate is not None:
        environment["QUERYKEEP_TLS_CERT_FILE"] = str(certificate.cert_file)
        environment["QUERYKEEP_TLS_KEY_FILE"] = str(certificate.key_file)
    return environment


class Program:
    """One run of the program; what it writes goes to ``log_file``."""

    def __init__(self, environment: Mapping[str, str], log_file: Path) -> None:
        self._health = environment["QUERYKEEP_PROXY_HEALTH_BIND"]
        self._log_file = log_file
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM)], env=dict(environment), stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log_file.read_text()

    @property
    def is_over(self) -> bool:
        """True once it has ended."""
        return self._process.poll() is not None

    def ready(self) -> dict[str, dict[str, dict[str, object]]]:
        """Wait until it is ready; return what it says of its parts."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and not self.is_over:
            try:
                with urllib.request.urlopen(f"http://{self._health}/readyz") as answer:
                    return dict(json.load(answer))
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError(f"the proxy did not become ready:\n{self.log[-4000:]}")

    def wait(self) -> int:
        """Return its exit code once it ends."""
        return self._process.wait(END_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self._process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()


class Starter:
    """Starts the program as often as a test needs; ``conninfo`` is the clients' way in."""

    def __init__(self, environment: Mapping[str, str], folder: Path, port: int) -> None:
        self._environment = environment
        self._folder = folder
        self._runs: list[Program] = []
        self.port = port
        self.conninfo = f"host=127.0.0.1 port={port} user=ann password=pw dbname=shop"

    def __call__(self, **changes: str) -> Program:
        log = self._folder / f"proxy-{len(self._runs) + 1}.log"
        self._runs.append(Program({**self._environment, **changes}, log))
        return self._runs[-1]

    def end(self) -> None:
        """End what still runs."""
        for run in self._runs:
            run.kill()
