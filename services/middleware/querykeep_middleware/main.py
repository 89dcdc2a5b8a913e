"""``querykeep-middleware``: starts the runner process and serves the web UI with Daphne."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from django.conf import settings as django_settings

from querykeep_middleware.settings import MiddlewareSettings
from querykeep_relay.logs import configure_logs
from querykeep_relay.settings import SettingsError

if TYPE_CHECKING:
    from querykeep_middleware.gateway.endpoints import Endpoint

_LOG = logging.getLogger(__name__)
_STOP_TIMEOUT_S = 15.0
_RESTART_PAUSE_S = 1.0
_SETTINGS_EXIT = 2


class RunnerProcess:
    """Keeps the runner alive: starts it anew when it dies, ends it with this process."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="runner-watch", daemon=True)

    def start(self) -> None:
        """Start the runner and watch it."""
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "querykeep_middleware.execution.runner"],
                env={**os.environ, "QUERYKEEP_RUNNER_PARENT": str(os.getpid())},
            )
            code = self._process.wait()
            if not self._stopping.is_set():
                _LOG.error("the runner ended with code %d; starting it again", code)
                self._stopping.wait(_RESTART_PAUSE_S)

    def stop(self) -> None:
        """End the runner, politely at first."""
        self._stopping.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _endpoints(settings: MiddlewareSettings) -> list[Endpoint]:
    """Return every port, with its certificate where it speaks TLS."""
    from querykeep_middleware.gateway.endpoints import Endpoint  # Twisted's, see _serve

    certificate = (settings.tls_cert_file, settings.tls_key_file)
    found = [Endpoint(*settings.web)]
    if settings.web_tls is not None:
        found.append(Endpoint(*settings.web_tls, *certificate))
    is_loopback = settings.agent[0] in ("127.0.0.1", "::1", "localhost")
    has_tls = bool(settings.tls_cert_file) and not is_loopback
    found.append(Endpoint(*settings.agent, *(certificate if has_tls else ())))
    return found


def main() -> None:
    """Entry point. Exit codes: 0 after SIGTERM, 2 for settings."""
    configure_logs("middleware")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = MiddlewareSettings.from_environment()
    except SettingsError as error:
        print(f"querykeep-middleware: {error}", file=sys.stderr)
        sys.exit(_SETTINGS_EXIT)
    settings.results_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.setdefault("QUERYKEEP_EP_ADDRESS", f"{settings.web[0]}:{settings.web[1]}")
    runner = RunnerProcess()
    runner.start()
    try:
        _serve(settings)
    finally:
        runner.stop()


def _serve(settings: MiddlewareSettings) -> None:
    # Channels reads its layers from Django settings; there are none, the runner has all state.
    django_settings.configure(CHANNEL_LAYERS={}, DATABASES={})
    # Importing Daphne's server installs Twisted's asyncio reactor; nothing may come before it.
    from querykeep_middleware.gateway.server import GatewayServer

    started = time.monotonic()
    GatewayServer(settings, _endpoints(settings)).run()
    _LOG.info("the middleware ends after %.0f s", time.monotonic() - started)


if __name__ == "__main__":
    main()
