"""``querykeep-proxy``: opens the relay's services and the proxy's listeners, drains on SIGTERM."""

from __future__ import annotations

import logging
import signal
import ssl
import sys
from functools import partial

import trio

from querykeep_proxy.accept import AddressGate, ListenError, listen, serve
from querykeep_proxy.data import ALPN, DataPort
from querykeep_proxy.establish import Establish
from querykeep_proxy.health import Health
from querykeep_proxy.listeners import ConnectionListeners
from querykeep_proxy.proxy_header import NO_BALANCERS
from querykeep_proxy.settings import ProxySettings
from querykeep_relay.certificate_files import CertificateFiles
from querykeep_relay.logs import configure_logs
from querykeep_relay.services import RelayServices, open_services
from querykeep_relay.settings import SettingsError
from querykeep_relay.tls import ListenerTls, load_listener_tls

_LOG = logging.getLogger(__name__)
_DRAINED = "this proxy is shutting down; connect again"


class Proxy:
    """The running proxy; ``run`` serves until ``stop`` and then drains."""

    def __init__(self, settings: ProxySettings, services: RelayServices) -> None:
        self._settings = settings
        self._services = services
        self._gate = AddressGate(settings.unauthenticated_per_address)
        self._probe_gate = AddressGate(settings.unauthenticated_per_address)
        self._stopping = trio.Event()
        self._over = trio.Event()

    def stop(self) -> None:
        """Begin to drain; safe to call twice."""
        self._stopping.set()

    async def wait_over(self) -> None:
        """Wait until the drain is complete."""
        await self._over.wait()

    async def run(
        self, task_status: trio.TaskStatus[dict[str, int]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve; reports the ports that were bound (for port 0).

        Raises:
            ListenError: A fixed port is taken, or the certificate cannot be read.
        """
        async with trio.open_nursery() as sessions:
            async with trio.open_nursery() as listeners:
                health = await self._open(listeners, sessions, task_status)
                await self._stopping.wait()
                health.is_draining = True
                # A balancer needs a moment to see that health is red before ports close.
                await trio.sleep(self._settings.drain_notice_s)
                _LOG.info("draining: %d sessions", len(self._services.live))
                listeners.cancel_scope.cancel()
            await self._services.drain(limit_s=self._settings.drain_s, message=_DRAINED)
            sessions.cancel_scope.cancel()
        self._over.set()

    async def _open(
        self,
        nursery: trio.Nursery,
        sessions: trio.Nursery,
        task_status: trio.TaskStatus[dict[str, int]],
    ) -> Health:
        settings, services = self._settings, self._services
        ports = ConnectionListeners(
            services,
            host=settings.ports_host,
            ports=settings.ports,
            tls=self._tls(()),
            gate=self._gate,
            sessions=sessions,
            balancers=settings.balancers,
        )
        health = Health(services, self._gate, {"connections": ports.health})
        # Health goes on through a drain, to say that it is one.
        bound = {"health": await self._serve(sessions, sessions, settings.health, health)}
        establish_tls, data_tls = self._tls(("http/1.1",)), self._tls((ALPN,))
        if establish_tls is not None and data_tls is not None:
            data = DataPort(services, data_tls, ports)
            bound["data"] = await self._serve(nursery, sessions, settings.data, data)
            establish = Establish(services.api, establish_tls, settings.public_data)
            bound["establish"] = await self._serve(nursery, sessions, settings.establish, establish)
        else:
            _LOG.warning(
                "no certificate (QUERYKEEP_TLS_CERT_FILE): agents cannot connect, and connection "
                "ports offer no TLS"
            )
        nursery.start_soon(ports.run)
        task_status.started(bound)
        return health

    def _tls(self, alpn: tuple[str, ...]) -> CertificateFiles[ListenerTls] | None:
        if not self._settings.tls_cert_file:
            return None
        cert, key = self._settings.tls_cert_file, self._settings.tls_key_file
        try:
            return CertificateFiles(cert, key, partial(load_listener_tls, alpn=alpn))
        except (OSError, ValueError) as error:
            raise ListenError(
                f"QUERYKEEP_TLS_CERT_FILE={cert}, QUERYKEEP_TLS_KEY_FILE={key}: {error}"
            ) from error

    async def _serve(
        self,
        nursery: trio.Nursery,
        sessions: trio.Nursery,
        address: tuple[str, int],
        handler: Health | DataPort | Establish,
    ) -> int:
        setting, gate = {
            Health: ("QUERYKEEP_PROXY_HEALTH_BIND", self._probe_gate),
            DataPort: ("QUERYKEEP_DATA_BIND", self._gate),
            Establish: ("QUERYKEEP_ESTABLISH_BIND", self._gate),
        }[type(handler)]
        # Probes of a balancer come without a header.
        balancers = NO_BALANCERS if isinstance(handler, Health) else self._settings.balancers
        opened = await listen(*address, setting=setting)
        for listener in opened:
            nursery.start_soon(
                lambda one: serve(one, handler, gate=gate, nursery=sessions, balancers=balancers),
                listener,
            )
        port: int = opened[0].socket.getsockname()[1]
        return port


async def _main(settings: ProxySettings) -> None:
    async with open_services(settings.relay) as services, trio.open_nursery() as nursery:
        proxy = Proxy(settings, services)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            bound = await nursery.start(proxy.run)
            _LOG.info("proxy is up: %s", bound)
            async for _ in signals:
                proxy.stop()
                break
            # A second signal ends at once, whatever still runs.
            nursery.start_soon(_second_signal, signals, nursery)
            await proxy.wait_over()
            nursery.cancel_scope.cancel()


async def _second_signal(signals: object, nursery: trio.Nursery) -> None:
    async for _ in signals:  # type: ignore[attr-defined]  # trio does not name the receiver's type
        nursery.cancel_scope.cancel()
        return


def main() -> None:
    """Entry point. Exit codes: 0 after a drain, 2 for settings, 1 for what cannot be opened."""
    configure_logs("proxy")
    try:
        settings = ProxySettings.from_environment()
    except SettingsError as error:
        print(f"querykeep-proxy: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        trio.run(_main, settings)
    except* (ListenError, OSError, ssl.SSLError) as group:
        for leaf in _leaves(group):
            print(f"querykeep-proxy: {leaf}", file=sys.stderr)
        sys.exit(1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
