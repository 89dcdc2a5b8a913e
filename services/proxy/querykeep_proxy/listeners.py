"""Agentless ports: one listener per connection, following the API's list of connections.

A connection's port is chosen by the API and stays. A taken port is an error that names the setting,
shown by health until it is free; it is tried again all the while.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import trio

from querykeep_guard.contracts.audit import StatementCompleted, StatementStarted
from querykeep_guard.contracts.codec import ContractError
from querykeep_guard.contracts.session import (
    ClientInfo,
    ConnectionInfo,
    EndReason,
    Route,
    SessionGrant,
)
from querykeep_guard.policy.decision import Decision
from querykeep_proxy.accept import AddressGate, ListenError, Place, listen, serve
from querykeep_proxy.proxy_header import TrustedBalancers
from querykeep_relay.api_client import ApiProblemError, ApiRefusedError, ApiUnavailableError
from querykeep_relay.certificate_files import CertificateFiles
from querykeep_relay.services import RelayServices
from querykeep_relay.shell import ClientSide, run_session
from querykeep_relay.tls import ListenerTls
from querykeep_relay.transport import Transport

_LOG = logging.getLogger(__name__)
_SETTING = "QUERYKEEP_PORTS"
_RETRY_S = 1.0
_REFRESH_S = 30.0


class PlaceObserver:
    """Gives an address's place back once its client has signed in."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def session_ready(self, grant: SessionGrant) -> None:
        """Sign-in is complete."""
        self._place.leave()

    def statement_started(self, event: StatementStarted, decision: Decision | None) -> None:
        """Nothing to do."""

    def statement_completed(self, event: StatementCompleted) -> None:
        """Nothing to do."""

    def session_ended(self, reason: EndReason, detail: str) -> None:
        """Nothing to do."""


@dataclass(slots=True)
class _Port:
    info: ConnectionInfo
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    error: str = "not yet open"


class ConnectionListeners:
    """Keeps the listeners as the API wants them; ``run`` is its task."""

    def __init__(
        self,
        services: RelayServices,
        *,
        host: str,
        ports: tuple[int, int],
        tls: CertificateFiles[ListenerTls] | None,
        gate: AddressGate,
        sessions: trio.Nursery,
        balancers: TrustedBalancers,
    ) -> None:
        """``sessions`` carries accepted connections: they outlive their listener."""
        self._services = services
        self._host = host
        self._range = ports
        self._tls = tls
        self._gate = gate
        self._balancers = balancers
        self._sessions = sessions
        self._ports: dict[str, _Port] = {}
        self._infos: dict[str, ConnectionInfo] = {}
        self.is_loaded = False

    async def info(self, connection_id: str) -> ConnectionInfo:
        """Return what is known of a connection, asking the API where nothing is.

        Raises:
            ApiUnavailableError, ApiProblemError, ContractError: The API could not be asked.
        """
        if connection_id not in self._infos:
            await self._load()
        info = self._infos.get(connection_id)
        if info is None:
            raise ApiProblemError(404, "not_found", "the connection does not exist any more")
        return info

    def health(self) -> dict[str, object]:
        """Return the state of every port by connection name."""
        return {
            "ok": self.is_loaded and not any(port.error for port in self._ports.values()),
            "ports": {
                port.info.name: port.error or f"listening on {self._host}:{port.info.port}"
                for port in self._ports.values()
            },
        }

    async def run(self) -> None:
        """Follow the API's connections until cancelled; then all ports are closed."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    await self._load()
                    self._apply(nursery)
                    pause = _REFRESH_S
                except (
                    ApiUnavailableError,
                    ApiProblemError,
                    ApiRefusedError,
                    ContractError,
                ) as error:
                    _LOG.warning("the list of connections cannot be had: %s", error)
                    pause = _RETRY_S
                with trio.move_on_after(pause):
                    await self._services.feed.wait_changed()

    async def _load(self) -> None:
        _, infos = await self._services.api.connections()
        self._infos = {info.id: info for info in infos}
        self.is_loaded = True

    def _apply(self, nursery: trio.Nursery) -> None:
        wanted = {info.id: info for info in self._infos.values() if info.enabled and info.port}
        for connection_id, port in list(self._ports.items()):
            info = wanted.get(connection_id)
            if info is None or info.port != port.info.port:
                port.scope.cancel()
                del self._ports[connection_id]
            else:
                port.info = info
        for connection_id, info in wanted.items():
            if connection_id not in self._ports:
                port = _Port(info)
                self._ports[connection_id] = port
                nursery.start_soon(self._serve_port, port)

    async def _serve_port(self, port: _Port) -> None:
        number, name = port.info.port, port.info.name
        if not self._range[0] <= number <= self._range[1]:
            first, last = self._range
            port.error = f"port {number} is outside {first}-{last} ({_SETTING})"
            _LOG.error("connection %s: %s", name, port.error)
            return
        with port.scope:
            while True:
                try:
                    listeners = await listen(self._host, number, setting=_SETTING)
                    break
                except ListenError as error:
                    if port.error != str(error):
                        port.error = str(error)
                        _LOG.error("connection %s: %s", name, error)
                    await trio.sleep(_RETRY_S)
            port.error = ""
            _LOG.info("connection %s listens on %s:%d", name, self._host, number)

            async def handle(transport: Transport, place: Place) -> None:
                await self._handle(port.info, transport, place)

            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(
                        lambda one: serve(
                            one,
                            handle,
                            gate=self._gate,
                            nursery=self._sessions,
                            balancers=self._balancers,
                        ),
                        listener,
                    )

    async def _handle(self, info: ConnectionInfo, transport: Transport, place: Place) -> None:
        tls = self._tls.current() if self._tls is not None else None
        side = ClientSide(
            info, Route.AGENTLESS, ClientInfo(address=transport.peer_address), tls=tls
        )
        await run_session(transport, side, services=self._services, observer=PlaceObserver(place))
